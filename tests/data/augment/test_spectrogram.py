"""Augmentations of log-mels: masks, mixing and resizing against known answers."""

import numpy as np
import pytest
import torch

from bench.data.augment import Chain, log_mel, spectrogram
from bench.settings.augmentations import AugmentSpec, preset
from tests.data.augment.signals import RATE, only

FROZEN = ["0x1.765f0c0000000p-5", "0x1.33f2180000000p-1", "0x1.1e2b8a0000000p-1"]
pytestmark = pytest.mark.usefixtures("one_thread")


def test_log_mel_is_bit_for_bit_what_it_was():
    views = (torch.arange(3 * 16 * 20).view(3, 1, 16, 20) % 37 - 18) / 8
    changed = Chain(
        AugmentSpec.model_validate(preset("log_mel")), RATE, scale_db=20.0, seed=7
    ).log_mel(views, 11, 1)
    assert torch.equal(changed, log_mel(views, 20.0, seed=7, step=11, view=1))
    assert [number.hex() for number in changed[:, 0, 3, 5].tolist()] == FROZEN
    part = Chain(only("log_mel", 0.5), RATE, scale_db=20.0, seed=7).log_mel(views, 2, 1)
    assert 0 < sum(torch.equal(one, other) for one, other in zip(part, views, strict=True)) < 3


def test_log_mel_masks_cover_what_the_settings_allow():
    views = torch.randn(200, 1, 40, 60, generator=torch.Generator().manual_seed(0))
    still = {
        "gain_db": 0,
        "equaliser_db": 0,
        "noise_db": 0,
        "floor_db": 0,
        "band_mask": 0.5,
        "frame_mask": 0.0,
    }
    changed = Chain(only("log_mel", **still), RATE, scale_db=20.0).log_mel(views, 0, 0)
    hidden = (changed != views)[:, 0]
    bands = hidden.all(2).sum(1)
    assert torch.equal(hidden.sum((1, 2)), bands * 60), "whole bands and nothing else"
    assert bands.max() in range(19, 22)
    assert bands.double().mean() == pytest.approx(10, abs=1)
    means = views.mean((2, 3))
    for item in range(10):
        torch.testing.assert_close(
            changed[item, 0][hidden[item]], means[item].expand(int(hidden[item].sum()))
        )


def test_mixup_mixes_powers():
    views, share = torch.randn(4, 1, 8, 10), np.array([0.1, 0.4, 0.0, 0.25])
    mixed = spectrogram.mixup(views, views.roll(1, 0), share, scale_db=20.0)
    power = 10 ** (views.double() * 20 / 10)
    shares = torch.from_numpy(share)[:, None, None, None]
    expected = torch.log10((1 - shares) * power + shares * power.roll(1, 0)) * 10 / 20
    torch.testing.assert_close(mixed.double(), expected, rtol=1e-5, atol=1e-6)
    rows = np.arange(5)
    for uniform in (0.0, 0.5, 0.999):
        assert (spectrogram.partners_of(rows, np.full(5, uniform), 5) != rows).all()
    alone = Chain(only("mixup"), RATE, scale_db=20.0).log_mel(views[:1], 0, 0)
    torch.testing.assert_close(alone, views[:1])


def test_resize_crop_is_a_part_of_the_canvas_resized():
    views = torch.randn(4, 1, 16, 21, generator=torch.Generator().manual_seed(0))
    bands, frames = np.array([0.7, 1.0, 1.5, 0.01]), np.array([0.6, 1.0, 1.49, 2.0])
    places = np.array([0.0, 0.99, 0.5, 0.2]), np.array([0.3, 0.5, 0.99, 0.0])
    changed = spectrogram.resize_crop(views, bands, frames, *places)
    for item in range(4):
        canvas = views[item].mean().expand(1, 1, 16, 31).clone()
        canvas[..., 5:26] = views[item]
        height, width = min(max(int(bands[item] * 16), 1), 16), min(int(frames[item] * 21), 31)
        top, left = int(places[0][item] * (17 - height)), int(places[1][item] * (32 - width))
        part = canvas[..., top : top + height, left : left + width]
        expected = torch.nn.functional.interpolate(
            part, size=(16, 21), mode="bicubic", align_corners=True
        )
        torch.testing.assert_close(changed[item], expected[0], rtol=1e-4, atol=1e-5)


def test_items_of_spectrograms_do_not_depend_on_the_batch_but_in_mixup():
    views = torch.randn(32, 1, 64, 50)
    for name in ("log_mel", "resize_crop"):
        chain = Chain(only(name, 0.7), RATE, scale_db=20.0, seed=2)
        together = chain.log_mel(views, 4, 0)
        torch.testing.assert_close(
            chain.log_mel(views[:1], 4, 0), together[:1], rtol=1e-6, atol=1e-6
        )
        assert not torch.equal(together, chain.log_mel(views, 4, 1))
    with pytest.raises(ValueError, match="no log-mels"):
        Chain(only("mixup"), RATE).log_mel(views, 0, 0)
