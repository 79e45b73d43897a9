"""`bench data`: whole commands on tiny trees of each data set's real layout."""

import csv
import hashlib
import json
import shutil
import threading
import zipfile
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.conftest import RATE, TINY, Bench, make_tones
from tests.fake_datasets import TREES

Main = Callable[..., tuple[int, str, str]]


RUN = ["run", "--method", "simclr", "--steps", "2", *TINY]


def flags(settings: dict[str, object]) -> list[str]:
    return [word for name, value in settings.items() for word in (f"--dataset.{name}", str(value))]


@pytest.mark.parametrize("name", sorted(TREES))
def test_every_data_set_is_prepared_verified_and_sampled(
    main: Main, tmp_path: Path, name: str
) -> None:
    make, several = TREES[name]
    root, settings = make(tmp_path / name), flags(several[0])
    status, out, err = main(
        "data", "prepare", name, "--root", root, "--sample-rate", "8000", *settings
    )
    assert status == 0, err
    assert name in out
    assert "8000 Hz" in out
    status, out, err = main("data", "list")
    assert status == 0, err
    assert "prepared in .bench" in out
    status, out, err = main("data", "verify", name, "--sample-rate", "8000", *settings)
    assert status in (0, 1), err  # the tiny trees are not the published sets, where those are known
    assert "samples on the disk" in out
    status, out, err = main("data", "info", name)
    assert status == 0, err
    assert "licence" in out
    if name != "folder":
        sampled = ["--sample-rate", "8000", "--tracks", "3", "--seconds", "0.5", "--out", "some"]
        status, out, err = main("data", "sample", name, *sampled, *settings)
        assert status == 0, err
        rows = list(csv.DictReader(Path("some/tracks.csv").read_text().splitlines()))
        assert 1 <= len(rows) <= 6
        assert all(abs(soundfile.info(f"some/{row['path']}").duration - 0.5) < 0.01 for row in rows)
        assert main("data", "sample", name, *sampled, *settings)[0] == 2


def test_a_prepared_data_set_needs_its_own_files_no_more(main: Main, tmp_path: Path) -> None:
    root = TREES["gtzan"][0](tmp_path / "gtzan")
    status, _, err = main(*RUN, "--dataset", "gtzan")
    assert status == 2
    assert "bench data prepare gtzan --root DIR" in err
    assert main("data", "prepare", "gtzan", "--root", root)[0] == 0
    shutil.move(root, tmp_path / "elsewhere")
    status, out, err = main(*RUN, "--dataset", "gtzan", "--dry-run", "--json")
    assert status == 0, err
    assert (
        next(row["state"] for row in json.loads(out)["plan"] if row["stage"] == "prepare") == "done"
    )
    assert main("data", "verify", "gtzan")[0] in (0, 1)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_fetch_prepare_and_verify_what_a_server_has(bench: Bench, tmp_path: Path) -> None:
    """A plug-in's data set on a real server is downloaded, checked, unpacked and prepared."""
    tones = make_tones(tmp_path / "tones")
    served = tmp_path / "served"
    served.mkdir()
    with zipfile.ZipFile(served / "tones.zip", "w") as archive:
        for path in sorted(tones.parent.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(tones.parent))
    digest = hashlib.sha256((served / "tones.zip").read_bytes()).hexdigest()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(served)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    plugin = tmp_path / "plugins/datasets/served.py"
    plugin.parent.mkdir(parents=True)
    url = f"http://127.0.0.1:{server.server_port}/tones.zip"
    plugin.write_text(f'''"""Tones from a server."""

from bench.data.manifest import File, Manifest, Settings, read_table

PUBLISHED = {{"here": {{"train": 20, "valid": 7, "test": 9, "tags": 3}}}}
PUBLISHED_IN = "this test"
FILES = (File("tones.zip", "{url}", checksum="sha256:{digest}", unpack=True),)


def manifest(root, settings, progress):
    tracks = read_table(root / "tracks.csv", ["path", "label", "split", "group"])
    tracks["tags"] = [[label] for label in tracks.pop("label")]
    tracks["track_id"] = tracks["path"]
    return Manifest(tracks, ("high", "low", "middle"), "classes", "here")
''')
    plugins = ["--plugins", tmp_path / "plugins"]
    fetched = bench("data", "fetch", "served", "--root", "root", *plugins)
    server.shutdown()
    assert "next: bench data prepare served --root root" in fetched.stdout
    bench("data", "prepare", "served", "--root", "root", *plugins)
    assert "this test" in bench("data", "verify", "served", *plugins).stdout
    run = bench("run", "--method", "random_init", *TINY, "--dataset", "served", *plugins, "--json")
    assert json.loads(run.stdout)["rows"]


def test_files_that_were_added_are_appended(main: Main, tmp_path: Path) -> None:
    root = TREES["folder"][0](tmp_path / "music")
    status, out, _ = main("data", "prepare", "folder", "--root", root, "--sample-rate", "8000")
    before = int(out.split(": ")[1].split()[0])
    soundfile.write(root / "new.wav", np.random.default_rng(0).normal(size=RATE) * 0.1, RATE)
    status, out, err = main("data", "prepare", "folder", "--root", root, "--sample-rate", "8000")
    assert status == 0, err
    assert int(out.split(": ")[1].split()[0]) == before + 1


