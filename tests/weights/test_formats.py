"""Formats are detected by names; our own weights and any names by a user's mapping are read."""

import json

import pytest
import safetensors.torch
import torch

from bench.core.errors import InputError
from bench.data.frontend import build_frontend
from bench.weights.formats import classifier, convert, detect, mapped
from bench.weights.imported import read_imported
from tests.reference_networks import Clmrs, Deezers, Tunes
from tests.weights.files import SMALL, SMALL_FLAGS, embed, music, own_weights, save, under

pytestmark = pytest.mark.usefixtures("one_thread")


def test_formats_are_told_by_names():
    assert detect(under("module.backbone.", Deezers())) == "deezer"
    assert detect(under("model.encoder.", Clmrs())) == "clmr"
    assert detect(under("encoder.", Tunes())) == "tune"
    for name in ("sample_cnn", "tune", "tune_plus", "short_chunk_cnn", "resnet_small", "resnet"):
        assert detect(own_weights(name)[1]) == "own", name
    with pytest.raises(InputError, match="not this project's own format: the file has b"):
        convert({"encoder.a": torch.ones(1), "b": torch.ones(1)}, "own")
    assert set(
        classifier({"model.0.weight": torch.ones(2, 3), "model.0.bias": torch.ones(2)})[0]
    ) == {
        "classifier.weight",
        "classifier.bias",
    }


def test_our_own_weights_need_the_encoder_and_its_settings(take, refused, tmp_path):
    encoder, state = own_weights("resnet_small", **SMALL)
    file = tmp_path / "own.safetensors"
    safetensors.torch.save_file(state, file)
    assert "does not say which encoder it is for: give --encoder NAME" in refused(file)
    assert (
        "of another shape encoder.stem.0.weight (2, 1, 3, 3) in place of (8, 1, 3, 3)"
        in refused(file, "--encoder", "resnet_small")
    )
    out, _ = take(file, "--encoder", "resnet_small", *SMALL_FLAGS)
    audio = music(16_000, 16_000)
    with torch.no_grad():
        torch.testing.assert_close(
            embed(out, audio)[0], encoder(build_frontend(encoder.frontend)(audio))
        )
    assert read_imported(out).format == "own"


@pytest.mark.parametrize("ending", ["json", "toml"])
def test_any_names_by_a_mapping(take, tmp_path, ending):
    encoder, state = own_weights("resnet_small", **SMALL)
    theirs = {
        name.replace("encoder.stem.0.weight", "first").replace("encoder.", "net.body."): state[name]
        for name in state
    }
    file = tmp_path / "theirs.safetensors"
    safetensors.torch.save_file(
        {**theirs, "net.head.weight": torch.ones(3), "step": torch.ones(1)}, file
    )
    rules = {"net.body.": "encoder.", "first": "encoder.stem.0.weight", "net.head.": "", "step": ""}
    text = (
        json.dumps(rules)
        if ending == "json"
        else "".join(f'"{old}" = "{new}"\n' for old, new in rules.items())
    )
    mapping = tmp_path / f"mapping.{ending}"
    mapping.write_text(text)
    out, said = take(file, "--mapping", mapping, "--encoder", "resnet_small", *SMALL_FLAGS)
    audio = music(16_000, 16_000)
    with torch.no_grad():
        torch.testing.assert_close(
            embed(out, audio)[0], encoder(build_frontend(encoder.frontend)(audio))
        )
    assert "left out: 2 by the mapping" in said


def test_rules_of_a_mapping():
    given = {"a.b": torch.ones(1), "a.c": torch.ones(1), "d": torch.ones(1)}
    assert set(mapped(given, {"a.": "encoder.", "a.c": "encoder.x"}).tensors) == {
        "encoder.b",
        "encoder.x",
        "d",
    }
    assert set(mapped(given, {"": "encoder."}).tensors) == {
        "encoder.a.b",
        "encoder.a.c",
        "encoder.d",
    }
    with pytest.raises(
        InputError, match=r"names e\., which the file does not have; it has a\.b, a\.c, d"
    ):
        mapped(given, {"e.": "encoder."})
    with pytest.raises(InputError, match=r"makes two tensors 'encoder\.x'"):
        mapped(given, {"a.b": "encoder.x", "a.c": "encoder.x"})


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("m.json", "[1]", "expected names and their new names"),
        ("m.json", "{", "not a readable JSON"),
        ("m.toml", "a.b = 'c'", "expected names"),
        ("m.toml", "=", "not a readable TOML"),
    ],
)
def test_mappings_that_cannot_be_read(refused, tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    file = save(tmp_path / "x.pt", {"a": torch.ones(1)})
    assert words in refused(file, "--mapping", tmp_path / name)
    assert "--mapping takes the place of --format" in refused(
        file, "--mapping", tmp_path / name, "--format", "clmr"
    )
    assert "no such file" in refused(file, "--mapping", tmp_path / "none.toml")
