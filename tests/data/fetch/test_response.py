"""Answers of servers: redirects, refusals, waits, wrong lengths and login pages."""

import io
import time

import pytest
import requests

from bench.data.fetch.fetch import fetch
from bench.data.manifest import File
from tests.data.fetch.site import (
    BODY,
    QUICK,
    Handler,
    drop,
    refused,
    serve,
    sha256,
    status,
    visible,
)


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
