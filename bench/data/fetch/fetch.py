"""Fetches the files of a data set that anyone may download: downloads, checks, joins, unpacks.

A call after a killed one goes on where that ended. This module decides what is to be downloaded and
whether what arrived is the published file. A file that has its own name is whole and checked, since
it is renamed only then; `NAME.bad` is what arrived and is not the published file. `partial` and
`unpack` say which other files lie in the folder meanwhile.
"""

import errno
import fcntl
import hashlib
import os
import shutil
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path, PurePosixPath

from bench.core.progress import say
from bench.data.fetch.disk import HaltError, flush, human, part_path, size_of, writing
from bench.data.fetch.download import download
from bench.data.fetch.job import Job, Meter, StoppedError
from bench.data.fetch.job import Patience as Patience
from bench.data.fetch.partial import forget
from bench.data.fetch.unpack import inside, is_out, join_and_unpack, tidy
from bench.data.manifest import File, InputError, Progress, some

_WORTH_A_LINE = 2**30  # bytes from which a check, which takes seconds, is announced
_DIGESTS = {"md5": 32, "sha1": 40, "sha256": 64}  # hexadecimal digits


def fetch(
    files: Sequence[File],
    folder: Path,
    *,
    workers: int = 4,
    progress: Progress = lambda done, total: None,
    patience: Patience | None = None,
    keep_archives: bool = True,
) -> list[str]:
    """Gets every file into `folder`, checked and unpacked; does only what is left to do.

    Args:
        files: the data set's files, or those that its settings need.
        folder: the data set's root; made where it is missing.
        workers: how many files arrive at the same time.
        progress: called with (done, total) bytes, from several threads but never from two at once;
            the total grows as servers say how large their files are.
        patience: how long to wait for servers and networks.
        keep_archives: whether archives stay when they are unpacked; a later call does not fetch
            them again.

    Returns:
        Notes: what was there, what could not be checked, what was unpacked.

    Raises:
        InputError: a file cannot be had, or is not the published one, or an archive cannot be
            unpacked safely. The other files have been fetched all the same, unless every one of
            them would have met the same error.
    """
    _require_sound(files)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "permission denied")
    with _alone(folder):
        job = Job(folder, workers, patience or Patience(), Meter(progress), threading.Event())
        lists = [file for file in files if file.name in {other.listed_in for other in files}]
        fetched = _obtain_all(lists, {file.name: file.checksum for file in lists}, job)
        checksums = {file.name: file.checksum or _listed(file, folder) for file in files}
        wholes = _wholes(files)
        versions = {whole: _version(parts, checksums) for whole, parts in wholes.items()}
        out = {whole for whole, version in versions.items() if is_out(folder / whole, version)}
        for whole in out:
            tidy(folder / whole, wholes[whole], folder, keep_archives=keep_archives)
        todo = [
            file for file in files if file not in lists and (file.part_of or file.name) not in out
        ]
        _require_space(todo, job, keep_archives=keep_archives)
        arrived: dict[str, int] = Counter()

        def finish(file: File) -> None:
            """Joins and unpacks an archive when its last part is there; other downloads go on."""
            whole = file.part_of or file.name
            arrived[whole] += 1
            if arrived[whole] == len(wholes.get(whole, ())):
                join_and_unpack(folder / whole, wholes[whole], folder, versions[whole])
                tidy(folder / whole, wholes[whole], folder, keep_archives=keep_archives)

        fetched += _obtain_all(todo, checksums, job, finish)
    return _notes(files, checksums, fetched, wholes, out)


def _require_sound(files: Sequence[File]) -> None:
    """Refuses names that lead out of the folder, or that two files share."""
    for file in files:
        for name in filter(None, (file.name, file.part_of, file.listed_in)):
            inside(name, "the data set's list of files")
    twice = [name for name, count in Counter(file.name for file in files).items() if count > 1]
    if twice:
        raise InputError(f"{some(twice)}: listed twice among the data set's files")


