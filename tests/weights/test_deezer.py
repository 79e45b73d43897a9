"""Deezer's networks give the same embeddings under the authors' names and under ours."""

import pytest
import torch
from torch import nn

from bench.core import registry
from bench.weights.imported import read_imported
from tests.reference_networks import Deezers, trained
from tests.weights.files import CLOSE, embed, music, save, under

pytestmark = pytest.mark.usefixtures("one_thread")
HEAD = nn.Sequential(nn.Linear(1024, 64, bias=False), nn.BatchNorm1d(64))


def test_deezers_model_gives_its_embeddings(take, tmp_path):
    network, audio = trained(Deezers()), music(16_000, 64_000)
    state = {**under("module.backbone.", network), **under("module.head.", HEAD)}
    assert {
        "module.backbone.spec.spec.spectrogram.window",
        "module.backbone.spec.spec.mel_scale.fb",
    } <= set(state)
    file = save(tmp_path / "contrastive.pt", {"model": state, "gin_info": ["a = 1"], "epoch": 3})
    out, said = take(file)
    with torch.no_grad():
        torch.testing.assert_close(embed(out, audio)[0], network(audio), **CLOSE)
    about = read_imported(out)
    assert (about.encoder, about.format, about.source) == ("resnet", "deezer", ["contrastive.pt"])
    module = registry.load("encoders", "resnet")
    assert module.Settings(**about.settings) == module.Settings()
    assert about.dropped == {"projection head": len(HEAD.state_dict())}
    assert "log-mel: 2 tensors, equal to the encoder's own" in said
    assert "6 projection head; 2 entries that are no tensors (gin_info, epoch)" in said
    assert f"next: bench run --weights {out} --encoder resnet" in said


def test_deezers_student_and_teacher_are_told_apart(take, tmp_path):
    student, teacher, audio = trained(Deezers(), 1), trained(Deezers(), 2), music(16_000, 64_000)
    state = {**under("student.module.backbone.", student), **under("teacher.backbone.", teacher)}
    file = save(tmp_path / "byol.pt", {"model": {**state, **under("projector.", HEAD)}})
    with torch.no_grad():
        for flags, network in (((), student), (("--format", "deezer-teacher"), teacher)):
            out, said = take(file, *flags)
            torch.testing.assert_close(embed(out, audio)[0], network(audio), **CLOSE)
    assert "left out: 6 projection head; " in said
