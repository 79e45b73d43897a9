"""Weights out: a folder that loads without the training code, a user's own files embedded, ONNX equal to PyTorch."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file, save_file

from bench import pretrained, results
from bench.cli import export as export_command
from bench.cli.main import main
from bench.core.errors import InputError
from bench.core.store import Store, load_array
from bench.data.decode import decode
from bench.data.folded import folded
from bench.data.frontend import build_frontend
from bench.settings.frontends import LogMelSpec, MfccSpec
from bench.weights import export, onnx
from tests.conftest import RATE, TINY, make_tones, tone

SMALL = [*TINY, "--train.steps", "3"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three runs on tones: a pretext task, a supervised one and hand-made features."""
    folder = tmp_path_factory.mktemp("export")
    make_tones(folder / "tones")
    for method, settings in (
        ("vicreg", SMALL),
        ("supervised", SMALL),
        ("mfcc", ["--encoder.seconds", "1.0"]),
    ):
        places = [
            "--home",
            folder / ".bench",
            "--results",
            folder / "results",
            "--dataset",
            folder / "tones/tracks.csv",
        ]
        with pytest.raises(SystemExit) as ended:
            main(["run", "--method", method, *map(str, places), *settings])
        assert not ended.value.code
    return folder


def run_of(place: Path, method: str) -> results.Result:
    return export.find_run(method, place / "results")


@pytest.fixture(scope="module")
def exported(place: Path) -> Path:
    export.export(
        run_of(place, "vicreg"), Store(place / ".bench"), place / "results", place / "vicreg", False
    )
    return place / "vicreg"


def test_the_folder_holds_all_that_a_stranger_needs(place, exported):
    assert {path.name for path in exported.iterdir()} == {
        "config.json",
        "model.safetensors",
        "README.md",
        "tags.txt",
    }
    assert (exported / "tags.txt").read_text().split() == ["high", "low", "middle"]
    config = json.loads((exported / "config.json").read_text())
    result = run_of(place, "vicreg")
    assert config["cell"] == result.cell
    assert config["frontend"]["kind"] == "LogMel"
    assert config["encoder"]["settings"]["seconds"] == config["seconds"] == 1.0
    assert str(place) not in (exported / "config.json").read_text()
    card = (exported / "README.md").read_text()
    value = result.metrics["map_macro"]
    assert f"{value.value:.3f} [{value.low:.3f}, {value.high:.3f}]" in card
    for heading in (
        "Use",
        "How it came about",
        "Scores",
        "Licence of the data",
        "Limits",
        "How to cite",
    ):
        assert f"\n## {heading}\n" in card
    assert not list(place.glob(".*.tmp"))


def test_embeddings_are_those_of_the_run(place, exported):
    result = run_of(place, "vicreg")
    stored = load_array(place / ".bench/embedded" / result.products["embed"] / "tracks.npy")
    segments = load_array(place / ".bench/embedded" / result.products["embed"] / "segments.npy")
    files = sorted((place / "tones/audio").glob("*.wav"))
    model = pretrained.load(exported)
    vectors = model.embed(files[5])
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, segments[10:12], rtol=0, atol=1e-6)
    many = list(model.embed_all(decode(path, model.sample_rate).samples for path in files))
    np.testing.assert_allclose(
        np.stack([pretrained.track_embedding(one) for one in many]), stored, rtol=0, atol=1e-6
    )
    loaded = export.model_of(result, Store(place / ".bench"))
    waveform = torch.randn(2, model.samples) * 0.1
    torch.testing.assert_close(loaded(waveform), model(waveform), rtol=0, atol=0)


