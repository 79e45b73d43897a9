"""Products on disk: each in a folder named by its key, renamed into place when it is complete.

A stage may be killed at any moment: what it had finished lies in `KEY.part`, and the next attempt
goes on from there. Two processes that want the same product wait for each other at a lock. Where
the file system has no locks, each builds the product in a folder of its own and the first to finish
is kept, which does no harm since the content is a function of the key.
"""

import fcntl
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.core.digests import trust
from bench.core.files import explain as explain
from bench.core.files import load_array as load_array
from bench.core.files import read_json as read_json
from bench.core.files import require_writable as require_writable
from bench.core.files import this_process as _this_process
from bench.core.files import write_array as write_array
from bench.core.files import write_atomically as write_atomically
from bench.core.files import write_json as write_json
from bench.core.progress import say
from bench.core.stamp import STAMP as STAMP
from bench.core.stamp import damage_of as damage_of
from bench.core.stamp import other_versions as other_versions
from bench.core.stamp import seal as _seal
from bench.core.stamp import stamp as _stamp

PRODUCTS = {"prepare": "prepared", "pretrain": "pretrained", "embed": "embedded", "probe": "probed"}
"""Where in home the product of each stage lies."""
_LOOK_AGAIN_SECONDS = 0.5


def _set_aside(folder: Path, wrong: str) -> None:
    """Moves a damaged product out of the way, and says so."""
    aside = folder.with_name(f"{folder.name}.damaged")
    number = 1
    while aside.exists():
        number += 1
        aside = folder.with_name(f"{folder.name}.damaged-{number}")
    folder.rename(aside)
    where = f"{folder.parent.name}/{folder.name}"
    say(f"{where} is damaged ({wrong}): set aside as {aside.name}, and made again")


class Store:
    """The home folder: `STAGE/KEY/` is a finished product, `STAGE/KEY.part/` one under way.

    Attributes:
        home: the folder.
        fresh: whether products that were made under other versions of the libraries are made again.
        as_it_is: whether damaged products are left and opened, to see what is wrong.
    """

    def __init__(self, home: Path, *, fresh: bool = False, as_it_is: bool = False) -> None:
        """Opens a home; nothing is created on disk before something is produced.

        Args:
            home: the folder.
            fresh: whether products made under other versions of the libraries are made again.
            as_it_is: whether damaged products are left and opened, to see what is wrong.
        """
        self.home = home
        self.fresh = fresh
        self.as_it_is = as_it_is

    def folder(self, stage: str, key: str) -> Path:
        """The folder in which the finished product lies, or will lie."""
        return self.home / stage / key

    def has(self, stage: str, key: str) -> bool:
        """Whether the product is finished."""
        return self.folder(stage, key).is_dir()

    def ready(self, stage: str, key: str) -> bool:
        """Whether the product is finished and whole, so that `produce` would not make it again."""
        folder = self.folder(stage, key)
        if not folder.is_dir() or self._outdated(folder):
            return False
        return self.as_it_is or not damage_of(folder)

    def partial(self, stage: str, key: str) -> bool:
        """Whether an attempt at the product was begun and has not finished."""
        return self.folder(stage, key).with_suffix(".part").is_dir()

    def produce(
        self, stage: str, key: str, make: Callable[[Path], None], sources: Sequence[Path] = ()
    ) -> Path:
        """Makes a product unless it is there, and waits where another process is making it.

        With `fresh`, a product that was made under other versions of the libraries is made again.

        Args:
            stage: folder of home, such as "pretrained".
            key: of the product.
            make: fills the folder that it is given, which may hold the files of a killed attempt.
            sources: folders of the products that this one is made from.

        Returns:
            The folder of the finished product.
        """
        final = self.folder(stage, key)
        if self.ready(stage, key):
            return final
        final.parent.mkdir(parents=True, exist_ok=True)
        with self._lock(final.with_suffix(".lock"), what=f"{stage} {key}") as locked:
            if final.is_dir() and self._outdated(final):
                shutil.rmtree(final)
            elif final.is_dir() and (wrong := damage_of(final)):
                _set_aside(final, wrong)
            # Without locks two processes must not share a folder, so each begins an own one.
            work = final.with_suffix(".part" if locked else f".{_this_process()}.part")
            if not final.is_dir():
                if self._outdated(work):
                    shutil.rmtree(work)
                work.mkdir(exist_ok=True)
                _stamp(work, stage, sources)
                make(work)
                for left in work.rglob(".*.tmp"):  # of a file that a killed attempt was writing
                    left.unlink()
                _seal(work)
                _publish(work, final)
                trust(final)
            # Only now: while the product is missing, every process must meet at the same lock file.
            final.with_suffix(".lock").unlink(missing_ok=True)
        return final

    def _outdated(self, folder: Path) -> bool:
        """Whether a product, finished or not, is to be made again under the versions here."""
        return self.fresh and bool(other_versions(folder))

    @property
    def worker(self) -> str:
        """The name of this worker in lock files; "" where nobody could look it up.

        A sweep's store overrides it.
        """
        return ""

    def abandoned(self, worker: str) -> bool:
        """Whether the worker that holds a lock has lost its right to it.

        A sweep's store overrides it.

        Args:
            worker: as the lock file names it.
        """
        return False

    @contextmanager
    def _lock(self, path: Path, what: str) -> Iterator[bool]:
        """Holds an advisory lock, which the operating system drops when the process dies.

        A frozen process keeps its lock. Where its work was given to another worker, that worker
        puts a new file in place of the locked one; so whoever gets a lock checks that the locked
        file is still the one of that name.

        Args:
            path: of the lock file.
            what: is made under the lock, for the message to those who wait.

        Yields:
            Whether the lock is held; False where the file system has no locks.
        """
        told = False
        while True:
            with open(path, "a+") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    worker = _content(file.fileno())
                    # During the look-up a third process may have got the lock, or put a new file
                    # there, which must not be removed.
                    if (
                        self.abandoned(worker)
                        and _content(file.fileno()) == worker
                        and _is_file(path, file.fileno())
                    ):
                        path.unlink(missing_ok=True)
                        continue
                    if not told:
                        told = True
                        print(f"waiting: another process is at work on {what}", file=sys.stderr)
                    if self.worker:
                        # The other worker's right may end before its lock does: ask again.
                        time.sleep(_LOOK_AGAIN_SECONDS)
                        continue
                    fcntl.flock(file, fcntl.LOCK_EX)
                except OSError:
                    yield False
                    return
                if not _is_file(path, file.fileno()):
                    continue
                file.truncate(0)
                file.write(self.worker)
                file.flush()
                yield True
                return


def _publish(work: Path, final: Path) -> None:
    """Renames the folder of a complete product into place."""
    try:
        work.rename(final)
    except OSError:
        # Without locks, another process may have been first with the same content.
        if not final.is_dir():
            raise


def _content(descriptor: int) -> str:
    """The content of a lock file: the name of the worker that holds it."""
    return os.pread(descriptor, 2**16, 0).decode()


def _is_file(path: Path, descriptor: int) -> bool:
    """Whether an open file is still the one of that name."""
    try:
        named = path.stat()
    except OSError:
        return False
    opened = os.fstat(descriptor)
    return (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)
