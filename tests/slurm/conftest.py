"""A throw-away Slurm on this machine; each module of tests has one for itself."""

import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import make_tones
from tests.sweeping import Runner, write_trouble

HERE = Path(__file__).resolve().parent
NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "srun")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips these tests where no Slurm can be started."""
    missing = [program for program in NEEDED if not shutil.which(program)]
    why = (
        "Slurm needs root"
        if os.geteuid()
        else f"no Slurm here: {', '.join(missing)} not found"
        if missing
        else ""
    )
    for item in items:
        if why and item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.skip(reason=why))


class Slurm:
    """A Slurm whose files, with `pid/` and `log/`, lie in a work folder.

    Settings are passed as variables CI_SLURM_... (see `start-slurm.sh`).
    """

    def __init__(self, work: Path, settings: dict[str, object]) -> None:
        self.work = work
        given = {f"CI_SLURM_{name.upper()}": str(value) for name, value in settings.items()}
        self.environment = os.environ | {"CI_SLURM_WORK": str(work)} | given

    def start(self) -> None:
        self.work.mkdir(exist_ok=True)
        self.work.chmod(0o755)  # the database runs as another user
        subprocess.run(
            [HERE / "start-slurm.sh"], env=self.environment, check=True, capture_output=True
        )

    def stop(self, *flags: str) -> None:
        subprocess.run(
            [HERE / "stop-slurm.sh", *flags], env=self.environment, check=True, capture_output=True
        )

    def kill(self, daemon: str) -> None:
        os.kill(int((self.work / f"pid/{daemon}.pid").read_text()), signal.SIGKILL)


@contextmanager
def slurm(**settings: object) -> Iterator[Slurm]:
    """Runs a Slurm; there is one at a time on a machine."""
    with (
        open(Path(tempfile.gettempdir()) / "slurm-of-tests.lock", "a") as lock,
        tempfile.TemporaryDirectory(prefix="slurm-of-tests-", ignore_cleanup_errors=True) as work,
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Tests that were killed may have left one behind.
        for left in Path(tempfile.gettempdir()).glob("slurm-of-tests-*/pid"):
            Slurm(left.parent, {}).stop("--wipe")
        made = Slurm(Path(work), settings)
        try:
            made.start()
            yield made
        finally:
            # A test may have killed some of the daemons; stopping needs them to end the jobs.
            made.start()
            made.stop()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    """A home, tones, and a method that gets into trouble."""
    runner = Runner(tmp_path_factory.mktemp("sweeps"))
    make_tones(runner.folder / "tones")
    write_trouble(runner.folder)
    return runner


def until(there: Callable[[], bool], seconds: float = 300) -> None:
    """Waits until a condition holds."""
    deadline = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.1)
