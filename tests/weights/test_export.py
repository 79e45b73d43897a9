"""An exported folder loads without the training code and gives the embeddings of its run."""

import json
import re
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file, save_file

from bench import pretrained, results
from bench.cli.main import main
from bench.core.errors import InputError
from bench.core.store import Store, load_array
from bench.data.decode import decode
from bench.weights import export
from tests.conftest import RATE, tone
from tests.weights.runs import run_of


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
        np.stack([pretrained.track_embedding(track) for track in many]), stored, rtol=0, atol=1e-6
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
    # More than one batch of segments; the half second at the end is left out.
    assert long.shape == (69, 16)
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
        assert model.classifier is not None
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
    line = re.search(r"again: bench (run .* --results) again;", str(raised.value))
    assert line is not None
    with pytest.raises(SystemExit):
        main([*shlex.split(line[1]), str(tmp_path / "again")])
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
