"""A user's own audio files are embedded into one file, whole or not at all."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from bench import pretrained
from bench.cli import export as export_command
from bench.core.errors import InputError
from tests.conftest import tone


@pytest.fixture
def music(tmp_path) -> Path:
    """A folder with wav, flac, mp3, ogg, one file that is no audio and one that is empty."""
    folder = tmp_path / "music"
    (folder / "sub").mkdir(parents=True)
    for number, name in enumerate(("a.wav", "b.flac", "sub/c.mp3", "sub/d.ogg")):
        soundfile.write(folder / name, tone(300 * (number + 1), 2.5, number, 16_000), 16_000)
    (folder / "bad.wav").write_text("no audio")
    (folder / "empty.mp3").touch()
    (folder / "notes.txt").write_text("words")
    (folder / "._a.wav").write_text("what a Mac leaves")
    (folder / "sub/above").symlink_to(folder)
    return folder


def embed(place, *arguments, out, **more):
    model, *paths = arguments
    export_command.embed(
        str(model),
        *map(Path, paths),
        out=Path(out),
        home=place / ".bench",
        results=place / "results",
        **more,
    )


def test_a_users_own_files_to_npz(place, exported, music, tmp_path, capsys):
    embed(place, exported, music, out=tmp_path / "one.npz", segments=True)
    said = capsys.readouterr()
    assert "2 files left out" in said.err
    for line in (
        "1 files that are no audio passed over",
        "1 hidden files",
        "1 folders met a second time",
    ):
        assert line in said.err
    assert "bad.wav: not readable as audio" in said.err
    assert "4 files, 8 segments, 16 numbers each, 2 left out" in said.out
    with np.load(tmp_path / "one.npz") as stored:
        assert [Path(path).name for path in stored["paths"]] == [
            "a.wav",
            "b.flac",
            "c.mp3",
            "d.ogg",
        ]
        assert stored["first"].tolist() == [0, 2, 4, 6, 8]
        expected = pretrained.load(exported).embed(music / "sub/c.mp3")
        np.testing.assert_allclose(stored["segments"][4:6], expected, rtol=0, atol=1e-6)
        np.testing.assert_allclose(stored["tracks"][2], expected.mean(axis=0), rtol=0, atol=1e-6)
    assert not list(tmp_path.glob(".one*"))
    # Here the model is given by the run's name, and read from home.
    embed(place, "vicreg", music / "a.wav", out=tmp_path / "two.npz")
    with np.load(tmp_path / "one.npz") as one, np.load(tmp_path / "two.npz") as two:
        assert set(two.files) == {"paths", "tracks"}
        np.testing.assert_allclose(one["tracks"][:1], two["tracks"], rtol=0, atol=1e-6)


def test_a_users_own_files_to_parquet(place, exported, music, tmp_path):
    import pandas as pd

    embed(place, exported, music, out=tmp_path / "tracks.parquet")
    embed(place, exported, music, out=tmp_path / "segments.parquet", segments=True)
    embed(place, exported, music, out=tmp_path / "tracks.npz", segments=True)
    tracks, segments = (
        pd.read_parquet(tmp_path / f"{name}.parquet") for name in ("tracks", "segments")
    )
    with np.load(tmp_path / "tracks.npz") as stored:
        np.testing.assert_array_equal(np.stack(list(tracks["embedding"])), stored["tracks"])
        np.testing.assert_array_equal(np.stack(list(segments["embedding"])), stored["segments"])
    assert segments["start_seconds"].tolist() == [0.0, 1.0] * 4
    assert segments["path"].nunique() == 4


def test_m4a_is_read(exported, tmp_path):
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "song.m4a"), "w") as container:
        stream = container.add_stream("aac", rate=16_000, layout="mono")
        samples = tone(440, 2.5, 0, 16_000)[None]
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate = 16_000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    assert pretrained.load(exported).embed(tmp_path / "song.m4a").shape == (2, 16)


def test_what_cannot_be_embedded_is_said_in_one_line(place, exported, music, tmp_path):
    out = tmp_path / "out.npz"
    with pytest.raises(InputError, match=r"end it with \.npz or \.parquet"):
        embed(place, exported, music, out=tmp_path / "out.csv")
    with pytest.raises(InputError, match="there is no such file or folder"):
        embed(place, exported, tmp_path / "nowhere.mp3", out=out)
    with pytest.raises(InputError, match=r"none of 2 files could be read: .*bad\.wav"):
        embed(place, exported, music / "bad.wav", music / "empty.mp3", out=out)
    with pytest.raises(InputError, match=r"bad\.wav: not readable"):
        embed(place, exported, music, out=out, on_bad="fail")
    assert not out.exists()
    assert not list(tmp_path.glob(".out*"))
