"""Archives: what is unpacked, what is refused, and what an interrupted call leaves."""

import io
import shutil
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import pytest

from bench.data.fetch import unpack
from bench.data.fetch.fetch import fetch
from bench.data.manifest import File
from tests.data.fetch.site import BODY, OTHER, QUICK, disk_of, refused, sha256, visible


def tarred(
    members: Mapping[str, bytes | tarfile.TarInfo], mode: Literal["w", "w:gz", "w:bz2"] = "w"
) -> bytes:
    """A tar of files, given by their content, and of members of other kinds."""
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


def zipped(members: Sequence[tuple[str | zipfile.ZipInfo, bytes]]) -> bytes:
    """A zip of these members and their contents."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as pack:
        for name, content in members:
            pack.writestr(name, content)
    return out.getvalue()


def entry(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    """A member of a tar that is a folder, a link or a device."""
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
    """A member of a zip that is a link, or what else the mode of its file says."""
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
        patched.setattr(unpack, "blocks", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
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
