"""The mirror of real runs in MLflow."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import results
from tests.conftest import TINY
from tests.report.real_runs import run_two_methods

RUN = ["run", "--steps", "3", *TINY]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with two methods at two fractions and two draws."""
    folder = tmp_path_factory.mktemp("stored")
    run_two_methods(folder, RUN, "--fraction", "0.3,1.0", "--draws", "2")
    return folder / "results"


def test_mlflow_mirror_is_complete_and_made_once(stored, tmp_path):
    """A real MLflow, in a process of its own: parameters, metrics, curves and the file.

    Twice is once.
    """
    code = f"""
import sys
from pathlib import Path
from bench import results
from bench.tracking.mirror import mirror
stored = results.read_all(Path({str(stored)!r}))[0]
for _ in range(2):
    mirror(stored, Path({str(stored)!r}), Path(".bench"))
import json, mlflow
runs = mlflow.search_runs(experiment_names=["pretext-bench"], output_format="list")
cells = [run for run in runs if run.data.tags["kind"] == "cell"]
one = next(run for run in cells if run.data.params["method.name"] == "simclr")
client = mlflow.MlflowClient()
curve = client.get_metric_history(one.data.tags["mlflow.parentRunId"], "curve_nt_xent")
artifacts = [file.path for file in client.list_artifacts(one.info.run_id)]
print(json.dumps([len(cells), one.data.metrics, one.data.params, len(curve), artifacts]))
"""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    count, metrics, params, curve, artifacts = json.loads(done.stdout.splitlines()[-1])
    assert count == len(results.read_all(stored)[0]) == 6
    assert {"map_macro", "map_macro_low", "map_macro_high"} <= set(metrics)
    assert params["train.steps"] == "3"
    assert params["settings.method.temperature"]
    assert curve == 3
    assert artifacts[0].startswith("simclr-resnet_small-tracks")
    assert (tmp_path / "mlflow.db").exists()


def test_track_flag_mirrors(bench, tones, tmp_path):
    done = bench("run", "--method", "random_init", *TINY, "--dataset", tones, "--track")
    assert "mirrored 1 cells" in done.stderr
    assert (tmp_path / "mlflow.db").exists()
