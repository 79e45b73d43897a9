"""Downloads against a server that misbehaves in every way met so far, and archives that mean harm."""

import errno
import fcntl
import hashlib
import io
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from bench.data.fetch import download, unpack
from bench.data.fetch import fetch as fetching
from bench.data.fetch.fetch import Patience, fetch
from bench.data.manifest import File, InputError

QUICK = Patience(
    connect_seconds=2, stall_seconds=3, attempts=5, first_wait_seconds=0.01, longest_wait_seconds=5
)
STALLS = replace(QUICK, stall_seconds=0.4, attempts=3)
BODY = random.Random(0).randbytes(700_000)
OTHER = random.Random(1).randbytes(700_000)

Trick = Callable[["Handler", bytes], None]


class Handler(BaseHTTPRequestHandler):
    """Serves `server.bodies` with ranges, unless a trick stands in line for the path."""

    server: "Site"

    def do_GET(self) -> None:
        range_asked = self.headers.get("Range", "")
        self.server.log.append((self.path, range_asked))
        tricks = self.server.tricks.get(self.path, [])
        if tricks:
            # The last one stays.
            return (tricks.pop(0) if len(tricks) > 1 else tricks[0])(
                self, self.server.bodies.get(self.path, b"")
            )
        body = self.server.bodies.get(self.path)
        return self.serve(body) if body is not None else self.answer(404, b"not here")

    def answer(self, status: int, body: bytes, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def serve(self, body: bytes, sent: int | None = None, heed_if_range: bool = True) -> None:
        """The file, or the range asked for; with `sent`, only so many bytes of it."""
        tag = f'"{hashlib.md5(body).hexdigest()}"'
        asked, status, extra = self.headers.get("Range", ""), 200, {}
        if asked and (not heed_if_range or self.headers.get("If-Range") == tag):
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            status, extra = 206, {"Content_Range": f"bytes {start}-{len(body) - 1}/{len(body)}"}
            body = body[start:]
        self.answer(status, body[:sent], length=len(body), ETag=tag, **extra)

    def log_message(self, *_: object) -> None:
        pass


class Site(ThreadingHTTPServer):
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
        """Puts a body on the server, with what it does at the first requests.

        Returns how a data set names it.
        """
        self.bodies[f"/{name}"] = BODY if body is None else body
        self.tricks[f"/{name}"] = tricks or []
        return File(name, f"{self.url}/{name}", **facts)  # type: ignore[arg-type]

    def handle_error(self, *_: object) -> None:
        pass


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("no_proxy", "127.0.0.1,nowhere.invalid")
    with Site() as server:
        thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def sha256(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def drop(after: int) -> Trick:
    return lambda handler, body: handler.serve(body, sent=after)


def serve(handler: Handler, body: bytes) -> None:
    handler.serve(body)


def status(code: int, body: bytes = b"", **headers: str) -> Trick:
    return lambda handler, _: handler.answer(code, body, **headers)


def stall(handler: Handler, body: bytes) -> None:
    handler.serve(body, sent=300_000)
    time.sleep(0.7)


def reset(handler: Handler, body: bytes) -> None:
    """An end without a goodbye, as of a server that crashes."""
    handler.serve(body, sent=300_000)
    time.sleep(0.05)
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def refused(files: list[File], folder: Path, patience: Patience = QUICK, **options: object) -> str:
    """The line that a fetch ends with."""
    with pytest.raises(InputError) as caught:
        fetch(files, folder, patience=patience, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def visible(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder)) for path in folder.rglob("*") if not path.name.startswith(".")
    }


def test_everything_arrives_checked_and_is_not_fetched_twice(site, tmp_path):
    digests = f"{hashlib.sha256(OTHER).hexdigest()}  tapes/d.bin\n".encode()
    files = [
        site.file("a.bin", checksum=sha256(BODY), bytes=len(BODY)),
        site.file("sub/b.bin", checksum=f"md5:{hashlib.md5(BODY).hexdigest()}"),
        site.file("c.bin", checksum=f"sha1:{hashlib.sha1(BODY).hexdigest().upper()}"),
        site.file("deep/er/d.bin", OTHER, listed_in="deep/digests.txt"),
        site.file("deep/digests.txt", digests),
        site.file("e.bin", bytes=len(BODY)),
        site.file("empty.csv", b""),
    ]
    seen: list[tuple[int, int]] = []
    notes = fetch(
        files, tmp_path, patience=QUICK, progress=lambda done, total: seen.append((done, total))
    )
    for file in files:
        assert (tmp_path / file.name).read_bytes() == site.bodies[f"/{file.name}"]
    assert not [name for name in visible(tmp_path) if ".part" in name or name.endswith(".bad")]
    assert seen[-1] == (sum(map(len, site.bodies.values())),) * 2
    assert all(done <= total for done, total in seen)
    assert "checked by size alone, no checksum is published: e.bin" in notes
    assert (
        "not checked, neither checksum nor size is published: deep/digests.txt, empty.csv" in notes
    )

    site.log.clear()
    notes = fetch(files, tmp_path, patience=QUICK)
    assert not site.log
    assert any(note.startswith("there already: a.bin") for note in notes)


@pytest.mark.parametrize("trick", [drop(200_000), reset, stall], ids=["drop", "reset", "stall"])
def test_a_broken_connection_is_taken_up_where_it_broke(site, tmp_path, trick, capsys):
    tricks = [trick, status(500), trick if trick is not stall else drop(100_000), serve]
    patience = replace(QUICK, stall_seconds=0.4) if trick is stall else QUICK
    fetch([site.file("a.bin", tricks=tricks, checksum=sha256(BODY))], tmp_path, patience=patience)
    assert (tmp_path / "a.bin").read_bytes() == BODY
    starts = [int(asked.removeprefix("bytes=")[:-1]) if asked else 0 for _, asked in site.log]
    assert len(starts) == 4
    assert starts[0] == 0 < starts[1] == starts[2] < starts[3]
    assert "trying again" in capsys.readouterr().err


def test_a_later_fetch_goes_on_where_an_earlier_one_gave_up(site, tmp_path):
    file = site.file("a.bin", tricks=[drop(400_000), drop(0)], checksum=sha256(BODY))
    line = refused([file], tmp_path)
    assert "the connection dropped, 5 times in a row" in line
    assert "400000 of 700000 bytes are kept" in line
    assert visible(tmp_path) == {"a.bin.part", "a.bin.part.json"}
    site.tricks.clear()
    site.log.clear()
    fetch([file], tmp_path, patience=QUICK)
    assert site.log == [("/a.bin", "bytes=400000-")]
    assert visible(tmp_path) == {"a.bin"}


def test_attempts_that_bring_something_do_not_count(site, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "_WORTHWHILE", 10_000)
    file = site.file("a.bin", tricks=[*[drop(50_000)] * 10, serve], checksum=sha256(BODY))
    fetch([file], tmp_path, patience=QUICK)
    assert (tmp_path / "a.bin").read_bytes() == BODY


def test_a_server_without_ranges_is_read_from_the_start(site, tmp_path):
    def whole(handler: Handler, body: bytes) -> None:
        handler.answer(200, body, ETag='"1"')

    def half(handler: Handler, body: bytes) -> None:
        handler.answer(200, body[:300_000], length=len(body), ETag='"1"')

    fetch([site.file("a.bin", tricks=[half, whole])], tmp_path, patience=QUICK)
    assert (tmp_path / "a.bin").read_bytes() == BODY
    assert [asked for _, asked in site.log] == ["", "bytes=300000-"]


@pytest.mark.parametrize("heed", [True, False])
def test_a_file_that_changes_meanwhile_is_read_from_the_start(site, tmp_path, heed):
    def change(handler: Handler, body: bytes) -> None:
        handler.serve(body, sent=300_000)
        handler.server.bodies["/a.bin"] = OTHER

    tricks = [change, lambda handler, body: handler.serve(body, heed_if_range=heed)]
    fetch([site.file("a.bin", tricks=tricks)], tmp_path, patience=QUICK)
    assert (tmp_path / "a.bin").read_bytes() == OTHER


def test_without_a_validator_nothing_is_taken_up(site, tmp_path):
    def weak(handler: Handler, body: bytes) -> None:
        handler.answer(200, body[:300_000], length=len(body), ETag='W/"1"')

    fetch([site.file("a.bin", tricks=[weak, weak, serve])], tmp_path, patience=QUICK)
    assert (tmp_path / "a.bin").read_bytes() == BODY
    assert {asked for _, asked in site.log} == {""}


def test_a_part_longer_than_the_file_is_dropped(site, tmp_path):
    file = site.file("a.bin", tricks=[drop(300_000), drop(0)])
    refused([file], tmp_path)
    with open(tmp_path / "a.bin.part", "ab") as part:
        part.write(bytes(900_000))
    site.tricks["/a.bin"] = [status(416), serve]
    fetch([file], tmp_path, patience=QUICK)
    assert (tmp_path / "a.bin").read_bytes() == BODY


def test_a_wrong_checksum_is_kept_apart_and_said(site, tmp_path):
    file = site.file("a.bin", OTHER, checksum=sha256(BODY))
    line = refused([file], tmp_path)
    assert "kept as a.bin.bad" in line
    assert hashlib.sha256(OTHER).hexdigest() in line
    assert visible(tmp_path) == {"a.bin.bad"}
    site.bodies["/a.bin"] = BODY
    fetch([file], tmp_path, patience=QUICK)
    assert (tmp_path / "a.bin").read_bytes() == BODY


def test_a_wrong_file_that_is_there_is_refused_and_left(site, tmp_path):
    (tmp_path / "a.bin").write_bytes(OTHER)
    (tmp_path / "b.bin").write_bytes(b"short")
    (tmp_path / "c.bin").mkdir()
    for file in (
        site.file("a.bin", checksum=sha256(BODY)),
        site.file("b.bin", bytes=len(BODY)),
        site.file("c.bin"),
    ):
        line = refused([file], tmp_path)
        assert "there already, but" in line
        assert "move or delete it" in line
    assert (tmp_path / "a.bin").read_bytes() == OTHER
    assert not site.log


def test_checksums_that_cannot_be_used(site, tmp_path):
    assert "no checksum 'crc32:1'" in refused([site.file("a.bin", checksum="crc32:1")], tmp_path)
    files = [site.file("b.bin", listed_in="list.txt"), site.file("list.txt", b"abc  c.bin\n")]
    assert "no checksum of b.bin" in refused(files, tmp_path)


@pytest.mark.parametrize("code", [301, 302, 307, 308])
def test_redirects_are_followed_with_the_range(site, tmp_path, code):
    site.file("elsewhere", tricks=[drop(300_000), serve])
    file = site.file("a.bin", tricks=[status(code, Location="/elsewhere")], checksum=sha256(BODY))
    fetch([file], tmp_path, patience=QUICK)
    assert site.log[-1] == ("/elsewhere", "bytes=300000-")


def test_redirects_that_are_not_followed(site, tmp_path):
    loop = site.file("loop", tricks=[status(302, Location="/loop")])
    assert "redirects more than 10 times" in refused([loop], tmp_path)
    for target in ("file:///etc/passwd", "ftp://127.0.0.1/a", "gopher://x", "http://[broken"):
        site.tricks["/a.bin"] = [status(302, Location=target)]
        line = refused([File("a.bin", f"{site.url}/a.bin")], tmp_path)
        assert "only https is followed" in line or "is no address" in line
    for url in ("file:///etc/passwd", "/etc/passwd", "https://", "ssh://x/y"):
        assert "a.bin: " in refused([File("a.bin", url)], tmp_path)
    assert visible(tmp_path) == set()


def test_https_is_never_left_for_http(tmp_path, monkeypatch):
    def get(self: requests.Session, url: str, **_: object) -> requests.Response:
        assert url.startswith("https:")
        response = requests.Response()
        response.status_code, response.url, response.raw = 302, url, io.BytesIO()
        response.headers["Location"] = "http://127.0.0.1:1/a.bin"
        return response

    monkeypatch.setattr(requests.Session, "get", get)
    line = refused([File("a.bin", "https://nowhere.invalid/a.bin")], tmp_path)
    assert "leads to http://127.0.0.1:1/a.bin" in line


@pytest.mark.parametrize(
    ("code", "words"), [(404, "is not there"), (410, "is not there"), (403, "is refused")]
)
def test_what_is_not_to_be_had_says_what_to_do(site, tmp_path, code, words):
    files = [
        site.file("a.bin", tricks=[status(code)]),
        site.file("b.bin"),
        site.file("c.bin", tricks=[status(404)]),
    ]
    line = refused(files, tmp_path, workers=1)
    assert line.endswith("(not fetched either: c.bin)")
    assert words in line
    assert str(code) in line
    assert "by hand" in line
    assert visible(tmp_path) == {"b.bin"}
    assert [path for path, _ in site.log].count("/a.bin") == 1


def test_retry_after_is_heeded(site, tmp_path):
    started = time.monotonic()
    fetch(
        [site.file("a.bin", tricks=[status(503, Retry_After="1"), serve])], tmp_path, patience=QUICK
    )
    assert time.monotonic() - started >= 1
    site.tricks["/b.bin"] = [status(429, Retry_After="Fri, 01 Jan 2100 00:00:00 GMT")]
    line = refused([File("b.bin", f"{site.url}/b.bin")], tmp_path)
    assert "429" in line
    assert "s of rest" in line
    site.tricks["/c.bin"] = [status(503, Retry_After="soon")]
    assert "503 (Service Unavailable), 5 times in a row" in refused(
        [File("c.bin", f"{site.url}/c.bin")], tmp_path
    )


def test_no_network_stops_all_and_says_so(site, tmp_path, monkeypatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/a.bin"
        line = refused(
            [File("a.bin", url), *(File(f"{n}.bin", url) for n in range(9))], tmp_path, workers=1
        )
    assert "no connection (refused, or no network)" in line

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert "no such host is known" in refused(
        [File("a.bin", "http://nowhere.invalid/a.bin")], tmp_path
    )


def test_a_server_that_stalls_for_good(site, tmp_path):
    def silent(handler: Handler, body: bytes) -> None:
        time.sleep(0.7)

    assert "no byte for 0.4 s" in refused(
        [site.file("a.bin", tricks=[stall, silent])], tmp_path, STALLS
    )
    assert (tmp_path / "a.bin.part").stat().st_size > 0


def test_content_length_that_lies(site, tmp_path):
    def more(handler: Handler, body: bytes) -> None:
        handler.answer(200, body, length=len(body) + 5)

    assert "the connection dropped, 5 times in a row" in refused(
        [site.file("a.bin", tricks=[more])], tmp_path
    )

    def less(handler: Handler, body: bytes) -> None:
        handler.answer(200, body, length=len(body) - 5)

    line = refused([site.file("b.bin", tricks=[less], bytes=len(BODY))], tmp_path)
    assert "has 699995 bytes where 700000 are published" in line
    assert "kept as c.bin.bad" in refused(
        [site.file("c.bin", tricks=[less], checksum=sha256(BODY))], tmp_path
    )

    def endless(handler: Handler, body: bytes) -> None:
        handler.send_response(200)
        handler.end_headers()
        while True:
            handler.wfile.write(body)

    line = refused([site.file("d.bin", tricks=[endless], bytes=len(BODY))], tmp_path)
    assert "kept as d.bin.bad" in line
    assert not {"a.bin", "b.bin", "c.bin", "d.bin"} & visible(tmp_path)


def test_a_login_page_is_not_taken_for_a_file(site, tmp_path):
    page = b"\n<!DOCTYPE html><title>Log in</title>"
    login = status(200, page, Content_Type="text/html; charset=utf-8")
    file = site.file("a.bin", tricks=[drop(300_000), login])
    assert "is a web page" in refused([file], tmp_path)
    assert (tmp_path / "a.bin.part").stat().st_size == 300_000  # for when the login is over
    site.tricks["/login"] = [login]
    assert "is a web page" in refused(
        [site.file("b.zip", tricks=[status(302, Location="/login")])], tmp_path
    )
    assert "is a web page; kept as c.csv.bad" in refused([site.file("c.csv", page)], tmp_path)
    site.tricks["/d.html"] = [login]
    fetch([site.file("d.html", page, tricks=[login])], tmp_path, patience=QUICK)


KILLED = """
import sys
from pathlib import Path
from bench.data.fetch.fetch import fetch
from bench.data.manifest import File
fetch([File("a.bin", sys.argv[1], checksum=sys.argv[2])], Path(sys.argv[3]))
"""


def test_a_killed_fetch_goes_on(site, tmp_path):
    def hang(handler: Handler, body: bytes) -> None:
        handler.serve(body, sent=400_000)
        time.sleep(2)

    file = site.file("a.bin", tricks=[hang, serve], checksum=sha256(BODY))
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, file.url, file.checksum, str(tmp_path / "data")]
    )
    part = tmp_path / "data/a.bin.part"
    deadline = time.monotonic() + 30
    while not (part.exists() and part.stat().st_size > 200_000):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    there = part.stat().st_size
    fetch([file], tmp_path / "data", patience=QUICK)
    assert site.log[-1] == ("/a.bin", f"bytes={there}-")
    assert (tmp_path / "data/a.bin").read_bytes() == BODY


