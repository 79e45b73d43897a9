"""One download over HTTP: its attempts and waits, its redirects and ranges, and whether an answer is the file at all.

On disk, beside the file to be: `NAME.part` and `NAME.part.json` (what has arrived, and of which
version of the file). Whether it is the published one, and its own name, is the caller's affair.
"""

import re
import shutil
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from urllib3 import exceptions as urllib3_errors

from bench.core.progress import say
from bench.core.store import read_json, write_json
from bench.data.fetch.disk import CHUNK, HaltError, human, size_of, writing
from bench.data.manifest import File, InputError, Progress

_MOST_REDIRECTS = 10
_WORTHWHILE = 2**20  # bytes that an attempt must bring before the failures are counted anew
_BUSY = {408, 425, 429, 500, 502, 503, 504}
# As stored: what a server compresses on the way cannot be taken up in the middle.
_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "pretext-bench"}
_BY_HAND = "get it by hand (the data set's homepage may say how), put it there under that name, and fetch again"


@dataclass(frozen=True)
class Patience:
    """How long a download waits, and how often it is tried again.

    Attributes:
        connect_seconds: for a connection to be made.
        stall_seconds: without a single byte, after which a connection counts as dropped.
        attempts: that may fail one after the other; those that brought something (1 MiB) do not
            count.
        first_wait_seconds: before the second attempt; each further wait is twice as long.
        longest_wait_seconds: a server that asks for a longer wait is taken to be out of reach.
    """

    connect_seconds: float = 20.0
    stall_seconds: float = 60.0
    attempts: int = 7
    first_wait_seconds: float = 1.0
    longest_wait_seconds: float = 600.0


class _TransientError(Exception):
    """What may be over when it is tried again, after `wait` seconds if the server said so."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


class StoppedError(Exception):
    """Another file's error has stopped the work."""


class Meter:
    """Adds up the bytes of files that arrive side by side."""

    def __init__(self, progress: Progress) -> None:
        """Reports to `progress`, from one thread at a time."""
        self._progress, self._lock = progress, threading.Lock()
        self._done: dict[str, int] = {}
        self._total: dict[str, int] = {}

    def at(self, name: str, done: int, total: int | None) -> None:
        """A file has got so far."""
        with self._lock:
            self._done[name], self._total[name] = done, max(done, total or 0)
            self._progress(sum(self._done.values()), sum(self._total.values()))


@dataclass(frozen=True)
class Job:
    """What every file of one call shares."""

    folder: Path
    workers: int
    patience: Patience
    meter: Meter
    stop: threading.Event

    def go_on(self) -> None:
        """Raises where another file's error has stopped the work."""
        if self.stop.is_set():
            raise StoppedError


def download(file: File, part: Path, job: Job) -> None:
    """Brings all of a file into `part`, in as many attempts as it takes."""
    patience = job.patience
    failures, furthest = 0, size_of(part)
    while True:
        try:
            return _attempt(file, part, job)
        except _TransientError as error:
            there = size_of(part)
            failures = 1 if there - furthest >= _WORTHWHILE else failures + 1
            furthest = max(furthest, there)
            wait = max(error.wait, patience.first_wait_seconds * 2 ** (failures - 1))
            if failures >= patience.attempts or error.wait > patience.longest_wait_seconds:
                size = _state(part, file)["bytes"] or file.bytes
                rest = (
                    f" and asks for {error.wait:.0f} s of rest"
                    if error.wait
                    else f", {failures} times in a row"
                )
                raise HaltError(
                    f"{file.name}: {error}{rest} ({_host(file.url)}); {there} of {size or 'unknown'} bytes are kept: "
                    "fetch again later, or when the network is mended"
                ) from error
            say(f"{file.name}: {error}; trying again in {wait:.0f} s")
        job.stop.wait(wait)
        job.go_on()


