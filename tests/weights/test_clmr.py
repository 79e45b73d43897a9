"""CLMR's networks and heads give the same outputs under the authors' names and under ours."""

from typing import Any

import pytest
import torch
from torch import nn

from bench.weights.imported import read_imported
from tests.reference_networks import Clmrs, trained
from tests.weights.files import CLOSE, embed, music, save, under

pytestmark = pytest.mark.usefixtures("one_thread")


def projector() -> nn.Module:
    return nn.Sequential(nn.Linear(512, 512, bias=False), nn.ReLU(), nn.Linear(512, 64, bias=False))


def clmr_files(network: nn.Module) -> dict[str, dict[str, Any]]:
    """What the authors' code saves: v1, v1 with older names, v2 through Lightning, and alone.

    Lightning names the encoder twice.
    """
    plain = {**under("encoder.", network), **under("projector.", projector())}
    older = {}
    for name, value in plain.items():
        parts = name.split(".")
        if parts[1] == "sequential":
            name = ".".join(["encoder", f"conv{int(parts[2]) + 1}", *parts[3:]])
        older[name] = value
    twice = {
        **under("encoder.", network),
        **{f"model.{name}": value for name, value in plain.items()},
    }
    lightning = {
        "state_dict": twice,
        "pytorch-lightning_version": "1.2.1",
        "epoch": 9,
        "optimizer_states": [{"state": {}}],
    }
    return {"v1": plain, "older": older, "lightning": lightning, "alone": under("", network)}


@pytest.mark.parametrize("kind", ["v1", "older", "lightning", "alone"])
def test_clmrs_encoder_gives_its_embeddings(take, tmp_path, kind):
    network, audio = trained(Clmrs()), music(22_050, 59_049)
    content = clmr_files(network)[kind]
    file = save(tmp_path / "clmr.pt", content, _use_new_zipfile_serialization=kind != "older")
    out, _ = take(file)
    with torch.no_grad():
        torch.testing.assert_close(embed(out, audio)[0], network(audio), **CLOSE)
    wanted = {"projector": 2} if kind != "alone" else {}
    wanted |= {"second copy": len(network.state_dict())} if kind == "lightning" else {}
    assert read_imported(out).dropped == wanted


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("where", ["own file", "same file"])
def test_clmrs_fine_tuned_heads_are_kept(take, tmp_path, hidden, where):
    network, audio = trained(Clmrs()), music(22_050, 59_049)
    layers = [nn.Linear(512, 512), nn.ReLU()] if hidden else []
    head = nn.Sequential(*layers, nn.Linear(512, 50))
    if where == "own file":
        file = save(tmp_path / "clmr.pt", under("encoder.", network))
        flags = ["--head", save(tmp_path / "finetuner.pt", head.state_dict())]
    else:
        state = {**under("encoder.", network), **under("model.", head)}
        file, flags = save(tmp_path / "finetuner.ckpt", {"state_dict": state, "epoch": 3}), []
    out, said = take(file, *flags)
    embedded, stored = embed(out, audio)
    row = ["classifier.0.", "classifier.2."] if hidden else ["classifier."]
    for number, name in enumerate(row):
        embedded = nn.functional.linear(
            embedded.relu() if number else embedded, stored[f"{name}weight"], stored[f"{name}bias"]
        )
    with torch.no_grad():
        torch.testing.assert_close(embedded, head(network(audio)), **CLOSE)
    about = read_imported(out)
    assert (about.outputs, about.hidden, len(about.source)) == (
        50,
        hidden,
        1 + (where == "own file"),
    )
    assert f"classifier: {'one hidden layer' if hidden else 'linear'}, 50 outputs" in said


def test_a_last_layer_of_zeros_is_no_classifier(take, tmp_path):
    zeros = {"encoder.fc.weight": torch.zeros(50, 512), "encoder.fc.bias": torch.zeros(50)}
    out, said = take(save(tmp_path / "clmr.pt", {**under("encoder.", Clmrs()), **zeros}))
    assert read_imported(out).outputs == 0
    assert "2 last layer of zeros" in said
