"""A server that misbehaves on purpose, the bodies it serves, and what tests of downloads share."""

import hashlib
import random
import shutil
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bench.data.fetch.fetch import Patience, fetch
from bench.data.manifest import File, InputError

QUICK = Patience(
    connect_seconds=2, stall_seconds=3, attempts=5, first_wait_seconds=0.01, longest_wait_seconds=5
)
STALLS = replace(QUICK, stall_seconds=0.4, attempts=3)
BODY = random.Random(0).randbytes(700_000)
OTHER = random.Random(1).randbytes(700_000)

Trick = Callable[["Handler", bytes], None]
"""What the server does at a request in place of sending the body."""


class Handler(BaseHTTPRequestHandler):
    """Serves `server.bodies` with ranges, unless there is a trick for the path.

    The tricks of a path are used up one after the other; the last one stays.
    """

    server: "Site"

    def do_GET(self) -> None:
        range_asked = self.headers.get("Range", "")
        self.server.log.append((self.path, range_asked))
        tricks = self.server.tricks.get(self.path, [])
        if tricks:
            trick = tricks.pop(0) if len(tricks) > 1 else tricks[0]
            return trick(self, self.server.bodies.get(self.path, b""))
        body = self.server.bodies.get(self.path)
        return self.serve(body) if body is not None else self.answer(404, b"not here")

    def answer(self, status: int, body: bytes, length: int | None = None, **headers: str) -> None:
        """Sends a body, of the length that it has or is said to have; "" for no such header."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            if value:
                self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def serve(self, body: bytes, sent: int | None = None, heed_if_range: bool = True) -> None:
        """The file, or the range asked for; with `sent`, only so many bytes of it."""
        tag = f'"{hashlib.md5(body).hexdigest()}"'
        asked, status, content_range = self.headers.get("Range", ""), 200, ""
        if asked and (not heed_if_range or self.headers.get("If-Range") == tag):
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            status, content_range = 206, f"bytes {start}-{len(body) - 1}/{len(body)}"
            body = body[start:]
        self.answer(status, body[:sent], len(body), ETag=tag, Content_Range=content_range)

    def log_message(self, *_: object) -> None:
        pass


class Site(ThreadingHTTPServer):
    """A web server on this machine.

    Attributes:
        bodies: path -> what is there.
        tricks: path -> what is done at its requests, in order.
        log: (path, range asked for) of every request.
        url: address of the server.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.bodies: dict[str, bytes] = {}
        self.tricks: dict[str, list[Trick]] = {}
        self.log: list[tuple[str, str]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def file(
        self,
        name: str,
        body: bytes | None = None,
        tricks: list[Trick] | None = None,
        **facts: object,
    ) -> File:
        """Puts a body on the server, with the tricks of its requests; returns its `File`."""
        self.bodies[f"/{name}"] = BODY if body is None else body
        self.tricks[f"/{name}"] = tricks or []
        return File(name, f"{self.url}/{name}", **facts)  # type: ignore[arg-type]

    def handle_error(self, *_: object) -> None:
        pass


def sha256(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def drop(after: int) -> Trick:
    return lambda handler, body: handler.serve(body, sent=after)


def serve(handler: Handler, body: bytes) -> None:
    handler.serve(body)


def status(code: int, body: bytes = b"", **headers: str) -> Trick:
    return lambda handler, _: handler.answer(code, body, None, **headers)


def stall(handler: Handler, body: bytes) -> None:
    handler.serve(body, sent=300_000)
    time.sleep(0.7)


def reset(handler: Handler, body: bytes) -> None:
    """Ends the connection with a reset, as a server does that crashes."""
    handler.serve(body, sent=300_000)
    time.sleep(0.05)
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def refused(files: list[File], folder: Path, patience: Patience = QUICK, **options: object) -> str:
    """The message, one line, of the error that a fetch ends with."""
    with pytest.raises(InputError) as caught:
        fetch(files, folder, patience=patience, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def visible(folder: Path) -> set[str]:
    """Paths of all files and folders below a folder that are not hidden."""
    return {
        str(path.relative_to(folder)) for path in folder.rglob("*") if not path.name.startswith(".")
    }


def disk_of(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    """Makes every disk have so many free bytes."""
    usage = shutil.disk_usage("/")._replace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
