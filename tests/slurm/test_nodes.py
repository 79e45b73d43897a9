"""Jobs that lose their nodes: to a higher partition, or because Slurm gives a node up."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slurm.conftest import Slurm, slurm, until
from tests.sweeping import Runner, write_sweep
from tests.troubles import require_one_at_a_time, turns, write_troubles

STEPS = 6


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[Slurm]:
    """Two pretend nodes for one job each.

    As Slurm is by default, a preempted job gets SIGTERM alone.
    """
    with slurm(nodes=2, cpus=1, preempt_signal=0, grace=4) as made:
        yield made


def _nodes(job: str) -> str:
    asked = ["squeue", "-h", "-j", job, "-t", "running", "-o", "%N"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()


def _slurm_id(attempt: Path) -> str:
    path = attempt / "status.json"
    return str(json.loads(path.read_text())["slurm"]) if path.exists() else ""


def test_jobs_that_lose_their_node_complete(cluster, place, tmp_path):
    """One of two is preempted.

    The other's node is given up, and Slurm starts the job elsewhere beside the old one.
    """
    runner, undisturbed = Runner(tmp_path / "place"), Runner(tmp_path / "undisturbed")
    names = ["down", "preempted"]
    plugins = ["--plugins", write_troubles(runner.folder, names)]
    flags = runner.flagged()
    axes = f"methods = {json.dumps([f'trouble_{one}' for one in names])}"
    file = write_sweep(
        runner.folder / "s.toml",
        place.folder / "tones/tracks.csv",
        axes,
        '[site]\npartition = "low"\n',
    )
    file.write_text(
        file.read_text().replace("steps = 6\n", f"steps = {STEPS}\ncheckpoint_seconds = 0.001\n", 1)
    )
    runner("sweep", file, "--cluster", "slurm", *plugins)
    reference = undisturbed.start("sweep", file, "--cluster", "inline", *plugins)
    until(lambda: all((flags / name).exists() for name in names))
    jobs = {name: (flags / name).read_text() for name in names}
    node, other = _nodes(jobs["down"]), _nodes(jobs["preempted"])
    cluster.kill(f"slurmd-{node}")
    subprocess.run(
        ["scontrol", "update", f"nodename={node}", "state=down", "reason=test"], check=True
    )
    urgent = ["sbatch", "-p", "high", "-w", other, "--exclusive"]
    urgent += ["-o", "/dev/null", "--wrap", "sleep 1"]
    subprocess.run(urgent, check=True, capture_output=True)
    # The job of the lost node is started again while its old process is at work; it waits for that.
    places = runner.home.glob("sweeps/s-*/jobs/*")
    (old,) = (path for path in places if _slurm_id(path / "attempts/0001") == jobs["down"])
    until(lambda: (old / "attempts/0002/status.json").exists())
    time.sleep(2)
    assert {cell["label"].split()[0]: cell["state"] for cell in runner.status(file)["cells"]} == {
        "trouble_down": "running",
        "trouble_preempted": "queued",
    }
    (flags / "down-go").touch()
    assert runner.settled(file)["counts"] == {"done": 2}
    found = {training.split(":")[0]: len(processes) for training, processes in turns(flags).items()}
    assert found == {"down": 1, "preempted": 2}
    require_one_at_a_time(flags, STEPS)
    assert not reference.wait(120), reference.communicate()
    assert runner.weights() == undisturbed.weights()
    assert runner.metrics() == undisturbed.metrics()
