"""Every way in which a job may end on Slurm has a name, and the same command completes the sweep.

With slurmdbd and without: the same states.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.conftest import make_tones
from tests.slurm.conftest import slurm, until
from tests.sweeping import Runner, write_sweep
from tests.troubles import require_one_at_a_time, write_troubles

STEPS = 6
BY_ITSELF = {
    "raise": ("failed", "RuntimeError: in trouble"),
    "exit": ("failed", "exited with code 3"),
    "kill": ("failed", "killed by signal 9"),
    "memory": ("failed", "out of memory"),
}
BY_HAND = {  # what is done to a job that stands still -> what becomes of it
    "scancel": (["scancel"], "stopped", "cancelled"),
    "usr2": (["scancel", "--signal=USR2"], "done", ""),
    "batch": (["scancel", "--batch", "--signal=USR2"], "failed", "killed by signal 12"),
    "term": (["scancel", "--signal=TERM"], "done", ""),
    "requeue": (["scontrol", "requeue"], "done", ""),
}
FURTHER = ["deaf", "preempted", "results", "home", "log", "wrong", "many", "counted"]
in_both = pytest.mark.parametrize("cluster", ["none", "dbd"], indirect=True)
with_dbd = pytest.mark.parametrize("cluster", ["dbd"], indirect=True)
without_dbd = pytest.mark.parametrize("cluster", ["none"], indirect=True)


@pytest.fixture(scope="module")
def cluster(request: pytest.FixtureRequest) -> Iterator[None]:
    """Two pretend nodes."""
    missing = [program for program in ("slurmdbd", "mariadbd") if not shutil.which(program)]
    if request.param == "dbd" and missing:
        pytest.skip(f"no accounting here: {', '.join(missing)} not found")
    with slurm(nodes=2, cpus=6, accounting=request.param, grace=60):
        yield


class Place(Runner):
    """A runner whose methods get into trouble."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        make_tones(folder / "tones")
        self.flags = self.flagged()
        self.plugins = ["--plugins", write_troubles(folder, [*BY_ITSELF, *BY_HAND, *FURTHER])]

    def sweep(self, name: str, methods: list[str], more: str = "") -> Path:
        axes = f"methods = {json.dumps([f'trouble_{one}' for one in methods])}"
        file = write_sweep(
            self.folder / f"{name}.toml", self.folder / "tones/tracks.csv", axes, more
        )
        file.write_text(
            file.read_text().replace(
                "steps = 6\n", f"steps = {STEPS}\ncheckpoint_seconds = 0.001\n", 1
            )
        )
        return file

    def launch(
        self, file: Path, *further: object, cluster: str = "slurm"
    ) -> "subprocess.Popen[str]":
        return self.start("sweep", file, "--cluster", cluster, *self.plugins, *further)

    def complete(self, file: Path) -> None:
        assert not self.launch(file, "--only", "missing,failed,stopped").wait(120)
        assert set(self.settled(file)["counts"]) == {"done"}

    def held(self, name: str) -> str:
        """Slurm's id of the job that stands still."""
        until(lambda: (self.flags / name).exists())
        return (self.flags / name).read_text()

    def go(self, name: str) -> None:
        (self.flags / f"{name}-go").touch()

    def only(self, file: Path) -> tuple[str, str]:
        """State and reason of the one cell of a sweep, when nothing is under way."""
        (cell,) = self.settled(file)["cells"]
        return cell["state"], cell["why"]


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory, cluster: None) -> Place:
    return Place(tmp_path_factory.mktemp("deaths"))


@pytest.fixture(scope="module")
def late(runner: Place) -> Path:
    """A sweep whose only job hears nothing and has one minute, launched when the cluster starts."""
    file = runner.sweep("late", ["deaf"], "[site]\nsignal_seconds = 5\n")
    file.write_text(
        file.read_text().replace("memory_gb = 1.5\n", "memory_gb = 1.5\nhours = 0.005\n")
    )
    assert not runner.launch(file).wait(120)
    return file


@in_both
def test_every_death_is_named_and_the_same_command_completes_it(runner, late, tmp_path):
    file = runner.sweep("deaths", [*BY_ITSELF, *BY_HAND])
    assert not runner.launch(file).wait(120)
    undisturbed = Runner(tmp_path / "undisturbed")
    reference = undisturbed.start("sweep", file, "--cluster", "inline", *runner.plugins)
    for name, (command, _, _) in BY_HAND.items():
        subprocess.run([*command, runner.held(name)], check=True)
        if name not in ("scancel", "batch"):
            runner.go(name)
    wanted = BY_ITSELF | {name: (state, why) for name, (_, state, why) in BY_HAND.items()}
    for cell in runner.settled(file)["cells"]:
        state, why = wanted[cell["label"].split()[0].removeprefix("trouble_")]
        assert cell["state"] == state, cell
        assert why in cell["why"], cell
    failed = runner.settled(file)["cells"][0]["id"]
    assert "RuntimeError: in trouble" in runner("logs", failed)
    done = {path: path.stat().st_mtime_ns for path in runner.results.glob("runs/*.json")}
    runner.complete(file)
    assert not reference.wait(120), reference.communicate()
    assert undisturbed.weights().items() <= runner.weights().items()
    assert undisturbed.metrics().items() <= runner.metrics().items()
    assert done == {path: path.stat().st_mtime_ns for path in done}
    require_one_at_a_time(runner.flags, STEPS, but=["deaf"])


