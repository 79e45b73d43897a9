"""Reads what a store of MLflow holds, through MLflow itself."""

import os
from typing import Any

QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}


def client(store: str) -> Any:
    os.environ.update(QUIET)
    from mlflow import MlflowClient

    return MlflowClient(store)


def shown(store: str) -> dict[str, list[Any]]:
    """The runs of every experiment that has some."""
    mlflow = client(store)
    found = {
        one.name: list(mlflow.search_runs([one.experiment_id]))
        for one in mlflow.search_experiments()
    }
    return {name: runs for name, runs in found.items() if runs}


def of_kind(runs: list[Any], kind: str = "cell") -> list[Any]:
    return [run for run in runs if run.data.tags["kind"] == kind]


def everything(store: str) -> dict[str, Any]:
    """Everything that the store holds, for comparisons, by the id of the run.

    Status and times, tags, parameters, every point of every metric, and the names of files.
    """
    mlflow = client(store)
    found = {}
    for run in (run for runs in shown(store).values() for run in runs):
        points = {
            name: mlflow.get_metric_history(run.info.run_id, name) for name in run.data.metrics
        }
        history = {
            name: sorted((one.step, one.value, one.timestamp) for one in of)
            for name, of in points.items()
        }
        info = (run.info.status, run.info.start_time, run.info.end_time)
        files = [file.path for file in mlflow.list_artifacts(run.info.run_id)]
        found[run.info.run_id] = (info, run.data.tags, run.data.params, history, files)
    return found