def _attempt(file: File, part: Path, job: Job) -> None:
    """One request for what is missing of a file; what arrives is added to `part`."""
    state = _state(part, file)
    there = size_of(part) if state["validator"] else 0
    if there and there == state["bytes"]:
        return
    resume = {"Range": f"bytes={there}-", "If-Range": state["validator"]} if there else {}
    with (
        requests.Session() as session,
        _answer(session, file, {**_HEADERS, **resume}, job) as response,
    ):
        if not (there and response.status_code in (206, 416)):
            there = 0
        _require_success(response, file, part, resumed=there > 0)
        size = _whole_size(response, part, there, state)
        _require_the_file(response, file, size)
        free = shutil.disk_usage(part.parent).free
        if size is not None and size - there > free:
            raise HaltError(
                f"{part}: {human(size - there)} to come and {human(free)} free on its disk: free some, then fetch "
                "again to go on"
            )
        if not there:
            _start(part, {"url": file.url, "validator": _validator(response), "bytes": size})
        with writing(part), open(part, "ab" if there else "wb") as out:
            for chunk in _chunks(response, job):
                out.write(chunk)
                there += len(chunk)
                job.meter.at(file.name, there, size or file.bytes)
                if file.bytes is not None and there > file.bytes:
                    break  # longer than published: no need to see the end of it
    if size is not None and there != size:
        if there > size:
            forget(part)
        raise _TransientError(f"{there} bytes came where the server promised {size}")


def _answer(
    session: requests.Session, file: File, headers: Mapping[str, str], job: Job
) -> requests.Response:
    """The server's answer, after redirects; its body is still to be read."""
    url, before = file.url, ""
    timeout = (job.patience.connect_seconds, job.patience.stall_seconds)
    for _ in range(_MOST_REDIRECTS + 1):
        try:
            scheme = urlsplit(url).scheme.lower()
            # Plain http only where the data set itself names it: then nobody expects more than the
            # checksum says.
            if scheme not in ("http", "https") or (scheme == "http" and before == "https"):
                where = f"{file.url} leads to {_shown(url)}" if before else f"its address is {url}"
                raise InputError(
                    f"{file.name}: {where}: only https is followed, and http from http; {_BY_HAND}"
                )
            response = session.get(
                url, headers=headers, stream=True, allow_redirects=False, timeout=timeout
            )
            target = session.get_redirect_target(response)
            if target is None:
                return response
            response.close()
            url, before = urljoin(url, target), scheme
        except ValueError as error:  # also of requests, for what is no address
            raise InputError(f"{file.name}: {url} is no address ({error}); {_BY_HAND}") from error
        except (requests.RequestException, urllib3_errors.HTTPError) as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise HaltError(
                    f"{file.name}: {_host(url)} has a certificate that nobody here vouches for: set the clock, or "
                    "REQUESTS_CA_BUNDLE where a proxy signs"
                ) from error
            raise _TransientError(_words(error, job.patience)) from error
    raise InputError(
        f"{file.name}: {file.url} redirects more than {_MOST_REDIRECTS} times, to {_shown(url)}; {_BY_HAND}"
    )


def _require_success(response: requests.Response, file: File, part: Path, *, resumed: bool) -> None:
    status = response.status_code
    if status == 200 or (status == 206 and resumed):
        return
    if status == 416 and resumed:
        forget(part)
        raise _TransientError(
            "the file on the server is shorter than what had arrived; starting anew"
        )
    if status in _BUSY:
        raise _TransientError(
            f"the server answers {status} ({response.reason})", _retry_after(response)
        )
    if status in (401, 402, 403, 451):
        raise InputError(
            f"{file.name}: {_shown(response.url)} is refused ({status}), perhaps for want of a login; {_BY_HAND}"
        )
    if status in (404, 410):
        raise InputError(f"{file.name}: {_shown(response.url)} is not there ({status}); {_BY_HAND}")
    raise InputError(
        f"{file.name}: {_shown(response.url)} answers {status} ({response.reason}); {_BY_HAND}"
    )