def test_three_lines_without_the_training_code(place, exported):
    code = (
        "import sys\n"
        "from bench.pretrained import load\n"
        f"model = load({str(exported)!r})\n"
        f"vectors = model.embed({str(place / 'tones/audio/00.wav')!r})\n"
        "assert vectors.shape == (2, 16), vectors.shape\n"
        "heavy = {'bench.stages', 'bench.method', 'lightly', 'pandas'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=place)


def test_short_and_long_files_are_cut_as_in_a_run(exported, tmp_path):
    model = pretrained.load(exported)
    soundfile.write(tmp_path / "short.wav", tone(400, 0.3, 0), RATE)
    soundfile.write(
        tmp_path / "long.wav", np.tile(tone(400, 1.0, 0), 70)[: round(69.5 * RATE)], RATE
    )
    assert model.embed(tmp_path / "short.wav").shape == (1, 16)
    long = model.embed(tmp_path / "long.wav")
    assert long.shape == (
        69,
        16,
    )  # more than one batch of segments; the half second at the end is left out
    with pytest.raises(InputError, match=r"nothing\.mp3: file not found"):
        model.embed(tmp_path / "nothing.mp3")
    with pytest.raises(ValueError, match="expected"):
        model(torch.zeros(2, 100))


@pytest.mark.parametrize("method", ["supervised", "mfcc"])
def test_other_methods_go_out_too(place, method):
    export.export(
        run_of(place, method), Store(place / ".bench"), place / "results", place / method, False
    )
    model = pretrained.load(place / method)
    vectors = model.embed(place / "tones/audio/03.wav")
    assert np.isfinite(vectors).all()
    if method == "supervised":
        assert model.classifier(torch.from_numpy(vectors)).shape == (2, 3)
        assert model.tags == ("high", "low", "middle")
    else:
        assert model.classifier is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda tensors: tensors.pop("encoder.stem.0.weight"),
            r"encoder\.stem\.0\.weight is missing",
        ),
        (lambda tensors: tensors.update(more=torch.zeros(2)), "more is unexpected"),
        (
            lambda tensors: tensors.update({"encoder.stem.0.weight": torch.zeros(1, 2)}),
            r"is \[1, 2\], expected \[",
        ),
        (
            lambda tensors: tensors["encoder.stem.0.weight"].add_(1),
            r"stem\.0\.weight has another checksum",
        ),
    ],
)
def test_damaged_weights_are_refused_by_name(exported, tmp_path, change, message):
    folder = shutil.copytree(exported, tmp_path / "damaged")
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(InputError, match=message):
        pretrained.load(folder)
    config = json.loads((folder / "config.json").read_text())
    config["tensors"] = pretrained.facts_of(tensors)  # even where the checksums agree
    (folder / "config.json").write_text(json.dumps(config))
    if "checksum" not in message:
        with pytest.raises(InputError, match="do not fit encoder 'resnet_small'"):
            pretrained.load(folder)


def test_folders_of_others_are_refused(exported, tmp_path):
    with pytest.raises(InputError, match="no folder of `bench export`"):
        pretrained.load(tmp_path)
    folder = shutil.copytree(exported, tmp_path / "newer")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "format": 99}))
    with pytest.raises(InputError, match="of format 99; this version reads format 1"):
        pretrained.load(folder)
    (folder / "config.json").write_text(
        json.dumps({**config, "frontend": {**config["frontend"], "hop": 1}})
    )
    with pytest.raises(InputError, match="another front end"):
        pretrained.load(folder)


def test_only_an_earlier_export_is_replaced(place, tmp_path):
    result, store = run_of(place, "vicreg"), Store(place / ".bench")
    export.export(result, store, place / "results", tmp_path / "there", False)
    export.export(result, store, place / "results", tmp_path / "there", False)
    with pytest.raises(InputError, match="something else than an export of this run"):
        export.export(run_of(place, "mfcc"), store, place / "results", tmp_path / "there", False)
    (tmp_path / "there/notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"notes\.txt is not of the export"):
        export.export(result, store, place / "results", tmp_path / "there", False)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="holds other files"):
        export.export(result, store, place / "results", tmp_path / "mine", False)
    assert {path.name for path in tmp_path.iterdir()} == {"there", "mine"}


