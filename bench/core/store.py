"""Products on disk: each under the hash of what it depends on, built under a temporary name and renamed when whole.

A stage may be killed at any moment: what it had finished lies in `KEY.part` and is taken up again.
Two processes that want the same product queue at a lock; where the file system has no locks each
builds it in a folder of its own, and the first to end is kept: the content is a function of the
key.
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

from bench.core.errors import InputError
from bench.core.versions import COMPUTING, DECODING, differing, library_versions, now

PRODUCTS = {"prepare": "prepared", "pretrain": "pretrained", "embed": "embedded", "probe": "probed"}
"""Where in home the product of each stage lies."""
STAMP = "made.json"
"""In every product: under which versions of the libraries it was made."""
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
    """The line for an error of the file system that a user can mend; None for any other."""
    where = error.filename or "the home or results folder"
    if error.errno in _FULL:
        return InputError(
            f"no space left while writing {where}: free some, or choose another disk with --home and --results"
        )
    if error.errno in _REFUSED:
        return InputError(
            f"cannot write {where} ({os.strerror(error.errno or 0).lower()}): choose others with --home, --results"
        )
    return None


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a whole file or nothing: to a temporary name in the same folder, flushed to disk, then renamed."""
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
    return f"{socket.gethostname()}-{os.getpid()}"


