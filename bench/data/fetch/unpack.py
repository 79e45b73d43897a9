"""Archives: joins their parts, looks at every member, extracts all aside, then moves it into place.

On disk, beside each archive: `.NAME.unpacking/` (on its way out) and `.NAME.unpacked` (it is out,
whole).
"""

import filecmp
import os
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import IO

from bench.core.progress import say
from bench.core.store import read_json, write_json
from bench.data.fetch.disk import CHUNK, HaltError, flush, human, part_path, size_of, writing
from bench.data.manifest import File, InputError

_BLOCK = 4096  # bytes that even an empty file takes on a disk
_MOST_EXPANSION = 200  # no archive of audio or tables comes near; a decompression bomb does
_SMALL = 2**30  # bytes that an archive may unpack to whatever its own size


@dataclass(frozen=True)
class _Member:
    """A file or folder in an archive; `refused` says what else it is."""

    name: str
    size: int
    is_folder: bool
    refused: str
    open: Callable[[], IO[bytes] | None]


def join_and_unpack(whole: Path, parts: Sequence[File], folder: Path, version: str) -> None:
    """Joins the parts of an archive, if it has any, and unpacks it, if that is wanted."""
    if parts[0].part_of:
        _join([folder / file.name for file in parts], whole)
    if any(file.unpack for file in parts):
        _unpack(whole, version)


def _join(parts: Sequence[Path], whole: Path) -> None:
    size = sum(map(size_of, parts))
    if whole.exists():
        if size_of(whole) != size:
            raise InputError(
                f"{whole}: has {size_of(whole)} bytes, its {len(parts)} parts {size}: move or delete it, then fetch "
                "again"
            )
        return
    part = part_path(whole)
    with writing(part):
        with open(part, "wb") as out:
            for path in parts:
                with open(path, "rb") as piece:
                    shutil.copyfileobj(piece, out, 2**20)
        flush(part)
        part.replace(whole)


def _marker(archive: Path) -> Path:
    return archive.with_name(f".{archive.name}.unpacked")


def _work(archive: Path) -> Path:
    return archive.with_name(f".{archive.name}.unpacking")


def _read_marker(path: Path, version: str) -> list[str] | None:
    """Names at the top of an archive whose unpacking has ended, or None where it has not, or another version's has."""
    try:
        marker = read_json(path)
        return [str(name) for name in marker["names"]] if marker["version"] == version else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def is_out(archive: Path, version: str) -> bool:
    """Whether all of an archive has been unpacked, and nobody has taken it away since."""
    names = _read_marker(_marker(archive), version)
    return names is not None and all((archive.parent / name).exists() for name in names)


def _unpack(archive: Path, version: str) -> None:
    """Unpacks an archive into its folder: first aside, then by renaming.

    A killed one starts anew or goes on moving.
    """
    work = _work(archive)
    marker = work / "whole.json"
    if _read_marker(marker, version) is None:
        count, size = _inspect(archive)
        say(f"unpacking {archive.name}: {count} files of {human(size)}")
        with writing(work):
            if work.exists():
                shutil.rmtree(work)
            (work / "files").mkdir(parents=True)
        try:
            _extract(archive, work / "files")
        except InputError:
            shutil.rmtree(work, ignore_errors=True)
            raise
        with writing(work):
            # before the marker says that all is there; file by file would take minutes for 100 000
            os.sync()
            names = sorted(path.name for path in (work / "files").iterdir())
            write_json(marker, {"version": version, "names": names})
    with writing(archive.parent):
        _move(work / "files", archive.parent, archive)
        marker.replace(_marker(archive))
        flush(archive.parent)


def tidy(whole: Path, parts: Sequence[File], folder: Path, *, keep_archives: bool) -> None:
    """Removes what an unpacked archive no longer needs."""
    if any(file.unpack for file in parts):
        shutil.rmtree(_work(whole), ignore_errors=True)
        if parts[0].part_of and size_of(whole) == sum(
            size_of(folder / file.name) for file in parts
        ):
            whole.unlink(missing_ok=True)  # the parts can make it again
        for file in parts if not keep_archives else ():
            (folder / file.name).unlink(missing_ok=True)


