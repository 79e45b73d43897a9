"""Reads and writes small files whole: JSON, arrays, and the messages for full or closed disks."""

import errno
import json
import os
import socket
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import InputError

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
    temporary = path.with_name(f".{path.name}.{this_process()}.tmp")
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


def this_process() -> str:
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
