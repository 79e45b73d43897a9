"""Whole fetches: what is downloaded, checked and kept, and what stops one."""

import errno
import fcntl
import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.data.fetch import fetch as fetching
from bench.data.fetch.fetch import fetch
from bench.data.manifest import File
from tests.data.fetch.site import (
    BODY,
    OTHER,
    QUICK,
    Handler,
    disk_of,
    refused,
    serve,
    sha256,
    status,
    visible,
)


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