def _inspect(archive: Path) -> tuple[int, int]:
    """Looks at every member's header before the first is written.

    Returns how many files, and their bytes.

    Raises:
        InputError: a member would land elsewhere, is no plain file, or stands twice; or all are too
            large.
    """
    files: set[PurePosixPath] = set()
    folders: set[PurePosixPath] = set()
    free = shutil.disk_usage(archive.parent).free
    most = max(_SMALL, _MOST_EXPANSION * size_of(archive))
    size = on_disk = 0
    for member in _members(archive):
        path = inside(member.name, archive.name)
        if member.refused:
            raise InputError(
                f"{archive}: {member.name!r} is {member.refused}, which is not unpacked; nothing was"
            )
        folders.update(path.parents)
        if member.is_folder:
            folders.add(path)
            continue
        if path in files:
            raise InputError(f"{archive}: {member.name!r} stands in it twice; nothing was unpacked")
        if member.size < 0:
            raise InputError(
                f"{archive}: {member.name!r} has a size below nothing; nothing was unpacked"
            )
        files.add(path)
        size += member.size
        on_disk += -(-max(member.size, 1) // _BLOCK) * _BLOCK
        # Here and not at the end: in a compressed tar the way to the next header leads through all
        # of the content.
        if size > most:
            raise InputError(
                f"{archive}: unpacks to more than {human(most)} from {human(size_of(archive))}, as no data set does; "
                "nothing was unpacked"
            )
        if on_disk > free:
            raise HaltError(
                f"{archive}: needs more than {human(on_disk)} unpacked and {human(free)} are free: free some, then "
                "fetch again"
            )
    both = files & folders
    if both:
        raise InputError(
            f"{archive}: {str(min(both))!r} is a file and a folder in it; nothing was unpacked"
        )
    return len(files), size


def inside(name: str, where: str) -> PurePosixPath:
    """A member's name as a path that stays inside the folder, on any system."""
    path = PurePosixPath(name)
    is_odd = "\\" in name or "\0" in name or re.match("[A-Za-z]:", name)
    if (
        is_odd
        or path.is_absolute()
        or ".." in path.parts
        or not (path.parts or name.strip("./") == "" != name)
    ):
        raise InputError(f"{where}: {name!r} would lead out of the folder; nothing was unpacked")
    return path


def _extract(archive: Path, into: Path) -> None:
    """Writes the members, with permissions of our own making."""
    for member in _members(archive):
        path = into / inside(member.name, archive.name)
        with writing(path):
            (path if member.is_folder else path.parent).mkdir(parents=True, exist_ok=True)
            if not member.is_folder:
                with open(path, "xb") as out:
                    for block in _blocks(archive, member):
                        out.write(block)


def _blocks(archive: Path, member: _Member) -> Iterator[bytes]:
    """A member's content, of the length that its header says and no longer."""
    left = member.size
    with _reading(archive), closing(member.open() or open(os.devnull, "rb")) as source:
        while block := source.read(min(CHUNK, left + 1)):
            left -= len(block)
            if left < 0:
                break
            yield block
    if left:
        raise InputError(
            f"{archive}: {member.name!r} is not as long as it says: delete the archive, then fetch again"
        )


def _members(archive: Path) -> Iterator[_Member]:
    """Members of a zip, or of a tar however compressed, in order."""
    with _reading(archive):
        if archive.suffix.lower() == ".zip":
            with zipfile.ZipFile(archive) as pack:
                for info in pack.infolist():
                    yield _Member(
                        info.filename,
                        info.file_size,
                        info.is_dir(),
                        _odd_in_zip(info),
                        partial(pack.open, info),
                    )
        else:
            with tarfile.open(archive, "r:*") as tape:
                for entry in tape:
                    yield _Member(
                        entry.name,
                        entry.size,
                        entry.isdir(),
                        _odd_in_tar(entry),
                        partial(tape.extractfile, entry),
                    )
                _require_end(tape)


def _require_end(tape: tarfile.TarFile) -> None:
    """A damaged header looks like the end to tarfile; at a true one are zeros, or nothing."""
    content = tape.fileobj
    if content is not None:
        content.seek(tape.offset)
        if content.read(tarfile.BLOCKSIZE).strip(b"\0"):
            raise tarfile.ReadError(f"damaged at byte {tape.offset}")


def _odd_in_zip(info: zipfile.ZipInfo) -> str:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind == stat.S_IFLNK:
        return "a symbolic link"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "a device or the like"
    return "encrypted" if info.flag_bits & 1 else ""


def _odd_in_tar(entry: tarfile.TarInfo) -> str:
    if entry.issym():
        return "a symbolic link"
    if entry.islnk():
        return "a hard link"
    return "" if entry.isreg() or entry.isdir() else "a device or the like"


@contextmanager
def _reading(archive: Path) -> Iterator[None]:
    """Errors in an archive's content as one line."""
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
        OSError,  # also of gzip and bz2, for damage
    ) as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise InputError(
            f"{archive}: no readable archive ({reason}): delete it and what it was joined of, then fetch again"
        ) from error


def _move(source: Path, target: Path, archive: Path) -> None:
    """Moves all of a folder into another that may hold some of it already.

    Never replaces what differs.
    """
    for here in sorted(source.iterdir()):
        there = target / here.name
        if not os.path.lexists(there):
            here.rename(there)
        elif here.is_dir() and there.is_dir():
            _move(here, there, archive)
        elif here.is_file() and there.is_file() and filecmp.cmp(here, there, shallow=False):
            here.unlink()
        else:
            raise InputError(
                f"{there}: there already, and not what {archive.name} holds: move or delete it, then fetch again"
            )
