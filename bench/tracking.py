"""The mirror into MLflow, made from stored results after the fact. The only file that imports mlflow."""

import fcntl
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.errors import InputError
from bench.results import Result, file_stem, path_of

_DEFAULT_STORE = "sqlite:///mlflow.db"
_EXPERIMENT = "pretext-bench"


def mirror(results: Sequence[Result], folder: Path) -> str:
    """Writes each result as one MLflow run: parameters, metrics, loss curves, the result file as an artifact.

    A cell that is there already is left as it is. Goes to MLFLOW_TRACKING_URI, or to `mlflow.db` in the current folder,
    which is where `mlflow ui` looks.

    Args:
        results: finished cells.
        folder: results folder, for the files.

    Returns:
        The address of the store.

    Raises:
        InputError: mlflow cannot open the store.
    """
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    # A server that does not answer is said within half a minute, not after mlflow's seven tries of two minutes each.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    import mlflow

    address = os.environ.get("MLFLOW_TRACKING_URI", _DEFAULT_STORE)
    # Several processes that create the database at once make each other fail (seen with 3.17): one at a time.
    with open(Path(tempfile.gettempdir()) / f"pretext-bench-mlflow-{os.getuid()}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            mlflow.set_tracking_uri(address)
            mlflow.set_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", _EXPERIMENT))
            for result in results:
                _mirror_one(mlflow, result, folder)
        except Exception as error:  # mlflow's own, sqlalchemy's, requests': whatever the store is made of
            raise InputError(
                f"MLflow at {address}: {str(error).splitlines()[0]}; MLFLOW_TRACKING_URI names another store"
            ) from error
    return address


def _mirror_one(mlflow: Any, result: Result, folder: Path) -> None:
    if mlflow.search_runs(
        filter_string=f"tags.cell = '{result.cell}' and attributes.status = 'FINISHED'", output_format="list"
    ):
        return
    from mlflow.entities import Metric

    name = file_stem(result.spec, result.cell)
    spec = result.spec
    with mlflow.start_run(run_name=name, tags={"cell": result.cell, "commit": str(result.code["commit"])}) as run:
        mlflow.log_params(_flat({**spec.model_dump(mode="json"), "settings": result.settings}))
        points = [Metric(metric, value.value, 0, 0) for metric, value in result.metrics.items()]
        for metric, value in result.metrics.items():
            bounds = {"low": value.low, "high": value.high}
            points += [Metric(f"{metric}_{end}", bound, 0, 0) for end, bound in bounds.items() if bound is not None]
        for kind in ("curve", "diagnostics"):
            for point in result.training[kind]:
                step = int(point["step"])
                points += [
                    Metric(f"{kind}_{key}", float(value), 0, step) for key, value in point.items() if key != "step"
                ]
        client = mlflow.MlflowClient()
        for start in range(0, len(points), 1000):  # the most that one call may carry
            client.log_batch(run.info.run_id, metrics=points[start : start + 1000])
        mlflow.log_artifact(str(path_of(folder, result)))


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as dotted parameters."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
