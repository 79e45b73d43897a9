"""Sweeps on a real Slurm, which `tests/slurm/start-slurm.sh` starts on this machine; skipped where it cannot."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from tests.slurm.conftest import slurm
from tests.sweeping import Runner, write_sweep


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """Two pretend nodes, arrays of 3."""
    with slurm(nodes=2, maxarray=3):
        yield


def test_slurm_local_and_single_runs_are_equal_bit_for_bit(place, tmp_path):
    """More jobs than an array may have here (MaxArraySize = 3); two terminals launch at once."""
    tones = place.folder / "tones/tracks.csv"
    axes = 'methods = ["random_init", "vicreg", "supervised"]\nfractions = [0.5, 1.0]\nseeds = [0, 1]'
    exclude = '[[exclude]]\nmethod = ["supervised", "vicreg"]\nseed = 1\n[[exclude]]\nseed = 1\nfraction = 0.5\n'
    file = write_sweep(place.folder / "grid.toml", tones, axes, exclude)
    both = [place.start("sweep", file, "--cluster", "slurm") for _ in range(2)]
    said = [process.communicate(timeout=120)[0] for process in both]
    assert sorted("0 jobs started" in one for one in said) == [False, True], said
    assert place.settled(file)["counts"] == {"done": 7}
    assert all(len(list(job.glob("attempts/*"))) == 1 for job in place.home.glob("sweeps/grid-*/jobs/*"))
    local, single = Runner(tmp_path / "local"), Runner(tmp_path / "single")
    local("sweep", file, "--cluster", "local", "--jobs", 2)
    assert local.settled(file)["counts"] == {"done": 7}
    from tests.conftest import TINY

    flags = ["--dataset", tones, "--fraction", "0.5,1.0", *TINY, "--steps", 6]
    single("run", "--method", "random_init", "--seed", "0,1", *flags[:2], "--fraction", 1.0, *flags[4:])
    single("run", "--method", "random_init", "--fraction", 0.5, *flags[:2], *flags[4:])
    single("run", "--method", "vicreg,supervised", *flags)
    assert place.metrics() == local.metrics() == single.metrics()
    assert place.weights() == local.weights() == single.weights()
    assert "7 done" in place("status", file)
    assert "0 jobs started" in place("sweep", file, "--cluster", "slurm")


DEATHS = {
    "raise": ("failed", "RuntimeError: in trouble"),
    "exit": ("failed", "exited with code 3"),
    "kill": ("failed", "killed by signal 9"),
    "memory": ("failed", "out of memory"),
    "sleep": ("stopped", "cancelled"),
}


def test_every_death_is_named_and_the_same_command_completes_it(place):
    tones = place.folder / "tones/tracks.csv"
    plugins = ["--plugins", place.folder / "plugins"]
    files = {}
    for do in DEATHS:
        more = f'[settings.method]\ndo = "{do}"\nflag = "{place.folder / do}.flag"\n'
        files[do] = write_sweep(place.folder / f"{do}.toml", tones, 'methods = ["trouble"]', more)
        place("sweep", files[do], "--cluster", "slurm", *plugins)
    place.wait(files["sleep"], lambda _: (place.folder / "sleep.flag").exists())
    subprocess.run(["scancel", *_ids(place, "sleep")], check=True)
    for do, (state, why) in DEATHS.items():
        (cell,) = place.settled(files[do])["cells"]
        assert cell["state"] == state, (do, cell)
        assert why in cell["why"], (do, cell)
    assert "RuntimeError: in trouble" in place("logs", place.status(files["raise"])["cells"][0]["id"])
    assert "0 jobs started" in place("sweep", files["raise"], "--cluster", "slurm", "--only", "missing", *plugins)
    for do in DEATHS:
        place("sweep", files[do], "--cluster", "slurm", *plugins)
    for file in files.values():
        assert place.settled(file)["counts"] == {"done": 1}


def _ids(place: Runner, name: str) -> list[str]:
    asked = ["squeue", "-h", "-r", "-o", "%i %j"]
    lines = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.splitlines()
    (sweep,) = (path.name.rpartition("-")[2] for path in place.home.glob(f"sweeps/{name}-*"))
    return [line.split()[0] for line in lines if f"bench-{sweep}-" in line]


def test_jobs_that_make_room_go_on_at_their_step(place, tmp_path):
    """One is told by USR2, one is put in line again by hand; then a higher partition takes both nodes."""
    tones = place.folder / "tones/tracks.csv"
    site = '[site]\npartition = "low"\n'
    file = write_sweep(place.folder / "room.toml", tones, 'methods = ["vicreg"]\nseeds = [5, 6]', site)
    file.write_text(file.read_text().replace("steps = 6\n", "steps = 80\ncheckpoint_seconds = 0.2\n", 1))
    place("sweep", file, "--cluster", "slurm")
    _until(lambda: len(list(place.home.glob("pretrained/*.part/state.pt"))) == 2)
    told, requeued = _ids(place, "room")
    subprocess.run(["scancel", "--signal=USR2", told], check=True)
    subprocess.run(["scontrol", "requeue", requeued], check=True)
    _until(lambda: len(list(place.home.glob("sweeps/room-*/jobs/*/attempts/0002/log.txt"))) == 2)
    urgent = ["sbatch", "-p", "high", "-N", "2", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 3"]
    subprocess.run(urgent, check=True, capture_output=True)
    assert place.settled(file)["counts"] == {"done": 2}
    first = [json.loads(path.read_text()) for path in place.home.glob("sweeps/room-*/jobs/*/attempts/0001/status.json")]
    assert "requeued" in {one["state"] for one in first}
    assert not list(place.home.glob("pretrained/*.part"))
    undisturbed = Runner(tmp_path / "undisturbed")
    undisturbed("sweep", file, "--cluster", "inline")
    assert undisturbed.weights().items() <= place.weights().items()
    assert undisturbed.metrics().items() <= place.metrics().items()


def _until(there: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_refused_requests_say_why_and_leave_nothing(place):
    tones = place.folder / "tones/tracks.csv"
    wrong = write_sweep(place.folder / "wrong.toml", tones, 'methods = ["random_init"]\nseeds = [9]')
    wrong.write_text(wrong.read_text() + '[site]\npartition = "no-such"\n')
    said = place("sweep", wrong, "--cluster", "slurm", status=2)
    assert "Slurm refuses the jobs" in said
    assert "partition" in said
    assert not list(place.home.glob("sweeps/wrong-*/launches/*/launch.json"))
    many = write_sweep(place.folder / "many.toml", tones, 'methods = ["random_init"]\nseeds = [9]')
    many.write_text(many.read_text().replace("[resources.pretrain]", "[resources.pretrain]\ncpus = 64"))
    place("sweep", many, "--cluster", "slurm")
    (cell,) = place.status(many)["cells"]
    assert (cell["state"], cell["why"]) == ("queued", "waits: PartitionConfig")
    assert "1 jobs told to stop" in place("cancel", many)
    (cell,) = place.settled(many)["cells"]
    assert cell["state"] == "stopped"
    assert "before it began: cancelled" in cell["why"]
