"""Fetch: downloads what a data set names as open to anyone, checks it, joins and unpacks it.

A killed one goes on. Owns the plan: what is there, what is to be had, what of it is the published
file, and the notes on all that. A file under its own name is whole and checked: it was renamed only
then. Beside it, `NAME.bad` is what arrived and is not the published file. `download` and `unpack`
say what else lies there meanwhile.
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
from bench.data.fetch.download import Job, Meter, StoppedError, download, forget
from bench.data.fetch.download import Patience as Patience
from bench.data.fetch.unpack import inside, is_out, join_and_unpack, tidy
from bench.data.manifest import File, InputError, Progress, some

_WORTH_A_LINE = 2**30  # bytes that take seconds to check
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
    """Makes every file be in `folder`, whole, checked and unpacked; does only what is left to do.

    Args:
        files: of the data set, or of those of its settings.
        folder: the data set's root; made where it is missing.
        workers: how many files arrive at the same time.
        progress: called with (done, total) bytes, from several threads but never at once; the total
            grows as servers say how large their files are.
        patience: with servers and networks.
        keep_archives: whether archives stay when they are unpacked; a later call does not miss
            them.

    Returns:
        Notes: what was there, what could not be checked, what was unpacked.

    Raises:
        InputError: a file cannot be had, or is not the published one, or an archive cannot be
            unpacked safely. The other files have been fetched all the same, unless the reason would
            have met them too.
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
            """Joins and unpacks when the last part is there: meanwhile the other files go on arriving."""
            whole = file.part_of or file.name
            arrived[whole] += 1
            if arrived[whole] == len(wholes.get(whole, ())):
                join_and_unpack(folder / whole, wholes[whole], folder, versions[whole])
                tidy(folder / whole, wholes[whole], folder, keep_archives=keep_archives)

        fetched += _obtain_all(todo, checksums, job, finish)
    return _notes(files, checksums, fetched, wholes, out)


def _require_sound(files: Sequence[File]) -> None:
    """Refuses names that lead out of the folder or stand twice: two threads would write the same file."""
    for file in files:
        for name in filter(None, (file.name, file.part_of, file.listed_in)):
            inside(name, "the data set's list of files")
    twice = [name for name, count in Counter(file.name for file in files).items() if count > 1]
    if twice:
        raise InputError(f"{some(twice)}: listed twice among the data set's files")


def _wholes(files: Iterable[File]) -> dict[str, list[File]]:
    """The files that become something else: name of the whole archive -> its parts in order."""
    wholes = defaultdict(list)
    for file in files:
        if file.unpack or file.part_of:
            wholes[file.part_of or file.name].append(file)
    return dict(wholes)


def _version(parts: Iterable[File], checksums: Mapping[str, str]) -> str:
    """What is published of an archive: when that changes, what was unpacked is out of date."""
    return " ".join(checksums[file.name] or f"bytes:{file.bytes}" for file in parts)


def _listed(file: File, folder: Path) -> str:
    """The checksum that a list gives for a file; "" where there is no list."""
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
        f"{path}: no checksum of {wanted}; lines 'digest name' are needed: delete it, then fetch again"
    )


def _require_space(files: Sequence[File], job: Job, *, keep_archives: bool) -> None:
    """Compares what is known of the sizes with the free space, before hours are spent."""
    missing = [file for file in files if not (job.folder / file.name).exists()]
    arriving = sorted(
        max(0, (file.bytes or 0) - size_of(part_path(job.folder / file.name))) for file in missing
    )
    if not keep_archives:
        arriving = arriving[
            -job.workers - 1 :
        ]  # those on their way, and one that is being unpacked
    # What is in it is at least as large as an archive; pieces are joined before they are unpacked.
    unpacking = sum((file.bytes or 0) * (file.unpack + bool(file.part_of)) for file in files)
    free = shutil.disk_usage(job.folder).free
    if sum(arriving) + unpacking > free:
        raise HaltError(
            f"{job.folder}: {human(free)} free on its disk; at least {human(sum(arriving) + unpacking)} needed "
            f"({human(sum(arriving))} to fetch, the rest to unpack): free some, or choose another disk"
        )


def _obtain_all(
    files: Sequence[File],
    checksums: Mapping[str, str],
    job: Job,
    finish: Callable[[File], None] = lambda file: None,
) -> list[str]:
    """Obtains files side by side and calls `finish` for each that is there.

    Returns the names of those fetched.
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
        # One that halted the work is what to mend first.
        first = next((error for error in errors if isinstance(error, HaltError)), errors[0])
        others = [str(error).partition(": ")[0] for error in errors if error is not first]
        raise InputError(
            f"{first} (not fetched either: {some(others)})" if others else str(first)
        ) from first
    return fetched


def _obtain(file: File, checksum: str, job: Job) -> bool:
    """Makes one file be there; returns whether it had to be fetched."""
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
                f"{path}: what {file.url} sent is {problem}; kept as {bad.name}: fetch again, and if that ends the "
                "same, the file on the server is no longer the published one"
            )
        flush(part)
        part.replace(path)
        flush(path.parent)
        forget(part)
    return True


def _problem(path: Path, file: File, checksum: str) -> str:
    """Why a file is not the published one; "" where nothing speaks against it."""
    if file.bytes is not None and size_of(path) != file.bytes:
        return f"of {size_of(path)} bytes where {file.bytes} are published"
    if checksum:
        kind, _, digest = checksum.partition(":")
        if len(digest) != _DIGESTS.get(kind):
            raise InputError(
                f"{file.name}: no checksum {checksum!r}; known: {', '.join(_DIGESTS)}, as in 'md5:…'"
            )
        if size_of(path) > _WORTH_A_LINE:
            say(f"checking the {kind} of {file.name}")
        with open(path, "rb") as content:
            found = hashlib.file_digest(
                content, partial(hashlib.new, kind, usedforsecurity=False)
            ).hexdigest()
        if found != digest.lower():
            return f"with {kind} {found} where {digest} is published"
    elif not file.name.endswith((".html", ".htm")) and _looks_like_a_page(path):
        return "a web page"
    return ""


def _looks_like_a_page(path: Path) -> bool:
    with open(path, "rb") as content:
        return (
            content.read(512)
            .lstrip(b"\xef\xbb\xbf \t\r\n")
            .lower()
            .startswith((b"<!doctype html", b"<html"))
        )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keeps a second process out: both would write the same `.part`.

    The system drops the lock of a killed one.
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
            pass  # a file system without locks
        yield


def _notes(
    files: Sequence[File],
    checksums: Mapping[str, str],
    fetched: Sequence[str],
    wholes: Mapping[str, list[File]],
    out: set[str],
) -> list[str]:
    unpacked = [whole for whole, parts in wholes.items() if any(file.unpack for file in parts)]
    looked_at = [file for file in files if (file.part_of or file.name) not in out]
    unchecked = [file for file in looked_at if not checksums[file.name]]
    by_size = [file.name for file in unchecked if file.bytes is not None]
    taken = [file.name for file in unchecked if file.bytes is None]
    there = [file.name for file in looked_at if file.name not in fetched]
    notes = [
        f"fetched: {some(fetched)}" if fetched else "",
        f"there already: {some(there)}" if there else "",
        f"checked by size alone, no checksum is published: {some(by_size)}" if by_size else "",
        f"not checked, neither checksum nor size is published: {some(taken)}" if taken else "",
        f"unpacked: {some([whole for whole in unpacked if whole not in out])}"
        if set(unpacked) - out
        else "",
        f"unpacked by an earlier fetch: {some(sorted(out))}" if out else "",
    ]
    return [note for note in notes if note]