def write_json(path: Path, value: Any) -> None:
    """Writes JSON atomically.

    NaN is refused: it is no JSON, and other readers would choke on it.
    """
    write_atomically(path, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Writes one array as .npy, atomically."""
    buffer = BytesIO()
    np.save(buffer, array, allow_pickle=False)
    write_atomically(path, buffer.getvalue())


def load_array(path: Path, mmap: bool = False) -> NDArray[Any]:
    """Reads one array, or maps it into memory.

    Raises:
        InputError: it is not there or damaged.
    """
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r" if mmap else None, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            f"{path} is damaged: remove the folder {path.parent}, `bench run` makes it again"
        ) from error
    return array


def read_json(path: Path) -> Any:
    """Reads JSON."""
    return json.loads(path.read_text(encoding="utf-8"))


def require_writable(*folders: Path) -> None:
    """Makes the folders where they are missing, and a file in each, before hours of work depend on them.

    Raises:
        InputError: one cannot be made or written.
    """
    for folder in folders:
        probe = folder / f".writable.{os.getpid()}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe.write_bytes(b"?")
            probe.unlink()
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise InputError(
                f"cannot write to {folder} ({reason}): choose another folder with --home or --results"
            ) from error


def _stamp(folder: Path, stage: str, sources: Sequence[Path]) -> None:
    """Writes down under which versions of the libraries a product is made, and those it is made from were.

    An attempt that goes on from what an earlier one left keeps the versions of that one beside its own.
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
    """Stage -> versions of the libraries, of a product and of all that it was made from."""
    path = folder / STAMP
    lineage: dict[str, dict[str, str]] = read_json(path)["lineage"] if path.is_file() else {}
    return lineage


def _counted(stage: str) -> tuple[str, ...]:
    """The libraries whose version can change the numbers of a stage's products."""
    return DECODING if stage.startswith(("prepared", "datasets")) else COMPUTING


def other_versions(folder: Path) -> dict[str, list[str]]:
    """What of a product, or of those it was made from, was made under other versions than those here.

    Only major and minor versions count.

    Args:
        folder: of the product.

    Returns:
        Stage -> such as ["torch 2.11.0 (here 2.14.1)"]; empty where all is of these versions.
    """
    here = library_versions()
    found = {
        stage: differing(then, here, _counted(stage)) for stage, then in _lineage(folder).items()
    }
    return {stage: libraries for stage, libraries in found.items() if libraries}


class Store:
    """The home folder: `STAGE/KEY/` is a finished product, `STAGE/KEY.part/` one under way."""

    def __init__(self, home: Path, *, fresh: bool = False) -> None:
        """Opens a home; nothing is created before something is produced.

        Args:
            home: the folder.
            fresh: whether products that were made under other versions of the libraries are made again.
        """
        self.home = home
        self.fresh = fresh

    def folder(self, stage: str, key: str) -> Path:
        """Where the finished product lies, or will."""
        return self.home / stage / key

    def has(self, stage: str, key: str) -> bool:
        """Whether the product is finished."""
        return self.folder(stage, key).is_dir()

    def ready(self, stage: str, key: str) -> bool:
        """Whether the product is finished, and `produce` would not make it again."""
        return self.has(stage, key) and not self._outdated(self.folder(stage, key))

    def partial(self, stage: str, key: str) -> bool:
        """Whether a start has been made on the product."""
        return self.folder(stage, key).with_suffix(".part").is_dir()

    def produce(
        self, stage: str, key: str, make: Callable[[Path], None], sources: Sequence[Path] = ()
    ) -> Path:
        """The product's folder, made by `make(folder)` if it is not there.

        With `fresh`, a product that was made under other versions of the libraries is made again.

        Args:
            stage: folder of home, such as "pretrained".
            key: of the product.
            make: fills a folder, which holds whatever an earlier, killed attempt left in it.
            sources: folders of the products that this one is made from.
        """
        final = self.folder(stage, key)
        if final.is_dir() and not self._outdated(final):
            return final
        final.parent.mkdir(parents=True, exist_ok=True)
        with self._lock(final.with_suffix(".lock"), what=f"{stage} {key}") as locked:
            if final.is_dir() and self._outdated(final):
                shutil.rmtree(final)
            # Without locks two processes must not share a folder: each starts from nothing in one of its own.
            work = final.with_suffix(".part" if locked else f".{_this_process()}.part")
            if not final.is_dir():
                if self._outdated(work):
                    shutil.rmtree(work)
                work.mkdir(exist_ok=True)
                _stamp(work, stage, sources)
                make(work)
                for left in work.rglob(".*.tmp"):  # of a file that a killed attempt was writing
                    left.unlink()
                _publish(work, final)
            # Only now: while the product is missing, every process must meet at the same lock file.
            final.with_suffix(".lock").unlink(missing_ok=True)
        return final

    def _outdated(self, folder: Path) -> bool:
        """Whether a product, or the start of one, is to be made again for the libraries it was made with."""
        return self.fresh and bool(other_versions(folder))

    @property
    def worker(self) -> str:
        """Who makes products here, as lock files name it; "" for nobody that could be looked up."""
        return ""

    def abandoned(self, worker: str) -> bool:
        """Whether a worker that holds a lock has no right to it any more."""
        return False

    @contextmanager
    def _lock(self, path: Path, what: str) -> Iterator[bool]:
        """Holds an advisory lock, which the system drops when the process dies.

        False where there are no locks. A process that was frozen keeps its lock for as long as it
        is. Where its work was given to another, that one puts a new file in place of the locked
        one; so who gets a lock looks whether it is still that of the file.
        """
        told = False
        while True:
            with open(path, "a+") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    worker = _content(file.fileno())
                    # While it was looked up, another may have got the lock, or put a new file
                    # there: not its to lose.
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
                    if (
                        self.worker
                    ):  # looks again, since the other's right may end before its lock does
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
    try:
        work.rename(final)
    except OSError:
        if (
            not final.is_dir()
        ):  # else: without locks, the other process was first with the same content
            raise


def _content(descriptor: int) -> str:
    """Of a lock file: who holds it."""
    return os.pread(descriptor, 2**16, 0).decode()


def _is_file(path: Path, descriptor: int) -> bool:
    """Whether an open file is the one of that name."""
    try:
        found = path.stat()
    except OSError:
        return False
    opened = os.fstat(descriptor)
    return (found.st_dev, found.st_ino) == (opened.st_dev, opened.st_ino)
