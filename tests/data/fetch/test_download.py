"""Downloads over connections that break, stall or are missing."""

import socket
import time
from dataclasses import replace

import pytest

from bench.data.fetch import download
from bench.data.fetch.fetch import fetch
from bench.data.manifest import File
from tests.data.fetch.site import (
    BODY,
    OTHER,
    QUICK,
    STALLS,
    Handler,
    drop,
    refused,
    reset,
    serve,
    sha256,
    stall,
    status,
    visible,
)


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
