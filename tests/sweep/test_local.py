"""The scheduler of `--cluster local`: places and GPUs are not shared, and deaths are named."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import make_tones
from tests.sweeping import Runner, write_sweep
from tests.troubles import require_one_at_a_time, write_troubles

STEPS = 6


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    """A home with tones and two pretend GPUs; trainings write down which they were given."""
    found = Runner(tmp_path / "place")
    make_tones(found.folder / "tones")
    found.flagged()
    found.environment["CUDA_VISIBLE_DEVICES"] = "0,1"
    return found


def _sweep(runner: Runner, name: str, methods: list[str], gpus: int) -> list[object]:
    """The arguments that launch a sweep of methods that ask for GPUs."""
    plugins = write_troubles(runner.folder, methods, pause=0.1)
    axes = f"methods = {json.dumps([f'trouble_{one}' for one in methods])}"
    file = write_sweep(runner.folder / f"{name}.toml", runner.folder / "tones/tracks.csv", axes)
    text = file.read_text().replace("[resources.pretrain]", f"[resources.pretrain]\ngpus = {gpus}")
    file.write_text(
        text.replace("steps = 6\n", f"steps = {STEPS}\ncheckpoint_seconds = 0.001\n", 1)
    )
    return ["sweep", file, "--cluster", "local", "--device", "cpu", "--plugins", plugins]


def test_no_gpu_has_two_jobs_and_no_job_waits_for_more_than_there_are(runner):
    """Three jobs of one GPU, one of two in another launch, one of three."""
    arguments = {
        gpus: _sweep(runner, f"g{gpus}", names, gpus)
        for gpus, names in ((1, ["none1", "none2", "none3"]), (2, ["none4"]), (3, ["none5"]))
    }
    launched = [runner.start(*one) for one in arguments.values()]
    assert not any(one.wait(120) for one in launched), [one.communicate() for one in launched]
    assert runner.settled(Path(str(arguments[1][1])))["counts"] == {"done": 3}
    assert runner.settled(Path(str(arguments[2][1])))["counts"] == {"done": 1}
    (cell,) = runner.settled(Path(str(arguments[3][1])))["cells"]
    assert cell["state"] == "failed"
    assert "before it began: it asks for 3 GPUs, and there are 2" in cell["why"]
    lines = [line.split() for line in (runner.folder / "flags/steps.txt").read_text().splitlines()]
    spans: dict[tuple[str, str], list[float]] = {}
    for training, _, _, at, gpus in lines:
        spans.setdefault((training, gpus), []).append(float(at))
    assert {len(gpus.split(",")) for (training, gpus) in spans if training.startswith("none4")} == {
        2
    }
    assert {
        len(gpus.split(",")) for (training, gpus) in spans if not training.startswith("none4")
    } == {1}
    for (one, gpus), times in spans.items():
        for (other, others), their in spans.items():
            if one != other and set(gpus.split(",")) & set(others.split(",")):
                assert max(times) < min(their) or max(their) < min(times), (
                    one,
                    other,
                    gpus,
                    others,
                )


def test_a_death_before_the_beginning_and_that_of_the_scheduler(runner):
    """The scheduler is killed while its job runs.

    The next launch leaves that be, and names one that dies at once.
    """
    arguments = _sweep(runner, "s", ["held", "none"], 0)
    file = Path(str(arguments[1]))
    runner(*arguments, "--jobs", 1)
    deadline = time.monotonic() + 120
    while not (runner.folder / "flags/held").exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    (record,) = runner.home.glob("sweeps/s-*/launches/0001/launch.json")
    os.kill(json.loads(record.read_text())["process"]["pid"], signal.SIGKILL)
    states = {cell["label"].split()[0]: cell["state"] for cell in runner.status(file)["cells"]}
    assert states == {"trouble_held": "running", "trouble_none": "missing"}
    assert "1 jobs started" in runner(*arguments, "--jobs", 1)
    time.sleep(1.0)
    assert not _jobs(record.parent.parent.parent, "0002")
    assert runner.status(file)["counts"] == {"running": 1, "queued": 1}
    (runner.folder / "flags/held-go").touch()
    while not (born := _jobs(record.parent.parent.parent, "0002")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(born[0], signal.SIGKILL)
    (cell,) = [one for one in runner.settled(file)["cells"] if one["state"] != "done"]
    assert cell["state"] == "failed"
    assert "before it began: killed by SIGKILL" in cell["why"]
    runner(*arguments)
    assert runner.settled(file)["counts"] == {"done": 2}
    require_one_at_a_time(runner.folder / "flags", STEPS)


def _jobs(folder: Path, launch: str) -> list[int]:
    """Processes of the jobs of a launch."""
    asked = ["pgrep", "-f", f"bench.sweep.job {folder} [^ ]+ {launch}"]
    return [
        int(one)
        for one in subprocess.run(asked, capture_output=True, text=True, check=False).stdout.split()
    ]