def _wholes(files: Iterable[File]) -> dict[str, list[File]]:
    """Name of each archive to be joined or unpacked -> the files it is made of, in order."""
    wholes = defaultdict(list)
    for file in files:
        if file.unpack or file.part_of:
            wholes[file.part_of or file.name].append(file)
    return dict(wholes)


def _version(parts: Iterable[File], checksums: Mapping[str, str]) -> str:
    """Names the published version of an archive: of another one, everything is unpacked anew."""
    return " ".join(checksums[file.name] or f"bytes:{file.bytes}" for file in parts)


def _listed(file: File, folder: Path) -> str:
    """The checksum that the list of checksums gives for a file, such as "sha256:…".

    "" for a file that is not `listed_in` one.

    Raises:
        InputError: the list cannot be read, or does not name the file.
    """
    if not file.listed_in:
        return ""
    path = folder / file.listed_in
    wanted = PurePosixPath(file.name).name
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: no readable list of checksums ({error}): delete it, then fetch again"
        ) from error
    for line in lines:
        digest, name = (*line.split(maxsplit=1), "", "")[:2]
        if PurePosixPath(name.strip().lstrip("*")).name == wanted:
            kind = next((kind for kind, length in _DIGESTS.items() if length == len(digest)), "")
            if kind:
                return f"{kind}:{digest.lower()}"
    raise InputError(
        f"{path}: no checksum of {wanted}; lines 'digest name' are needed: delete it, then fetch "
        "again"
    )


def _require_space(files: Sequence[File], job: Job, *, keep_archives: bool) -> None:
    """Compares the sizes that are known with the free space, before hours are spent.

    Raises:
        HaltError: there is not enough space.
    """
    missing = [file for file in files if not (job.folder / file.name).exists()]
    arriving = sorted(
        max(0, (file.bytes or 0) - size_of(part_path(job.folder / file.name))) for file in missing
    )
    if not keep_archives:
        # At any time, those that arrive and one that is being unpacked; at worst, the largest.
        arriving = arriving[-job.workers - 1 :]
    # The content of an archive is at least as large as itself, and parts are joined beforehand.
    unpacking = sum((file.bytes or 0) * (file.unpack + bool(file.part_of)) for file in files)
    free = shutil.disk_usage(job.folder).free
    if sum(arriving) + unpacking > free:
        raise HaltError(
            f"{job.folder}: {human(free)} free on its disk; at least "
            f"{human(sum(arriving) + unpacking)} needed ({human(sum(arriving))} to fetch, the rest "
            "to unpack): free some, or choose another disk"
        )


def _obtain_all(
    files: Sequence[File],
    checksums: Mapping[str, str],
    job: Job,
    finish: Callable[[File], None] = lambda file: None,
) -> list[str]:
    """Obtains several files at the same time.

    Args:
        files: the files.
        checksums: name of each file -> its checksum, or "".
        job: what the downloads share.
        finish: called in this thread for each file that is there.

    Returns:
        Names of the files that had to be downloaded.

    Raises:
        InputError: some files could not be had; names the first error and the other files.
    """
    fetched: list[str] = []
    errors: list[InputError] = []
    for file in files:
        job.meter.at(file.name, 0, file.bytes)
    with ThreadPoolExecutor(job.workers) as pool:
        futures = {pool.submit(_obtain, file, checksums[file.name], job): file for file in files}
        try:
            for future in as_completed(futures):
                try:
                    if future.result():
                        fetched.append(futures[future].name)
                    finish(futures[future])
                except StoppedError:
                    continue
                except InputError as error:
                    errors.append(error)
                    if isinstance(error, HaltError):
                        job.stop.set()
        except BaseException:
            job.stop.set()
            raise
    if errors:
        # An error that ended the work for all files is the one to mend first.
        first = next((error for error in errors if isinstance(error, HaltError)), errors[0])
        others = [str(error).partition(": ")[0] for error in errors if error is not first]
        raise InputError(
            f"{first} (not fetched either: {some(others)})" if others else str(first)
        ) from first
    return fetched