def test_a_folder_serves_pretraining(main: Main, tmp_path: Path) -> None:
    tones = make_tones(tmp_path / "tones")
    assert main("data", "prepare", "folder", "--root", tones.parent)[0] == 0
    status, out, err = main(*RUN, "--dataset", tones, "--pretrain-dataset", "folder", "--json")
    assert status == 0, err
    assert "16 of the tracks pretrained on are valid or test tracks" in err
    assert json.loads(out)["rows"][0]["pretrain_dataset"] == "folder"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["data", "prepare", "gtzn"], "did you mean 'gtzan'"),
        (["data", "prepare", "gtzan"], "bench data prepare gtzan --root DIR"),
        (["data", "prepare", "gtzan", "--root", "nowhere"], "there is no such folder"),
        (["data", "prepare", "gtzan", "--root", "."], "looked for"),
        (["data", "prepare", "midiband", "--root", "."], "needs no --root"),
        (
            ["data", "prepare", "gtzan", "--root", ".", "--dataset.split", "x"],
            "unknown setting of gtzan",
        ),
        (
            ["data", "prepare", "magnatagatune", "--root", ".", "--dataset.split", "x"],
            "dataset.split = 'x'",
        ),
        (["data", "prepare", "CSV", "--sample-rate", "3"], "--sample-rate 3"),
        (["data", "prepare", "CSV", "--workers", "0"], "--workers 0"),
        (["data", "prepare", "CSV", "--train.steps", "1"], "only settings of the data set"),
        (["data", "prepare", "none.csv"], "no such file"),
        (["data", "prepare", "CSV", "--home", "file/inside"], "cannot write"),
        (["data", "verify", "gtzan"], "bench data prepare gtzan"),
        (["data", "info", "gtzn"], "did you mean"),
        (["data", "fetch", "folder", "--root", "x"], "nothing of it can be downloaded"),
        (["data", "fetch", "gtzan", "--root", "x", "--workers", "0"], "--workers 0"),
        (["data", "sample", "CSV", "--out", "s", "--tracks", "99"], "give 1 to 36"),
        (["data", "sample", "CSV", "--out", "s", "--seconds", "-1"], "--seconds -1"),
        (["run", "--method", "simclr", "--exclude", "none.json"], "cannot be read"),
        (["data", "leaks", "CSV", "CSV", "--out", "x.csv"], "give a name such as leaks.json"),
        (["data", "leaks", "CSV", "CSV", "--dataset.nope", "3"], "dataset.nope"),
        (["data", "sample", "CSV", "--out", "s", "--seconds", "nan"], "--seconds nan"),
        (["run", "--method", "simclr", "--exclude", "CSV"], "not an exclusion file"),
    ],
)
def test_bad_commands_are_one_line(
    main: Main, tones: Path, arguments: list[str], words: str
) -> None:
    Path("file").write_text("")
    status, _, err = main(
        *[str(tones) if argument == "CSV" else argument for argument in arguments]
    )
    assert status == 2
    assert words in err.splitlines()[-1]
    assert "Traceback" not in err


def test_bad_files_can_stop_the_preparation(main: Main, tones: Path) -> None:
    (tones.parent / "audio/03.wav").write_bytes(b"RIFF")
    status, _, err = main("data", "prepare", tones, "--on-bad", "fail")
    assert status == 2
    assert "03.wav" in err.splitlines()[-1]
    status, out, err = main("data", "prepare", tones)
    assert status == 0, err
    assert "1 left out" in out
    assert (
        main("data", "prepare", tones, "--on-bad", "fail")[0] == 2
    )  # also where it is prepared already
    status, out, err = main("data", "verify", tones)
    assert status == 1
    assert "03.wav" in out


def test_verify_sees_a_store_that_was_damaged(main: Main, tones: Path) -> None:
    assert main("data", "prepare", tones)[0] == 0
    assert main("data", "verify", tones)[0] == 0
    (store,) = Path(".bench/prepared").glob("*/audio-00000.i16")
    with open(store, "r+b") as file:
        file.seek(2000)
        file.write(bytes(20_000))
    status, out, _ = main("data", "verify", tones)
    assert status == 1
    assert "35 tracks" in out
    assert "audio-00000.i16 is not as it was made" in " ".join(out.split())
    # What cannot even be opened is one line; preparing sets it aside and makes it again.
    (manifest,) = Path(".bench/prepared").glob("*/manifest.parquet")
    manifest.write_bytes(manifest.read_bytes()[:100])
    status, _, err = main("data", "verify", tones)
    assert status == 2
    assert "is damaged" in err
    assert "Traceback" not in err
    assert "set aside" in main("data", "prepare", tones)[2]
    assert main("data", "verify", tones)[0] == 0