def test_weights_that_are_gone_say_how_to_get_them_again(place, tmp_path):
    result = run_of(place, "vicreg")
    with pytest.raises(
        InputError, match=r"make them again: bench run --method vicreg .*--train\.steps 3 "
    ) as raised:
        export.tensors_of(result, Store(tmp_path / "home"))
    line = re.search(r"again: bench (run .* --results) again;", str(raised.value)).group(1)
    with pytest.raises(SystemExit):
        main([*shlex.split(line), str(tmp_path / "again")])
    assert export.find_run(result.cell, tmp_path / "again").metrics == result.metrics
    assert export.tensors_of(result, Store(tmp_path / "home"))
    with pytest.raises(InputError, match="no run 'nobody'"):
        run_of(place, "nobody")


def test_a_run_is_named_by_its_file_or_a_beginning(place, tmp_path):
    result = run_of(place, "vicreg")
    path = results.path_of(place / "results", result)
    for name in (str(path), result.cell, result.cell[:9], path.stem):
        assert export.find_run(name, place / "results").cell == result.cell
    runs = tmp_path / "runs"
    shutil.copytree(path.parent, runs)
    shutil.copy(path, runs / "copy-1.json")
    shutil.copy(path, runs / "copy-2.json")
    assert export.find_run("copy", tmp_path).cell == result.cell  # several cells of one encoder
    shutil.copy(results.path_of(place / "results", run_of(place, "mfcc")), runs / "copy-3.json")
    with pytest.raises(InputError, match="means runs of 2 encoders"):
        export.find_run("copy", tmp_path)


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
    export_command.embed(*map(str, arguments[:1]), *map(Path, arguments[1:]), out=Path(out),
                     home=place / ".bench", results=place / "results", **more)  # fmt: skip


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
    embed(
        place, "vicreg", music / "a.wav", out=tmp_path / "two.npz"
    )  # by the run's name, from home
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
        np.testing.assert_array_equal(np.stack(tracks["embedding"]), stored["tracks"])
        np.testing.assert_array_equal(np.stack(segments["embedding"]), stored["segments"])
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


@pytest.mark.parametrize(
    "spec",
    [
        LogMelSpec(sample_rate=16_000, mels=64, f_max=8_000, offset_db=30, scale_db=20),
        LogMelSpec(sample_rate=16_000, f_max=11_025),
        MfccSpec(sample_rate=16_000),
    ],
)
def test_front_ends_without_a_fourier_transform_are_the_same(spec):
    frontend = build_frontend(spec)
    waveforms = 0.1 * torch.randn(3, 20_000, generator=torch.Generator().manual_seed(0))
    waveforms[1] *= 1e-3
    waveforms[2] = 0
    found, expected = folded(frontend, 20_000)(waveforms), frontend(waveforms)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=2e-4)  # of decibels in the tens


@pytest.mark.parametrize("method", ["vicreg", "mfcc"])
def test_onnx_is_equal_to_pytorch(place, tmp_path, method):
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    made = export.export(
        run_of(place, method), Store(place / ".bench"), place / "results", tmp_path / "out", True
    )
    assert made.onnx["largest_difference"] <= 1e-5
    model = pretrained.load(tmp_path / "out")
    session = onnxruntime.InferenceSession(
        str(tmp_path / "out/model.onnx"), providers=["CPUExecutionProvider"]
    )
    audio = [
        decode(path, model.sample_rate).samples[: model.samples]
        for path in (place / "tones/audio").glob("*.wav")
    ]
    waveforms = np.stack(audio).astype(np.float32) / 32767
    for part in (waveforms, waveforms[:1]):  # any batch
        (found,) = session.run(None, {"waveform": part})
        with torch.no_grad():
            expected = model(torch.from_numpy(part)).numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


class _Louder(torch.nn.Sequential):
    """A front end that is a little wrong."""

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        return 1.001 * super().forward(waveform)


def test_an_onnx_file_that_differs_is_not_kept(place, tmp_path, monkeypatch):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(
        onnx, "folded", lambda frontend, samples: _Louder(folded(frontend, samples))
    )
    with pytest.raises(InputError, match="differs from PyTorch"):
        export.export(
            run_of(place, "mfcc"),
            Store(place / ".bench"),
            place / "results",
            tmp_path / "out",
            True,
        )
    assert not list(tmp_path.iterdir())
