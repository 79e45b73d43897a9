"""The answer of a server to a request for a file: redirects, refusals, and whether it is the file.

Every error is one of three: `TransientError` (to be tried again), `InputError` (of this file) or
`HaltError` (it would meet every other file as well).
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from urllib3 import exceptions as urllib3_errors

from bench.data.fetch.disk import CHUNK, HaltError
from bench.data.fetch.job import Job, Patience
from bench.data.fetch.partial import forget
from bench.data.manifest import File, InputError

_MOST_REDIRECTS = 10
_BUSY = {408, 425, 429, 500, 502, 503, 504}  # status codes of errors that may pass
_BY_HAND = (
    "get it by hand (the data set's homepage may say how), put it there under that name, "
    "and fetch again"
)


class TransientError(Exception):
    """An error that may be over at the next attempt.

    Attributes:
        wait: how many seconds the server asks to wait before it; 0 where it does not say.
    """

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        """Takes what went wrong, in words, and the wait in seconds."""
        super().__init__(reason)
        self.wait = wait


def open_response(
    session: requests.Session, file: File, headers: Mapping[str, str], job: Job
) -> requests.Response:
    """Requests a file and follows redirects.

    Returns:
        The server's answer, of which the body is still to be read.

    Raises:
        TransientError: the connection failed.
        InputError: the address is none, or redirects lead on for ever or away from https.
        HaltError: the server's certificate cannot be verified.
    """
    url, before = file.url, ""
    timeout = (job.patience.connect_seconds, job.patience.stall_seconds)
    for _ in range(_MOST_REDIRECTS + 1):
        try:
            scheme = urlsplit(url).scheme.lower()
            # Plain http is accepted where the data set itself names it, as the checksum still
            # holds; but a redirect must not drop the encryption that an https address promises.
            if scheme not in ("http", "https") or (scheme == "http" and before == "https"):
                where = (
                    f"{file.url} leads to {_without_query(url)}"
                    if before
                    else f"its address is {url}"
                )
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
                    f"{file.name}: {host(url)} has a certificate that nobody here vouches for: "
                    "set the clock, or REQUESTS_CA_BUNDLE where a proxy signs"
                ) from error
            raise TransientError(_describe(error, job.patience)) from error
    raise InputError(
        f"{file.name}: {file.url} redirects more than {_MOST_REDIRECTS} times, to "
        f"{_without_query(url)}; {_BY_HAND}"
    )


def require_success(response: requests.Response, file: File, part: Path, *, resumed: bool) -> None:
    """Refuses an answer that is not the content asked for.

    Args:
        response: the answer.
        file: what was asked for.
        part: its beginning; removed where it turns out longer than the file.
        resumed: whether only the rest was asked for.

    Raises:
        TransientError: the server may answer otherwise later.
        InputError: the file is not to be had.
    """
    status = response.status_code
    where = f"{file.name}: {_without_query(response.url)}"
    if status == 200 or (status == 206 and resumed):
        return
    if status == 416 and resumed:
        forget(part)
        raise TransientError(
            "the file on the server is shorter than what had arrived; starting anew"
        )
    if status in _BUSY:
        raise TransientError(
            f"the server answers {status} ({response.reason})", _retry_after(response)
        )
    if status in (401, 402, 403, 451):
        raise InputError(f"{where} is refused ({status}), perhaps for want of a login; {_BY_HAND}")
    if status in (404, 410):
        raise InputError(f"{where} is not there ({status}); {_BY_HAND}")
    raise InputError(f"{where} answers {status} ({response.reason}); {_BY_HAND}")


def require_the_file(response: requests.Response, file: File, size: int | None) -> None:
    """Refuses, before it is read, an answer that by its headers is something else than the file.

    Args:
        response: the answer.
        file: what was asked for.
        size: of the whole file in bytes, as the server says; None where it does not.

    Raises:
        InputError: it is a web page, of another size, or compressed.
    """
    where = f"{file.name}: {_without_query(response.url)}"
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    is_page = kind in ("text/html", "application/xhtml+xml")
    fits = file.bytes is not None and size == file.bytes
    if is_page and not fits and not file.name.endswith((".html", ".htm")):
        raise InputError(f"{where} is a web page and not the file, perhaps for a login; {_BY_HAND}")
    if file.bytes is not None and size is not None and not fits:
        raise InputError(
            f"{where} has {size} bytes where {file.bytes} are published, so it is another file; "
            f"{_BY_HAND}"
        )
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    # Some servers name an archive's own compression here. What is stored is then the archive as it
    # is, which is right.
    if encoding != "identity" and not file.name.endswith((".gz", ".tgz", ".bz2")):
        raise InputError(f"{where} is sent in an encoding not asked for ({encoding}); {_BY_HAND}")


def whole_size(
    response: requests.Response, part: Path, there: int, state: Mapping[str, Any]
) -> int | None:
    """Size of the whole file in bytes; None where the server does not say.

    Args:
        response: the answer.
        part: the beginning of the file; removed where it is of another version.
        there: how many bytes have arrived before.
        state: see `partial.state_of`.

    Raises:
        TransientError: what arrives does not go on where `part` ends.
    """
    if not there:
        length = response.headers.get("Content-Length", "")
        return int(length) if length.isdigit() else None
    match = re.fullmatch(
        r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "").strip()
    )
    size = int(match[2]) if match and match[2] != "*" else state["bytes"]
    same = match and int(match[1]) == there and state["bytes"] in (None, size)
    # Servers that know the header If-Range have sent the new file from its start; others have not.
    if not same or validator(response) not in ("", state["validator"]):
        forget(part)
        raise TransientError("the file on the server has changed; starting anew")
    return size


def chunks(response: requests.Response, job: Job) -> Iterator[bytes]:
    """The body of an answer, piece by piece.

    Raises:
        TransientError: the connection failed.
        StoppedError: another file's error has ended the work.
    """
    try:
        for chunk in response.raw.stream(CHUNK, decode_content=False):
            job.go_on()
            yield chunk
    except (urllib3_errors.HTTPError, OSError) as error:
        raise TransientError(_describe(error, job.patience)) from error


def validator(response: requests.Response) -> str:
    """What names the version of a file on its server.

    "" where nothing does: then a broken transfer cannot be resumed.
    """
    tag = response.headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")


def _retry_after(response: requests.Response) -> float:
    """Seconds that the server asks to wait; 0 where it does not say."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return 0.0


def _describe(error: BaseException, patience: Patience) -> str:
    """What went wrong with a connection, in words.

    The libraries wrap errors in one another, so the whole chain is looked at.
    """
    chain: list[BaseException] = []
    inner: object = error
    while isinstance(inner, BaseException) and inner not in chain:
        chain.append(inner)
        inner = getattr(inner, "reason", None) or next(
            (part for part in inner.args if isinstance(part, BaseException)), None
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


def _without_query(url: str) -> str:
    """An address without its query, in which servers put temporary keys."""
    return url.partition("?")[0]


def host(url: str) -> str:
    """Name and port of an address's server."""
    return urlsplit(url).netloc.rpartition("@")[2]
