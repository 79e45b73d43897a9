"""Encoders and front ends: sizes of the papers, shapes, and items that do not depend on their neighbours."""

import numpy as np
import pytest
import torch

from bench.core import registry
from bench.data import augment
from bench.data.frontend import build_frontend, to_waveform
from bench.settings.frontends import LogMelSpec

# Those of others need files that are not here: tests/test_external.py.
OWN = [
    name
    for name in registry.names("encoders")
    if "EXTERNAL" not in registry.describe("encoders", name)
]


def build(name: str, **settings: object):
    module = registry.load("encoders", name)
    torch.manual_seed(0)
    return module.Encoder(module.Settings(**settings)).eval()


def waveforms(encoder, batch: int = 3) -> torch.Tensor:
    rate = registry.load("encoders", type(encoder).__module__.rpartition(".")[2]).SAMPLE_RATE
    return 0.1 * torch.randn(
        batch, round(encoder.settings.seconds * rate), generator=torch.Generator().manual_seed(1)
    )


@pytest.mark.parametrize("name", OWN)
def test_every_encoder(name):
    encoder = build(name)
    inputs = build_frontend(encoder.frontend)(waveforms(encoder))
    with torch.no_grad():
        embedded = encoder(inputs)
    assert embedded.shape == (3, encoder.width)
    assert torch.isfinite(embedded).all()
    assert not torch.allclose(embedded[0], embedded[1])
    about = registry.describe("encoders", name)
    assert {"PAPER", "COST", "SAMPLE_RATE", "summary"} <= set(about)
    assert about["summary"].endswith(".")


@pytest.mark.parametrize("name", OWN)
def test_an_item_does_not_depend_on_its_batch(name):
    encoder = build(name)
    frontend = build_frontend(encoder.frontend)
    audio = waveforms(encoder)
    audio[1] *= 1e-3  # beside a loud neighbour, a quiet item must keep its own dynamic range
    with torch.no_grad():
        together, alone = encoder(frontend(audio))[1], encoder(frontend(audio[1:2]))[0]
    torch.testing.assert_close(together, alone, rtol=1e-3, atol=1e-4)


def test_the_papers_resnet_has_the_papers_size():
    encoder = build("resnet")
    assert sum(parameter.numel() for parameter in encoder.parameters()) == 2_800_392
    assert sum(parameter.numel() for parameter in encoder.pool.parameters()) == 1_319_936
    assert encoder.settings.map_size == (4, 3)
    assert build_frontend(encoder.frontend)(waveforms(encoder)).shape == (3, 1, 128, 126)


def test_sizes_that_do_not_fit_are_refused():
    module = registry.load("encoders", "resnet")
    with pytest.raises(ValueError, match="leave no place"):
        module.Settings(seconds=0.5)
    with pytest.raises(ValueError, match="cannot be shared"):
        module.Settings(heads=7)


def test_log_mel_of_a_tone_peaks_in_its_band():
    spec = LogMelSpec(sample_rate=16_000, mels=64, f_max=8_000)
    time = torch.arange(16_000) / 16_000
    low, high = (
        build_frontend(spec)(0.5 * torch.sin(2 * torch.pi * f * time)[None])[0, 0].mean(1)
        for f in (300.0, 3_000.0)
    )
    assert low.argmax() < 12
    assert 30 < high.argmax() < 50
    assert low.max() - low.min() <= 100.01


def test_log_mel_offset_and_scale():
    plain = LogMelSpec(sample_rate=16_000, mels=64, f_max=8_000)
    scaled = plain.model_copy(update={"offset_db": 30.0, "scale_db": 20.0})
    audio = 0.1 * torch.randn(2, 8_000)
    torch.testing.assert_close(
        build_frontend(scaled)(audio), (build_frontend(plain)(audio) + 30) / 20
    )


def test_int16_to_waveform_keeps_full_scale():
    samples = torch.tensor([[-32767, 0, 32767]], dtype=torch.int16)
    assert to_waveform(samples).tolist() == [[-1.0, 0.0, 1.0]]


def test_augmentation_is_a_function_of_seed_step_view_and_index():
    views = torch.randn(6, 1, 64, 40)
    first = augment.log_mel(views, 20.0, seed=1, step=5, view=0)
    assert torch.equal(first, augment.log_mel(views, 20.0, seed=1, step=5, view=0))
    torch.testing.assert_close(first[:3], augment.log_mel(views[:3], 20.0, seed=1, step=5, view=0))
    for other in ({"seed": 2}, {"step": 6}, {"view": 1}):
        assert not torch.allclose(
            first, augment.log_mel(views, 20.0, **{"seed": 1, "step": 5, "view": 0, **other})
        )
    same = augment.log_mel(
        views[:1].expand(6, -1, -1, -1).contiguous(), 20.0, seed=1, step=5, view=0
    )
    assert len({round(float(item.mean()), 4) for item in same}) == 6, (
        "every item has its own parameters"
    )
    assert torch.isfinite(first).all()
    assert first.shape == views.shape
    assert 0.1 < np.abs((first - views).numpy()).mean() < 2