def _obtain(file: File, checksum: str, job: Job) -> bool:
    """Checks a file that is there, or downloads it; returns whether it was downloaded."""
    job.go_on()
    path = job.folder / file.name
    part = part_path(path)
    with writing(path):
        if path.exists():
            problem = _problem(path, file, checksum) if path.is_file() else "a folder"
            if problem:
                raise InputError(
                    f"{path}: there already, but {problem}: move or delete it, then fetch again"
                )
            job.meter.at(file.name, size_of(path), size_of(path))
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        download(file, part, job)
        problem = _problem(part, file, checksum)
        if problem:
            part.replace(bad := path.with_name(f"{path.name}.bad"))
            forget(part)
            raise InputError(
                f"{path}: what {file.url} sent is {problem}; kept as {bad.name}: fetch again, and "
                "if that ends the same, the file on the server is no longer the published one"
            )
        flush(part)
        part.replace(path)
        flush(path.parent)
        forget(part)
    return True


def _problem(path: Path, file: File, checksum: str) -> str:
    """Why a file is not the published one, by size, checksum or look; "" where it may be."""
    if file.bytes is not None and size_of(path) != file.bytes:
        return f"of {size_of(path)} bytes where {file.bytes} are published"
    if checksum:
        kind, _, digest = checksum.partition(":")
        if len(digest) != _DIGESTS.get(kind):
            raise InputError(
                f"{file.name}: no checksum {checksum!r}; known: {', '.join(_DIGESTS)}, as in "
                "'md5:…'"
            )
        if size_of(path) > _WORTH_A_LINE:
            say(f"checking the {kind} of {file.name}")
        with open(path, "rb") as content:
            method = partial(hashlib.new, kind, usedforsecurity=False)
            actual = hashlib.file_digest(content, method).hexdigest()
        if actual != digest.lower():
            return f"with {kind} {actual} where {digest} is published"
    elif not file.name.endswith((".html", ".htm")) and _looks_like_a_page(path):
        return "a web page"
    return ""


def _looks_like_a_page(path: Path) -> bool:
    """Whether a file begins as HTML does, after a byte order mark and white space."""
    with open(path, "rb") as content:
        start = content.read(512).lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return start.startswith((b"<!doctype html", b"<html"))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keeps other processes from fetching into the folder: they would write the same `.part`.

    The system drops the lock of a process that is killed.
    """
    with writing(folder):
        lock = open(folder / ".fetch.lock", "a")  # noqa: SIM115
    with closing(lock):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{folder}: another process is fetching into it: let it end, or end it"
            ) from None
        except OSError:
            pass  # the file system has no locks: go on without one
        yield


def _notes(
    files: Sequence[File],
    checksums: Mapping[str, str],
    fetched: Sequence[str],
    wholes: Mapping[str, list[File]],
    out: set[str],
) -> list[str]:
    """What a user should know of a call: what was there, fetched, checked and unpacked.

    Args:
        files: all files.
        checksums: name of each file -> its checksum, or "".
        fetched: names of the files that were downloaded.
        wholes: see `_wholes`.
        out: names of the archives that an earlier call had unpacked.
    """
    unpacked = [whole for whole, parts in wholes.items() if any(file.unpack for file in parts)]
    looked_at = [file for file in files if (file.part_of or file.name) not in out]
    unchecked = [file for file in looked_at if not checksums[file.name]]
    by_size = [file.name for file in unchecked if file.bytes is not None]
    unknown = [file.name for file in unchecked if file.bytes is None]
    there = [file.name for file in looked_at if file.name not in fetched]
    lists = {
        "fetched": fetched,
        "there already": there,
        "checked by size alone, no checksum is published": by_size,
        "not checked, neither checksum nor size is published": unknown,
        "unpacked": [whole for whole in unpacked if whole not in out],
        "unpacked by an earlier fetch": sorted(out),
    }
    return [f"{what}: {some(names)}" for what, names in lists.items() if names]
