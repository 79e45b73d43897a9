"""The attempt at a job that runs in this process: its status, heartbeat, leases and home."""

import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.core import progress
from bench.core.errors import InputError
from bench.core.progress import Stopped, say
from bench.core.store import Store, write_json
from bench.core.versions import now
from bench.sweep import lease
from bench.sweep.spec import PRODUCTS
from bench.sweep.state import HEARTBEAT_SECONDS, Tree, read_attempt, slurm_id, this_process

STALE_EXIT = 75
"""Exit status of an attempt that another one has replaced: EX_TEMPFAIL of sysexits.h."""


class RunningAttempt:
    """The attempt that runs in this process, with the files in its folder.

    Attributes:
        folder: folder of the attempt.
        leases: leases that the attempt holds; filled as they are taken.
        status: content of its `status.json`.
    """

    def __init__(self, folder: Path, launch: str) -> None:
        """Writes the first status and the first heartbeat.

        Args:
            folder: folder of the attempt.
            launch: number of the launch that started it.
        """
        self.folder = folder
        self.leases: list[lease.Lease] = []
        self.status: Tree = {
            "state": "running",
            "process": this_process(),
            "launch": launch,
            "started": now(),
            "done": [],
            "note": "",
            "slurm": slurm_id(),
            "restarts": int(os.environ.get("SLURM_RESTART_COUNT", 0)),
        }
        self._over = threading.Event()
        (folder / "heartbeat").touch()
        self.write()

    def write(self, **changes: Any) -> None:
        """Writes the status with some of its values changed."""
        self.status |= changes
        write_json(self.folder / "status.json", self.status)

    def guard(self) -> None:
        """Checks that the attempt may still write; called before anything that others read.

        Raises:
            LostLeaseError: another attempt has taken over.
            Stopped: the attempt was told to stop.
        """
        if not all(held.held for held in self.leases):
            raise lease.LostLeaseError
        if progress.stopping():
            raise Stopped(progress.stopping())

    def beat(self) -> None:
        """Touches the heartbeat every few seconds; the target of a thread of its own.

        Ends the whole process where another attempt has taken over: whatever the main thread is
        doing, it must not finish it.
        """
        while not self._over.wait(HEARTBEAT_SECONDS):
            if not all(held.held for held in self.leases):
                say("another attempt has taken over, since this one had not been heard of: ending")
                os._exit(STALE_EXIT)
            with suppress(OSError):  # a full or unreachable disk: the next beat may get through
                os.utime(self.folder / "heartbeat")

    def end(self) -> None:
        """Stops the heartbeat and gives the leases back."""
        self._over.set()
        for held in self.leases:
            with suppress(OSError):
                held.release()


class FencedStore(Store):
    """A home in which an attempt makes only its own stages, and only while it holds its leases.

    An attempt that has lost a lease finishes no product, and no job makes a product of a stage that
    belongs to another job.
    """

    def __init__(self, home: Path, attempt: RunningAttempt, job: Tree) -> None:
        """Describes the home.

        Args:
            home: the home folder.
            attempt: the attempt whose leases are checked.
            job: content of the job's file; names the stages that it computes.
        """
        super().__init__(home)
        self._guard, self._folder = attempt.guard, attempt.folder
        self._others = {
            product: stage for stage, product in PRODUCTS.items() if stage not in job["stages"]
        }

    @property
    def worker(self) -> str:
        """What names this attempt in the lock of a product: its folder."""
        return str(self._folder)

    def abandoned(self, worker: str) -> bool:
        """Whether the holder of a lock is taken for dead; this attempt then breaks the lock."""
        return bool(worker) and not read_attempt(Path(worker)).alive

    def produce(
        self, stage: str, key: str, make: Callable[[Path], None], sources: Sequence[Path] = ()
    ) -> Path:
        """Makes a product as `Store.produce` does, checking the leases before and after.

        Raises:
            InputError: the product is missing and belongs to a stage of another job.
            LostLeaseError: another attempt has taken over.
            Stopped: the attempt was told to stop.
        """
        if stage in self._others and not self.has(stage, key):
            raise InputError(
                f"what {self._others[stage]} makes is gone, and this job does not make it: "
                "launch the sweep again"
            )

        def guarded(folder: Path) -> None:
            self._guard()
            make(folder)
            self._guard()

        return super().produce(stage, key, guarded, sources)