def _require_the_file(response: requests.Response, file: File, size: int | None) -> None:
    """Refuses, before it is fetched, what by its header is another thing than the file."""
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    fits = file.bytes is not None and size == file.bytes
    if (
        kind in ("text/html", "application/xhtml+xml")
        and not fits
        and not file.name.endswith((".html", ".htm"))
    ):
        raise InputError(
            f"{file.name}: {_shown(response.url)} is a web page and not the file, perhaps for a login; {_BY_HAND}"
        )
    if file.bytes is not None and size is not None and not fits:
        raise InputError(
            f"{file.name}: {_shown(response.url)} has {size} bytes where {file.bytes} are published, so it is another "
            f"file; {_BY_HAND}"
        )
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    # Some servers say of an archive that gzip is its encoding: it is then stored as it is, which is
    # right.
    if encoding != "identity" and not file.name.endswith((".gz", ".tgz", ".bz2")):
        raise InputError(
            f"{file.name}: {_shown(response.url)} is sent in an encoding not asked for ({encoding}); {_BY_HAND}"
        )


def _whole_size(
    response: requests.Response, part: Path, there: int, state: Mapping[str, Any]
) -> int | None:
    """Bytes of the whole file; None where the server does not say."""
    if not there:
        length = response.headers.get("Content-Length", "")
        return int(length) if length.isdigit() else None
    match = re.fullmatch(
        r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "").strip()
    )
    size = int(match[2]) if match and match[2] != "*" else state["bytes"]
    same = match and int(match[1]) == there and state["bytes"] in (None, size)
    # If-Range should have seen to this; not every server knows it.
    if not same or _validator(response) not in ("", state["validator"]):
        forget(part)
        raise _TransientError("the file on the server has changed; starting anew")
    return size


def _chunks(response: requests.Response, job: Job) -> Iterator[bytes]:
    try:
        for chunk in response.raw.stream(CHUNK, decode_content=False):
            job.go_on()
            yield chunk
    except (urllib3_errors.HTTPError, OSError) as error:
        raise _TransientError(_words(error, job.patience)) from error


def _validator(response: requests.Response) -> str:
    """What names the version of a file on its server.

    "" where nothing does, and nothing can be taken up.
    """
    tag = response.headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")


def _retry_after(response: requests.Response) -> float:
    """Seconds that the server asks to wait."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return 0.0


def _words(error: BaseException, patience: Patience) -> str:
    """What went wrong with a connection, from the chain of errors that the libraries wrap it in."""
    chain: list[BaseException] = []
    inner: object = error
    while isinstance(inner, BaseException) and inner not in chain:
        chain.append(inner)
        inner = getattr(inner, "reason", None) or next(
            (a for a in inner.args if isinstance(a, BaseException)), None
        )

    def met(*kinds: type[BaseException]) -> bool:
        return any(isinstance(link, kinds) for link in chain)

    if met(urllib3_errors.NameResolutionError):
        return "no such host is known (no network, or a wrong name server)"
    if met(urllib3_errors.ProxyError):
        return "the proxy does not answer (HTTPS_PROXY)"
    if met(urllib3_errors.NewConnectionError):  # by inheritance also a timeout
        return "no connection (refused, or no network)"
    if met(urllib3_errors.ConnectTimeoutError):
        return f"no connection within {patience.connect_seconds:g} s"
    if met(urllib3_errors.ReadTimeoutError, TimeoutError):
        return f"no byte for {patience.stall_seconds:g} s"
    if met(urllib3_errors.ProtocolError, OSError) and not met(urllib3_errors.SSLError):
        return "the connection dropped"
    return f"the connection failed ({chain[-1]})"


def _state_path(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _state(part: Path, file: File) -> dict[str, Any]:
    """Of which version of the file `part` is the beginning: url, validator, bytes."""
    nothing = {"url": file.url, "validator": "", "bytes": None}
    try:
        state: dict[str, Any] = read_json(_state_path(part))
    except (OSError, ValueError):
        return nothing
    known = isinstance(state, dict) and state.keys() == nothing.keys()
    return state if known and state["url"] == file.url else nothing


def _start(part: Path, state: Mapping[str, Any]) -> None:
    """Begins a file anew.

    In this order: never does a beginning lie beside the state of another version.
    """
    with writing(part):
        part.unlink(missing_ok=True)
        write_json(_state_path(part), dict(state))


def forget(part: Path) -> None:
    """Removes what has arrived of a file, and what is known of it."""
    part.unlink(missing_ok=True)
    _state_path(part).unlink(missing_ok=True)


def _shown(url: str) -> str:
    """An address without its query, which may hold a key of the moment."""
    return url.partition("?")[0]


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]