@with_dbd
def test_preempted_with_a_signal(runner, late):
    """It writes a checkpoint, makes room, and goes on."""
    file = runner.sweep("room", ["preempted"], '[site]\npartition = "low"\n')
    assert not runner.launch(file).wait(120)
    job = runner.held("preempted")
    node = subprocess.run(
        ["squeue", "-h", "-j", job, "-o", "%N"], capture_output=True, text=True, check=True
    ).stdout
    urgent = ["sbatch", "-p", "high", "-w", node.strip(), "-c", "6"]
    urgent += ["-o", "/dev/null", "--wrap", "sleep 1"]
    subprocess.run(urgent, check=True, capture_output=True)
    asked = ["squeue", "-h", "-j", job, "-O", "PreemptTime"]
    until(lambda: ":" in subprocess.check_output(asked, text=True))
    time.sleep(1)
    runner.go("preempted")
    assert runner.only(file) == ("done", "")
    (first,) = runner.home.glob("sweeps/room-*/jobs/*/attempts/0001/status.json")
    assert json.loads(first.read_text())["state"] == "requeued"


@contextmanager
def _small_disk(folder: Path, megabytes: int) -> Iterator[Callable[[], None]]:
    """Mounts a file system of that size at a folder; gives a function that fills it."""
    folder.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder], check=False
    )
    if mounted.returncode:
        pytest.skip("no file systems can be mounted here")

    def fill() -> None:
        with suppress(OSError), open(folder / "filler", "wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass

    try:
        yield fill
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@without_dbd
def test_full_disks_are_named(runner, late, tmp_path):
    """The results' disk of one sweep fills up, and the home of another."""
    other = Place(tmp_path / "other")
    runner.results, results = runner.folder / "small", runner.results
    with _small_disk(runner.results, 1) as fill_results, _small_disk(other.home, 60) as fill_home:
        files = {runner: runner.sweep("results", ["results"]), other: other.sweep("home", ["home"])}
        launched = [place.launch(file) for place, file in files.items()]
        assert not any(process.wait(120) for process in launched)
        for place, name, fill in ((runner, "results", fill_results), (other, "home", fill_home)):
            place.held(name)
            fill()
            place.go(name)
        for place in (runner, other):
            state, why = place.only(files[place])
            assert state == "failed"
            assert ("no space left" if place is runner else "its disk is full") in why, why
        (runner.results / "filler").unlink()
        (other.home / "filler").unlink()
        for place, file in files.items():
            place.complete(file)
    runner.results = results


@without_dbd
def test_a_log_that_cannot_be_written_is_named(runner, late):
    file = runner.sweep("log", ["log"], "[site.parameters]\nhold = true\n")
    assert not runner.launch(file).wait(120)
    (launch,) = runner.home.glob("sweeps/log-*/launches/0001/launch.json")
    place = launch.with_name("array-1")
    place.rename(place.with_name("away"))
    place.touch()
    runner.go("log")
    (job,) = json.loads(launch.read_text())["ids"].values()
    subprocess.run(["scontrol", "release", job], check=True)
    assert runner.only(file) == (
        "failed",
        "before it began: its log could not be opened (Slurm: FAILED)",
    )
    file.write_text(file.read_text().replace("hold = true", "hold = false"))
    runner.complete(file)


@without_dbd
def test_impossible_requests_say_why_and_leave_nothing(runner, late):
    for asked in ('[site]\npartition = "no-such"\n', "[resources.pretrain]\nmemory_gb = 100000\n"):
        file = runner.sweep("wrong", ["wrong"])
        text = file.read_text().replace("[resources.pretrain]\nmemory_gb = 1.5\n", "")
        file.write_text(text + asked)
        process = runner.launch(file)
        _, said = process.communicate(timeout=120)
        assert process.returncode == 2
        assert "Slurm refuses the jobs" in said
        assert "partition" in said or "Memory" in said, said
        assert not list(runner.home.glob("sweeps/wrong-*/launches/*/launch.json"))
    many = runner.sweep("many", ["many"])
    many.write_text(
        many.read_text().replace("[resources.pretrain]", "[resources.pretrain]\ncpus = 64")
    )
    assert not runner.launch(many).wait(120)
    until(lambda: "waits: PartitionConfig" in runner.status(many)["cells"][0]["why"])
    assert runner.status(many)["counts"] == {"queued": 1}
    assert "jobs told to stop" in runner("cancel", many)
    state, why = runner.only(many)
    assert state == "stopped"
    assert "before it began: cancelled" in why


@without_dbd
def test_slurm_is_asked_at_most_once_in_30_seconds(runner, late, tmp_path):
    """Counted by a squeue and a sacct of our own that write down that they were called."""
    log = tmp_path / "asked"
    for tool in ("squeue", "sacct"):
        path = tmp_path / "bin" / tool
        path.parent.mkdir(exist_ok=True)
        path.write_text(f'#!/bin/sh\necho {tool} >> {log}\nexec {shutil.which(tool)} "$@"\n')
        path.chmod(0o755)
    runner.environment["PATH"] = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    several = [runner.start("status", late, "--json") for _ in range(4)]
    assert not any(process.wait(60) for process in several)
    assert log.read_text().splitlines().count("squeue") <= 1
    runner.status(late)
    count = len(log.read_text().splitlines())
    for _ in range(2):
        runner.status(late, fresh=False)
    assert len(log.read_text().splitlines()) == count
    runner.environment["PATH"] = os.environ["PATH"]


@in_both
def test_over_time_in_c_code_is_named(runner, late):
    assert runner.only(late) == ("failed", "over its time limit (Slurm: TIMEOUT)")
    runner.complete(late)