def test_an_interrupted_fetch_ends_at_once(site, tmp_path):
    def interrupt(done: int, total: int) -> None:
        if done > 300_000:
            raise KeyboardInterrupt

    files = [
        site.file("a.bin", checksum=sha256(BODY)),
        site.file("b.bin", tricks=[status(503, Retry_After="4"), serve]),
    ]
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        fetch(files, tmp_path, patience=QUICK, progress=interrupt)
    assert time.monotonic() - started < 3


def test_one_process_at_a_time(site, tmp_path):
    with open(tmp_path / ".fetch.lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another process" in refused([site.file("a.bin")], tmp_path)


def test_names_that_lead_out_or_stand_twice(site, tmp_path):
    assert "'../a' would lead out" in refused([File("../a", site.url)], tmp_path)
    assert "a.bin: listed twice" in refused([site.file("a.bin"), site.file("a.bin")], tmp_path)


def test_a_folder_that_cannot_be_written(site, tmp_path):
    (tmp_path / "file").write_text("")
    assert "choose another folder" in refused([site.file("a.bin")], tmp_path / "file" / "data")


def disk_of(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    usage = shutil.disk_usage("/")._replace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)


def test_a_full_disk(site, tmp_path, monkeypatch):
    big = [File("a.zip", f"{site.url}/a.zip", bytes=6 * 10**9, unpack=True)]
    disk_of(monkeypatch, 10 * 10**9)
    line = refused(big, tmp_path)
    assert "10.0 GB free on its disk; at least 12.0 GB needed (6.0 GB to fetch" in line
    assert not site.log
    disk_of(monkeypatch, 1000)
    line = refused([site.file("a.bin"), site.file("b.bin")], tmp_path, workers=1)
    assert "700.0 kB to come and 1.0 kB free on its disk" in line

    def full(_: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    disk_of(monkeypatch, 10**9)
    monkeypatch.setattr(fetching, "flush", full)
    assert "no space left" in refused([site.file("a.bin")], tmp_path)


# Archives


def tarred(members: dict[str, bytes | tarfile.TarInfo], mode: str = "w") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as tape:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                tape.addfile(content)
                continue
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o000
            tape.addfile(info, io.BytesIO(content))
    return out.getvalue()


def zipped(members: list[tuple[str | zipfile.ZipInfo, bytes]]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as pack:
        for name, content in members:
            pack.writestr(name, content)
    return out.getvalue()


def entry(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


CONTENT = {"songs/0/one.mp3": BODY[:9000], "songs/two.mp3": b"", "read me.txt": b"hello"}


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("a.zip", zipped(list(CONTENT.items()))),
        (
            "a.tar",
            tarred(
                {
                    "./": entry("./", tarfile.DIRTYPE),
                    "songs": entry("songs", tarfile.DIRTYPE),
                    **CONTENT,
                }
            ),
        ),
        ("a.tar.gz", tarred(CONTENT, "w:gz")),
        ("a.tar.bz2", tarred({f"./{key}": value for key, value in CONTENT.items()}, "w:bz2")),
    ],
)
def test_archives_are_unpacked_where_they_lie(site, tmp_path, name, body):
    file = site.file(f"sub/{name}", body, checksum=sha256(body), unpack=True)
    notes = fetch([file], tmp_path, patience=QUICK)
    assert f"unpacked: sub/{name}" in notes
    for path, content in CONTENT.items():
        assert (tmp_path / "sub" / path).read_bytes() == content
        assert (tmp_path / "sub" / path).stat().st_mode & 0o600 == 0o600
    assert sorted(
        path.name for path in (tmp_path / "sub").iterdir() if path.name.startswith(".")
    ) == [f".{name}.unpacked"]
    site.log.clear()
    assert f"unpacked by an earlier fetch: sub/{name}" in fetch(
        [file], tmp_path, patience=QUICK, keep_archives=False
    )
    assert not (tmp_path / file.name).exists()
    fetch([file], tmp_path, patience=QUICK)
    assert not site.log

    shutil.rmtree(
        tmp_path / "sub/songs"
    )  # what is gone is made again, though its archive went before
    fetch([file], tmp_path, patience=QUICK)
    assert (tmp_path / "sub/songs/0/one.mp3").read_bytes() == CONTENT["songs/0/one.mp3"]


def test_parts_are_joined(site, tmp_path):
    body = zipped([("0/a.mp3", BODY), ("1/b.mp3", OTHER)])
    pieces = [body[:500_000], body[500_000:900_000], body[900_000:]]
    files = [
        site.file(f"mp3.zip.{n:03}", piece, bytes=len(piece), unpack=True, part_of="mp3.zip")
        for n, piece in enumerate(pieces, start=1)
    ]
    fetch(files, tmp_path, patience=QUICK)
    assert (tmp_path / "1/b.mp3").read_bytes() == OTHER
    assert visible(tmp_path) == {*(file.name for file in files), "0", "1", "0/a.mp3", "1/b.mp3"}

    joined = [File(file.name, file.url, part_of="mp3.zip") for file in files]
    fetch(joined, tmp_path / "again", patience=QUICK)
    assert (tmp_path / "again/mp3.zip").read_bytes() == body
    (tmp_path / "again/mp3.zip").write_bytes(b"something else")
    assert "its 3 parts 1" in refused(joined, tmp_path / "again")


def link(name: str, kind: int = 0o120777) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, kind << 16
    return info


HARMFUL = {
    "up.tar": (tarred({"../up": b"x"}), "'../up' would lead out"),
    "middle.tar.gz": (tarred({"a/../../up": b"x"}, "w:gz"), "would lead out"),
    "absolute.tar": (tarred({"/tmp/x": b"x"}), "'/tmp/x' would lead out"),
    "symbolic.tar": (tarred({"": entry("a", tarfile.SYMTYPE, "/etc")}), "'a' is a symbolic link"),
    "hard.tar": (tarred({"": entry("a", tarfile.LNKTYPE, "/etc/passwd")}), "'a' is a hard link"),
    "device.tar": (tarred({"": entry("a", tarfile.CHRTYPE)}), "'a' is a device"),
    "pipe.tar": (tarred({"": entry("a", tarfile.FIFOTYPE)}), "'a' is a device"),
    "twice.tar": (tarred({"a": b"x", "./a": b"y"}), "'./a' stands in it twice"),
    "both.tar": (tarred({"a": b"x", "a/b": b"y"}), "'a' is a file and a folder"),
    "up.zip": (zipped([("ok", b""), ("../up", b"x")]), "'../up' would lead out"),
    "absolute.zip": (zipped([("/up", b"x")]), "would lead out"),
    "drive.zip": (zipped([("C:/up", b"x")]), "would lead out"),
    "windows.zip": (zipped([("..\\up", b"x")]), "would lead out"),
    "symbolic.zip": (zipped([(link("a"), b"/etc")]), "'a' is a symbolic link"),
    "device.zip": (zipped([(link("a", 0o020666), b"")]), "'a' is a device"),
    "encrypted.zip": (
        zipped([("a", b"x")]).replace(b"PK\1\2\x14\3\x14\0\0\0", b"PK\1\2\x14\3\x14\0\1\0"),
        "is encrypted,",
    ),
    "none.zip": (b"no zip at all", "no readable archive"),
    "none.tar.gz": (b"no tar at all", "no readable archive"),
    "cut.zip": (zipped([("a", BODY)])[:400_000], "no readable archive"),
    "cut.tar.gz": (tarred({"a": BODY}, "w:gz")[:400_000], "no readable archive"),
    "cut.tar.bz2": (tarred({"a": BODY}, "w:bz2")[:400_000], "no readable archive"),
    "cut.tar": (tarred({"a": BODY})[:400_000], "no readable archive"),
    "spoilt.tar": (
        tarred({"a": b"x", "b": b"y", "c": b"z"}).replace(b"b\0", b"B\0"),
        "damaged at byte 1024",
    ),
    "spoilt.zip": (
        zipped([("a", BODY)]).replace(BODY[600_000:600_100], bytes(100)),
        "no readable archive",
    ),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_twice_in_a_zip(site, tmp_path):
    body = zipped([("a", b"x"), ("a", b"y")])
    assert "'a' stands in it twice" in refused(
        [site.file("twice.zip", body, unpack=True)], tmp_path
    )


@pytest.mark.parametrize("name", HARMFUL)
def test_archives_that_would_do_harm_leave_nothing(site, tmp_path, name):
    body, words = HARMFUL[name]
    line = refused([site.file(f"data/{name}", body, unpack=True)], tmp_path)
    assert words in line
    assert visible(tmp_path) == {"data", f"data/{name}"}
    assert not (tmp_path / "up").exists()


def test_bombs_are_not_set_off(site, tmp_path, monkeypatch):
    bomb = zipped([("zeros", bytes(5_000_000))])
    monkeypatch.setattr(unpack, "_SMALL", 1_000_000)
    assert "as no data set does" in refused([site.file("a.zip", bomb, unpack=True)], tmp_path)
    many = tarred({str(number): b"" for number in range(1000)}, "w:gz")
    disk_of(monkeypatch, 2_000_000)
    assert "2.0 MB are free" in refused([site.file("b.tar.gz", many, unpack=True)], tmp_path)


def test_unpacking_is_taken_up(site, tmp_path, monkeypatch):
    body = tarred(CONTENT)
    file = site.file("a.tar", body, checksum=sha256(body), unpack=True)
    with monkeypatch.context() as patched:
        patched.setattr(unpack, "_blocks", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            fetch([file], tmp_path, patience=QUICK)
    assert visible(tmp_path) == {"a.tar"} | {
        path for path in visible(tmp_path) if ".unpacking" in path
    }
    rename = Path.rename
    with monkeypatch.context() as patched:

        def once(self: Path, target: Path) -> Path:
            if self.name == "songs":
                raise KeyboardInterrupt
            return rename(self, target)

        patched.setattr(Path, "rename", once)
        with pytest.raises(KeyboardInterrupt):
            fetch([file], tmp_path, patience=QUICK)
    assert (tmp_path / "read me.txt").exists()
    assert not (tmp_path / "songs").exists()
    monkeypatch.setattr(unpack, "_extract", None)  # all is out already: it has only to be moved
    fetch([file], tmp_path, patience=QUICK)
    assert {path: (tmp_path / path).read_bytes() for path in CONTENT} == CONTENT


def test_what_is_there_is_never_replaced(site, tmp_path):
    body = tarred(CONTENT)
    (tmp_path / "songs/0").mkdir(parents=True)
    (tmp_path / "songs/0/one.mp3").write_bytes(CONTENT["songs/0/one.mp3"])
    (tmp_path / "read me.txt").write_text("mine")
    file = site.file("a.tar", body, unpack=True)
    assert "read me.txt: there already, and not what a.tar holds" in refused([file], tmp_path)
    assert (tmp_path / "read me.txt").read_text() == "mine"
    (tmp_path / "read me.txt").unlink()
    fetch([file], tmp_path, patience=QUICK)
    assert (tmp_path / "read me.txt").read_text() == "hello"
