"""A cell that Slurm puts in line again stays one run of MLflow."""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.slurm.conftest import slurm, until
from tests.sweeping import Runner, write_sweep
from tests.troubles import write_troubles


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    with slurm(nodes=1):
        yield


def test_requeue_and_resume_stay_in_the_same_mlflow_run(place: Runner, tmp_path):
    file = write_sweep(
        place.folder / "long.toml", place.folder / "tones/tracks.csv", 'methods = ["trouble_held"]'
    )
    flags = place.flagged()
    environment = {
        name: value for name, value in place.environment.items() if not name.startswith("MLFLOW")
    }
    command = [sys.executable, "-m", "bench", "track", "sync", str(file), "--home", str(place.home)]
    look = """
import json
from mlflow import MlflowClient
client = MlflowClient("sqlite:///mlflow.db")
found = client.search_runs([client.get_experiment_by_name("long").experiment_id])
runs = {run.data.tags["kind"]: [run.info.run_id, run.info.status] for run in found}
print(json.dumps(runs | {"runs": len(found)}))
"""

    def shown() -> dict[str, list[str]]:
        """Id and status of the one run of each kind, after a synchronisation."""
        synced = [*command, "--results", str(place.results)]
        subprocess.run(synced, cwd=tmp_path, env=environment, check=True, capture_output=True)
        quiet = environment | {"MLFLOW_DISABLE_TELEMETRY": "true"}
        done = subprocess.run(
            [sys.executable, "-c", look], cwd=tmp_path, env=quiet, check=True, capture_output=True
        )
        found = dict(json.loads(done.stdout))
        assert found.pop("runs") == 2
        return found

    place("sweep", file, "--cluster", "slurm", "--plugins", write_troubles(tmp_path, ["held"]))
    until(lambda: (flags / "held").exists())
    begun = shown()
    assert {status for _, status in begun.values()} == {"RUNNING"}
    subprocess.run(["scontrol", "requeue", (flags / "held").read_text()], check=True)
    attempts = place.home / "sweeps"
    until(lambda: len(list(attempts.glob("long-*/jobs/[!p]*/attempts/*"))) == 2)
    assert place.settled(file)["counts"] == {"done": 1}
    assert len(list(attempts.glob("long-*/jobs/[!p]*/attempts/*"))) == 2
    done = shown()
    assert {kind: id_ for kind, (id_, _) in done.items()} == {
        kind: id_ for kind, (id_, _) in begun.items()
    }
    assert {status for _, status in done.values()} == {"FINISHED"}
