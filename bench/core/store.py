"""Products on disk: each in a folder named by its key, renamed into place when it is complete.

A stage may be killed at any moment: what it had finished lies in `KEY.part`, and the next attempt
goes on from there. Two processes that want the same product wait for each other at a lock. Where
the file system has no locks, each builds the product in a folder of its own and the first to finish
is kept, which does no harm since the content is a function of the key.
"""

import errno
import fcntl
import json
import os
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.digests import damage, digests, note_of, trust
from bench.core.errors import InputError
from bench.core.progress import say
from bench.core.versions import COMPUTING, DECODING, differing, library_versions, now

PRODUCTS = {"prepare": "prepared", "pretrain": "pretrained", "embed": "embedded", "probe": "probed"}
"""Where in home the product of each stage lies."""
STAMP = "made.json"
"""In every product: under which versions of the libraries it was made."""
_NO_PART = (STAMP, "state.pt")  # of a product: a checkpoint is removed once it is published
_LOOK_AGAIN_SECONDS = 0.5
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {
    errno.ENAMETOOLONG,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.EISDIR,
}


def explain(error: OSError) -> InputError | None:
    """The message for an error of the file system that the user can mend.

    Args:
        error: what the operating system reported.

    Returns:
        The error to show; None where the user cannot mend it.
    """
    where = error.filename or "the home or results folder"
    if error.errno in _FULL:
        return InputError(
            f"no space left while writing {where}: free some, "
            "or choose another disk with --home and --results"
        )
    if error.errno in _REFUSED:
        reason = os.strerror(error.errno or 0).lower()
        return InputError(f"cannot write {where} ({reason}): choose others with --home, --results")
    return None


def write_atomically(path: Path, content: bytes) -> None:
    """Writes the whole file or nothing.

    The content goes to a temporary name in the same folder, is flushed to disk, and renamed.

    Args:
        path: of the file.
        content: of the file.

    Raises:
        OSError: it cannot be written; its `filename` is the path.
    """
    temporary = path.with_name(f".{path.name}.{_this_process()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        # A failed write() carries no name; the user needs to know which disk is full.
        raise OSError(error.errno, error.strerror, str(path)) from error


def _this_process() -> str:
    """A name that no other running process has, also on other machines with the same disk."""
    return f"{socket.gethostname()}-{os.getpid()}"


def write_json(path: Path, value: Any) -> None:
    """Writes a value as JSON, atomically.

    Args:
        path: of the file.
        value: what `json` can write.

    Raises:
        ValueError: it holds NaN or an infinity, which are no JSON and stop other readers.
    """
    write_atomically(path, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Writes an array as .npy, atomically."""
    buffer = BytesIO()
    np.save(buffer, array, allow_pickle=False)
    write_atomically(path, buffer.getvalue())


def load_array(path: Path, mmap: bool = False) -> NDArray[Any]:
    """Reads an array that `write_array` wrote.

    Args:
        path: of the file.
        mmap: whether to map it into memory, read-only, instead of reading it.

    Raises:
        InputError: the file is not there or damaged.
    """
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r" if mmap else None, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            f"{path} is damaged: remove the folder {path.parent}, `bench run` makes it again"
        ) from error
    return array


def read_json(path: Path) -> Any:
    """Reads a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def require_writable(*folders: Path) -> None:
    """Creates missing folders and tries to write in each, before hours of work depend on it.

    Args:
        folders: where products and results will be written.

    Raises:
        InputError: a folder cannot be created or written to.
    """
    for folder in folders:
        trial = folder / f".writable.{os.getpid()}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            trial.write_bytes(b"?")
            trial.unlink()
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise InputError(
                f"cannot write to {folder} ({reason}): "
                "choose another folder with --home or --results"
            ) from error


def _stamp(folder: Path, stage: str, sources: Sequence[Path]) -> None:
    """Records the versions of the libraries under which a product and its sources are made.

    An attempt that goes on from what an earlier one left records the versions of both.

    Args:
        folder: of the product under way.
        stage: folder of home, such as "pretrained".
        sources: folders of the products that it is made from.
    """
    lineage: dict[str, dict[str, str]] = {}
    for source in sources:
        lineage = {**_lineage(source), **lineage}  # the nearer source says what it was made under
    versions = library_versions()
    begun = _lineage(folder).get(stage, versions)
    if differing(begun, versions, _counted(stage)):
        lineage[f"{stage}, begun"] = begun
    write_json(folder / STAMP, {"lineage": {**lineage, stage: versions}, "created": now()})


def _lineage(folder: Path) -> dict[str, dict[str, str]]:
    """The versions of a product and of all that it was made from: stage -> library -> version."""
    try:
        lineage: dict[str, dict[str, str]] = read_json(folder / STAMP)["lineage"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # nothing is there yet, or the product is damaged, which `damage_of` says
    return lineage


def _counted(stage: str) -> tuple[str, ...]:
    """The libraries whose version can change the numbers of a stage's products."""
    return DECODING if stage.startswith(("prepared", "datasets")) else COMPUTING


def other_versions(folder: Path) -> dict[str, list[str]]:
    """The libraries whose version has changed since a product, or what it is made from, was made.

    Only major and minor versions count.

    Args:
        folder: of the product.

    Returns:
        Stage -> libraries, such as ["torch 2.11.0 (here 2.14.1)"]; stages without any are left out.
    """
    here = library_versions()
    changed = {
        stage: differing(then, here, _counted(stage)) for stage, then in _lineage(folder).items()
    }
    return {stage: libraries for stage, libraries in changed.items() if libraries}


def _seal(folder: Path) -> None:
    """Writes down the digests of a product's files, the last thing before it is published."""
    stamp = read_json(folder / STAMP)
    write_json(folder / STAMP, {**stamp, "files": digests(folder, _NO_PART)})


def damage_of(folder: Path, *, in_full: bool = False) -> str:
    """What is wrong with a finished product, in words; "" where its files are as they were made.

    Args:
        folder: of the product.
        in_full: reads every byte again, in place of files that have changed since the last look.
    """
    try:
        expected = read_json(folder / STAMP)["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return f"{STAMP} is missing or damaged"
    return damage(folder, expected, in_full=in_full)


def _set_aside(folder: Path, wrong: str) -> None:
    """Moves a damaged product out of the way, and says so."""
    aside = folder.with_name(f"{folder.name}.damaged")
    number = 1
    while aside.exists():
        number += 1
        aside = folder.with_name(f"{folder.name}.damaged-{number}")
    folder.rename(aside)
    note_of(folder).unlink(missing_ok=True)
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
