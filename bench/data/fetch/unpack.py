"""Unpacks archives: joins parts, inspects every member, extracts all aside, moves it into place.

Beside each archive lie `.NAME.unpacking/` while it is being unpacked, and `.NAME.unpacked` when all
of it has been.
"""

import filecmp
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from bench.core.progress import say
from bench.core.store import read_json, write_json
from bench.data.fetch.archive import blocks, members
from bench.data.fetch.disk import HaltError, flush, human, part_path, size_of, writing
from bench.data.manifest import File, InputError

_BLOCK = 4096  # bytes that even an empty file takes on a disk
_MOST_EXPANSION = 200  # times its own size; archives of audio and tables stay far below this
_SMALL = 2**30  # bytes that any archive may unpack to, however small it is


def join_and_unpack(whole: Path, parts: Sequence[File], folder: Path, version: str) -> None:
    """Joins the parts of an archive, if it has any, and unpacks it, if that is wanted.

    Args:
        whole: path of the archive.
        parts: the files that it is made of, in order; one, itself, where it has no parts.
        folder: what the names of the parts are relative to.
        version: names the published version of the archive.

    Raises:
        InputError: the archive is damaged or cannot be unpacked safely, or something else is in its
            place.
    """
    if parts[0].part_of:
        _join([folder / file.name for file in parts], whole)
    if any(file.unpack for file in parts):
        _unpack(whole, version)


def _join(parts: Sequence[Path], whole: Path) -> None:
    """Writes the parts one after the other into one file, unless that is there already."""
    size = sum(map(size_of, parts))
    if whole.exists():
        if size_of(whole) != size:
            raise InputError(
                f"{whole}: has {size_of(whole)} bytes, its {len(parts)} parts {size}: move or "
                "delete it, then fetch again"
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
    """The names at the top of an archive, from the marker of its finished unpacking.

    None where there is no marker, or that of another version.
    """
    try:
        marker = read_json(path)
        return [str(name) for name in marker["names"]] if marker["version"] == version else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def is_out(archive: Path, version: str) -> bool:
    """Whether all of an archive has been unpacked, and its content is still there."""
    names = _read_marker(_marker(archive), version)
    return names is not None and all((archive.parent / name).exists() for name in names)


def _unpack(archive: Path, version: str) -> None:
    """Unpacks an archive into its folder: first into a folder aside, then by renaming.

    After a killed call it goes on with the renaming, or extracts all again if it did not get there.
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
            # Everything is on the disk before the marker says so. To flush file by file would take
            # minutes for 100 000 files.
            os.sync()
            names = sorted(path.name for path in (work / "files").iterdir())
            write_json(marker, {"version": version, "names": names})
    with writing(archive.parent):
        _move(work / "files", archive.parent, archive)
        marker.replace(_marker(archive))
        flush(archive.parent)


def tidy(whole: Path, parts: Sequence[File], folder: Path, *, keep_archives: bool) -> None:
    """Removes what is not needed once an archive has been unpacked.

    That is the folder aside, an archive that was joined from parts, and with `keep_archives` False
    the files it is made of.
    """
    if any(file.unpack for file in parts):
        shutil.rmtree(_work(whole), ignore_errors=True)
        if parts[0].part_of and size_of(whole) == sum(
            size_of(folder / file.name) for file in parts
        ):
            whole.unlink(missing_ok=True)  # the parts can make it again
        for file in parts if not keep_archives else ():
            (folder / file.name).unlink(missing_ok=True)


def _inspect(archive: Path) -> tuple[int, int]:
    """Inspects the header of every member, before the first one is written.

    Returns:
        (number of files, their bytes).

    Raises:
        InputError: a member would land outside the folder, is no plain file, or has the name of
            another; or together they are too large.
    """
    files: set[PurePosixPath] = set()
    folders: set[PurePosixPath] = set()
    free = shutil.disk_usage(archive.parent).free
    most = max(_SMALL, _MOST_EXPANSION * size_of(archive))
    size = on_disk = 0
    for member in members(archive):
        path = inside(member.name, archive.name)
        if member.refused:
            raise InputError(
                f"{archive}: {member.name!r} is {member.refused}, which is not unpacked; "
                "nothing was"
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
        # Checked at each member and not at the end: to get to the next header of a compressed tar,
        # all of the content before it is decompressed.
        if size > most:
            raise InputError(
                f"{archive}: unpacks to more than {human(most)} from {human(size_of(archive))}, as "
                "no data set does; nothing was unpacked"
            )
        if on_disk > free:
            raise HaltError(
                f"{archive}: needs more than {human(on_disk)} unpacked and {human(free)} are free: "
                "free some, then fetch again"
            )
    both = files & folders
    if both:
        raise InputError(
            f"{archive}: {str(min(both))!r} is a file and a folder in it; nothing was unpacked"
        )
    return len(files), size


def inside(name: str, where: str) -> PurePosixPath:
    """The path that a member's name stands for, if it stays inside the folder on any system.

    Args:
        name: of the member.
        where: names the archive or list in the message.

    Raises:
        InputError: the path would lead out of the folder.
    """
    path = PurePosixPath(name)
    is_odd = "\\" in name or "\0" in name or re.match("[A-Za-z]:", name)
    is_empty = not (path.parts or name.strip("./") == "" != name)  # "./" is the folder itself
    if is_odd or path.is_absolute() or ".." in path.parts or is_empty:
        raise InputError(f"{where}: {name!r} would lead out of the folder; nothing was unpacked")
    return path


def _extract(archive: Path, into: Path) -> None:
    """Writes the members into a folder; the permissions in the archive are not applied."""
    for member in members(archive):
        path = into / inside(member.name, archive.name)
        with writing(path):
            (path if member.is_folder else path.parent).mkdir(parents=True, exist_ok=True)
            if not member.is_folder:
                with open(path, "xb") as out:
                    for block in blocks(archive, member):
                        out.write(block)


def _move(source: Path, target: Path, archive: Path) -> None:
    """Moves the content of a folder into another, which may hold some of it already.

    Raises:
        InputError: something else is in the place of a file; it is left as it is.
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
                f"{there}: there already, and not what {archive.name} holds: move or delete it, "
                "then fetch again"
            )
