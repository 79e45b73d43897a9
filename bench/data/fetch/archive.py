"""Archives, zip and tar with any compression, as members in order; damage is a one-line error."""

import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from lzma import LZMAError
from pathlib import Path
from typing import IO

from bench.data.fetch.disk import CHUNK
from bench.data.manifest import InputError


@dataclass(frozen=True)
class Member:
    """A member of an archive.

    Attributes:
        name: its path in the archive.
        size: in bytes, as its header says.
        is_folder: whether it is a folder.
        refused: what it is if it cannot be unpacked, such as "a symbolic link"; "" where it can.
        open: opens its content.
    """

    name: str
    size: int
    is_folder: bool
    refused: str
    open: Callable[[], IO[bytes] | None]


def members(archive: Path) -> Iterator[Member]:
    """The members of a zip, or of a tar with any compression, in order.

    Raises:
        InputError: the archive cannot be read.
    """
    with _reading(archive):
        if archive.suffix.lower() == ".zip":
            with zipfile.ZipFile(archive) as pack:
                for info in pack.infolist():
                    refused, opens = _odd_in_zip(info), partial(pack.open, info)
                    yield Member(info.filename, info.file_size, info.is_dir(), refused, opens)
        else:
            with tarfile.open(archive, "r:*") as tape:
                for entry in tape:
                    refused, reads = _odd_in_tar(entry), partial(tape.extractfile, entry)
                    yield Member(entry.name, entry.size, entry.isdir(), refused, reads)
                _require_end(tape)


def blocks(archive: Path, member: Member) -> Iterator[bytes]:
    """A member's content, block by block.

    Raises:
        InputError: it is not as long as its header says.
    """
    left = member.size
    with _reading(archive), closing(member.open() or open(os.devnull, "rb")) as source:
        while block := source.read(min(CHUNK, left + 1)):
            left -= len(block)
            if left < 0:
                break
            yield block
    if left:
        raise InputError(
            f"{archive}: {member.name!r} is not as long as it says: delete the archive, then fetch "
            "again"
        )


def _require_end(tape: tarfile.TarFile) -> None:
    """Refuses a tar that does not end where `tarfile` stopped.

    To tarfile a damaged header looks like the end of the archive; at the true end are zeros, or
    nothing.
    """
    content = tape.fileobj
    if content is not None:
        content.seek(tape.offset)
        if content.read(tarfile.BLOCKSIZE).strip(b"\0"):
            raise tarfile.ReadError(f"damaged at byte {tape.offset}")


def _odd_in_zip(info: zipfile.ZipInfo) -> str:
    """What a member of a zip is if it cannot be unpacked; "" where it can."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind == stat.S_IFLNK:
        return "a symbolic link"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "a device or the like"
    return "encrypted" if info.flag_bits & 1 else ""


def _odd_in_tar(entry: tarfile.TarInfo) -> str:
    """What a member of a tar is if it is neither a file nor a folder; "" where it is one."""
    if entry.issym():
        return "a symbolic link"
    if entry.islnk():
        return "a hard link"
    return "" if entry.isreg() or entry.isdir() else "a device or the like"


@contextmanager
def _reading(archive: Path) -> Iterator[None]:
    """Turns an error in an archive's content within the block into a one-line InputError."""
    try:
        yield
    except (
        zipfile.BadZipFile,
        tarfile.TarError,
        zlib.error,
        LZMAError,
        EOFError,
        NotImplementedError,
        RuntimeError,
        OSError,  # also what gzip and bz2 raise for damage
    ) as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise InputError(
            f"{archive}: no readable archive ({reason}): delete it and what it was joined of, then "
            "fetch again"
        ) from error
