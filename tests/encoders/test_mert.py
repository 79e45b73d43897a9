"""External encoders: a HuBERT that transformers wrote gives the same embeddings here."""

import json
import os
import pickle
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from bench import pretrained
from bench.core import external, registry
from bench.core.errors import InputError
from bench.core.store import Store
from bench.weights import export
from tests.conftest import tone, write_csv

transformers = pytest.importorskip("transformers")
SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "conv_dim": [8] * 7,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}
MERT = {
    "sample_rate": 24_000,
    "feature_extractor_cqt": False,
    "deepnorm": False,
    "attention_relax": -1.0,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files like those of m-a-p/MERT-v1-95M.

    They are HuBERT's, with a few more options, and a name that transformers does not know.
    """
    folder = tmp_path_factory.mktemp("mert")
    with torch.random.fork_rng():
        torch.manual_seed(1)
        transformers.HubertModel(transformers.HubertConfig(**SMALL)).save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {**MERT, "model_type": "mert_model", "architectures": ["MERTModel"]}
    config["auto_map"] = {"AutoModel": "modeling_MERT.MERTModel"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"do_normalize": False, "sampling_rate": 24_000})
    )
    (folder / "modeling_MERT.py").write_text("raise SystemExit('code of others was run')")
    return folder


def copied(folder: Path, tmp_path: Path, name: str = "config.json", **change: object) -> Path:
    """A copy of the folder with settings of one of its files changed."""
    copy = shutil.copytree(folder, tmp_path / "copy", dirs_exist_ok=True)
    content = json.loads((copy / name).read_text())
    (copy / name).write_text(json.dumps({**content, **change}))
    return copy


def build(folder: Path, **settings: object):
    module = registry.load("encoders", "mert")
    encoder = module.Encoder(module.Settings(folder=str(folder), **{"seconds": 0.5, **settings}))
    return encoder.eval()


def waveforms(batch: int = 3) -> torch.Tensor:
    return 0.1 * torch.randn(batch, 12_000, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("normalised", [True, False])
def test_layers_and_pooling_are_transformers_own(folder, tmp_path, normalised):
    copy = copied(folder, tmp_path, "preprocessor_config.json", do_normalize=normalised)
    theirs = transformers.HubertModel.from_pretrained(
        folder, config=transformers.HubertConfig(**SMALL)
    ).eval()
    audio = waveforms()
    extractor = transformers.Wav2Vec2FeatureExtractor(sampling_rate=24_000, do_normalize=normalised)
    inputs = extractor(list(audio.numpy()), sampling_rate=24_000, return_tensors="pt").input_values
    with torch.no_grad():
        states = theirs(inputs, output_hidden_states=True).hidden_states
        for settings, expected in (
            ({}, torch.stack(states).mean(0).mean(1)),
            ({"layers": 2}, states[2].mean(1)),
            ({"layers": (0, 1), "pooling": "max"}, ((states[0] + states[1]) / 2).amax(1)),
        ):
            encoder = build(copy, **settings)
            encoder.restore()
            torch.testing.assert_close(encoder(audio), expected, rtol=1e-5, atol=1e-5)
    assert encoder.width == 16
    assert len(states) == 3


def test_large_batches_are_encoded_in_parts(folder):
    encoder = build(folder)
    audio = waveforms(19)
    with torch.no_grad():
        parts = torch.cat([encoder(one[None]) for one in audio])
        torch.testing.assert_close(encoder(audio), parts, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(encoder(audio), parts, rtol=1e-4, atol=1e-5)


def test_it_is_drawn_by_the_seed_until_it_is_restored(folder):
    torch.manual_seed(3)
    one = build(folder)
    torch.manual_seed(3)
    two, three = build(folder), build(folder)
    audio = waveforms()
    with torch.no_grad():
        assert torch.equal(one(audio), two(audio))
        assert not torch.allclose(one(audio), three(audio))
        one.restore()
        three.restore()
        assert torch.equal(one(audio), three(audio))


def test_a_pickle_under_older_names_is_read(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "pickled")
    tensors = load_file(copy / "model.safetensors")
    old = {
        "parametrizations.weight.original0": "weight_g",
        "parametrizations.weight.original1": "weight_v",
    }
    renamed = {}
    for name, value in tensors.items():
        for new, before in old.items():
            name = name.replace(new, before)
        renamed[name] = value.half() if value.ndim > 1 else value
    torch.save(renamed, copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    assert any(name.endswith("weight_g") for name in renamed)
    encoder, expected = build(copy), build(folder)
    encoder.restore()
    expected.restore()
    with torch.no_grad():
        torch.testing.assert_close(
            encoder(waveforms()), expected(waveforms()), rtol=0.02, atol=0.02
        )


class _Code:
    def __reduce__(self):
        return os.system, ("touch harm",)


def test_files_that_do_not_fit_are_refused_by_name(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    copy = shutil.copytree(folder, tmp_path / "changed")
    tensors = load_file(copy / "model.safetensors")
    lost = tensors.pop("feature_projection.projection.bias")
    save_file(tensors, copy / "model.safetensors")
    with pytest.raises(InputError, match=r"feature_projection\.projection\.bias is missing"):
        build(copy).restore()
    save_file(
        {**tensors, "feature_projection.projection.bias": lost[:3].clone()},
        copy / "model.safetensors",
    )
    with pytest.raises(InputError, match=r"projection\.bias is \[3\], expected \[16\]"):
        build(copy).restore()
    save_file(
        {**tensors, "feature_projection.projection.bias": lost, "more": lost.clone()},
        copy / "model.safetensors",
    )
    with pytest.raises(InputError, match="more is unexpected"):
        build(copy).restore()
    (copy / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match="is damaged"):
        build(copy).restore()
    (copy / "model.safetensors").unlink()
    (copy / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": _Code()}))
    with pytest.raises(InputError, match="could be code"):
        build(copy).restore()
    torch.save({"weight": _Code()}, copy / "pytorch_model.bin")
    with pytest.raises(InputError, match="could be code"):
        build(copy).restore()
    assert not (tmp_path / "harm").exists()
    (copy / "pytorch_model.bin").unlink()
    with pytest.raises(InputError, match=r"neither model\.safetensors nor pytorch_model\.bin"):
        build(copy).restore()


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("config.json", {"sample_rate": 16_000}, "says 16000 Hz and 24000 Hz"),
        ("config.json", {"feature_extractor_cqt": True}, "feature_extractor_cqt is True"),
        ("config.json", {"deepnorm": True}, "deepnorm is True"),
    ],
)
def test_models_of_another_kind_are_refused(folder, tmp_path, name, change, message):
    with pytest.raises(InputError, match=message):
        build(copied(folder, tmp_path, name, **change))


def test_settings_are_checked(folder, tmp_path):
    with pytest.raises(InputError, match="has layers 0 to 2"):
        build(folder, layers=3)
    with pytest.raises(ValidationError, match="a layer stands twice"):
        build(folder, layers=(1, 1))
    with pytest.raises(ValidationError, match=r"give --encoder\.folder PATH"):
        registry.load("encoders", "mert").Settings()
    with pytest.raises(InputError, match="nothing is downloaded"):
        build(tmp_path / "nowhere")


def test_the_identity_is_that_of_the_content(folder, tmp_path):
    here = external.identity({"folder": str(folder), "layers": [1]}, "folder")
    there = shutil.copytree(folder, tmp_path / "there")
    assert external.identity({"folder": str(there), "layers": [1]}, "folder") == here
    assert here["layers"] == [1]
    assert str(folder) not in json.dumps(here)
    changed = copied(folder, tmp_path, "preprocessor_config.json", do_normalize=True)
    assert external.identity({"folder": str(changed), "layers": [1]}, "folder") != here
    assert external.identity({"layers": [1]}, "") == {"layers": [1]}
    with pytest.raises(InputError, match="there is no such folder"):
        external.identity({"folder": str(tmp_path / "nowhere")}, "folder")


def test_without_transformers_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.delitem(sys.modules, "bench.encoders.mert", raising=False)
    with pytest.raises(
        InputError,
        match="encoder 'mert' needs the package 'transformers': pip install transformers",
    ):
        registry.load("encoders", "mert")


@pytest.fixture
def tracks(tmp_path: Path) -> Path:
    """18 tracks of 1 s at 24 kHz in two classes."""
    rows: list[dict[str, object]] = []
    for number in range(18):
        name = f"{number:02}.wav"
        soundfile.write(
            tmp_path / name, tone(300 if number % 2 else 900, 1.0, number, 24_000), 24_000
        )
        split = ("train", "valid", "test")[number % 3]
        rows.append({"path": name, "label": "low" if number % 2 else "high", "split": split})
    return write_csv(tmp_path / "tracks.csv", rows)


def test_a_folder_that_is_not_there_is_said_before_anything_is_prepared(main, tracks, tmp_path):
    run = ["run", "--method", "imported", "--dataset", tracks]
    for flags in ([], ["--dry-run"]):
        status, _, err = main(
            *run, "--encoder", "mert", "--encoder.folder", tmp_path / "nowhere", *flags
        )
        assert status == 2
        assert "there is no such folder; nothing is downloaded" in err
        status, _, err = main(*run, "--encoder", "resnet_small", *flags)
        assert status == 2
        assert "method 'imported' on encoder 'resnet_small': give --weights FILE" in err
    assert not list((tmp_path / ".bench").glob("prepared/*"))


def test_a_run_export_and_embedding_with_it(main, folder, tracks, tmp_path):
    settings = ["--encoder.folder", folder, "--encoder.seconds", "0.5", "--encoder.layers", "2"]
    settings += ["--probe.steps", "5", "--score.resamples", "20"]
    for method in ("imported", "random_init"):
        status, _, err = main(
            "run", "--method", method, "--encoder", "mert", "--dataset", tracks, *settings
        )
        assert status == 0, err
    place = tmp_path / "results"
    result = export.find_run("imported", place)
    copy = shutil.copytree(folder, tmp_path / "elsewhere")
    settings[1] = copy
    status, out, err = main(
        "run", "--method", "imported", "--encoder", "mert", "--dataset", tracks, *settings
    )
    assert status == 0, err
    assert result.cell in out  # the same cell: what counts is what lies in the folder
    store = Store(tmp_path / ".bench")
    export.export(result, store, place, tmp_path / "out", False)
    shutil.rmtree(copy)
    config = json.loads((tmp_path / "out/config.json").read_text())
    assert config["encoder"]["settings"]["folder"] == "encoder"
    expected = build(folder, layers=2)
    expected.restore()
    model = pretrained.load(tmp_path / "out")
    with torch.no_grad():
        audio = waveforms()
        torch.testing.assert_close(model(audio), expected(audio), rtol=1e-5, atol=1e-5)
        drawn = export.model_of(export.find_run("random_init", place), store)
        assert not torch.allclose(drawn(audio), expected(audio), atol=1e-3)
    assert np.isfinite(model.embed(tmp_path / "00.wav")).all()
