"""Polarity, noise, gain and delay of waveforms."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Numbers = NDArray[np.float64]


def polarity(waveforms: Tensor) -> Tensor:
    """(batch, samples) -> (batch, samples), times -1."""
    return -waveforms


def gain(waveforms: Tensor, gain_db: Numbers) -> Tensor:
    """(batch, samples) -> (batch, samples), each item's level changed by its own number of dB: (batch,)."""
    return waveforms * column(10.0 ** (gain_db / 20), waveforms)


def relative_noise(waveforms: Tensor, ratio: Numbers, key: Numbers) -> Tensor:
    """White Gaussian noise added, whose deviation is (batch,) `ratio` times the item's own.

    Args:
        waveforms: (batch, samples).
        ratio: (batch,), as the deviation that CLMR's library draws (augmentations/noise.py,
            "min_snr" and "max_snr").
        key: (batch,) whole numbers below 2^32, each of which stands for one noise.
    """
    mean = _mean(waveforms)[:, None]
    deviation = _mean((waveforms - mean).square()).sqrt()[:, None]
    return waveforms + gaussian(key, waveforms) * deviation * column(ratio, waveforms)


def level_noise(waveforms: Tensor, level_db: Numbers, key: Numbers) -> Tensor:
    """White Gaussian noise added, (batch,) `level_db` below the item's mean power.

    `key` as in `relative_noise`.
    """
    root_mean_square = _mean(waveforms.square()).sqrt()[:, None]
    return waveforms + gaussian(key, waveforms) * root_mean_square * column(
        10.0 ** (-level_db / 20), waveforms
    )


def delay(waveforms: Tensor, delay_ms: Numbers, factor: float, sample_rate: int) -> Tensor:
    """(x + factor * delayed x) / 2, as CLMR's library has it (augmentations/delay.py).

    Args:
        waveforms: (batch, samples).
        delay_ms: (batch,) delays in milliseconds, of which whole samples are taken.
        factor: level of the echo.
        sample_rate: in Hz.
    """
    # A product such as 0.3 * 10 000 may lie a rounding below the whole number that it is.
    samples = waveforms.shape[1]
    offsets = np.minimum(np.floor(delay_ms * sample_rate / 1000 + 1e-6), samples).astype(np.int64)
    before = torch.nn.functional.pad(waveforms, (int(offsets.max()), 0))
    # The same number of samples is read for every item, further or less far back.
    back = torch.from_numpy(before.shape[1] - samples - offsets).to(waveforms.device)
    delayed = before.gather(1, back[:, None] + torch.arange(samples, device=waveforms.device))
    return delayed.mul_(factor).add_(waveforms).mul_(0.5)


def column(values: Numbers, like: Tensor) -> Tensor:
    """(batch,) numbers -> (batch, 1) of the type and on the device of another tensor."""
    return torch.from_numpy(values).to(like.device, like.dtype)[:, None]


def gaussian(key: Numbers, like: Tensor) -> Tensor:
    """(batch,) keys -> (batch, samples) normal numbers, as a function of (key, place) alone.

    Counted, not drawn one after another: each sample is its key and its place, hashed, and two of
    them go through Box and Muller's transform. So noise is made where the batch is, and no item
    waits for another.
    """
    samples = like.shape[1]
    # Whole vectors of the processor, so that no number is computed by another routine at the end of
    # a row.
    half = -(-samples // 128) * 64
    place = torch.arange(2 * half, device=like.device)
    number = _hashed(
        _hashed(place) ^ torch.from_numpy(key.astype(np.int64)).to(like.device)[:, None]
    )
    uniform = (number.to(torch.float32) + 0.5).mul_(2.0**-32)
    radius = uniform[:, :half].contiguous().clamp_(max=1.0).log_().mul_(-2).sqrt_()
    angle = uniform[:, half:] * (2 * math.pi)
    return torch.cat([radius * angle.cos(), radius * angle.sin()], 1)[:, :samples].to(like.dtype)


def _hashed(number: Tensor) -> Tensor:
    """int64 below 2^32 -> int64 below 2^32: C. Wellons' "lowbias32" mixer, exact on every device.

    Constants from github.com/skeeto/hash-prospector, "two round functions", written for products
    below 2^63.
    """
    for shift, factor in ((16, 0x21F0AAAD), (15, 0x735A2D97)):
        number = ((number ^ (number >> shift)) * factor) & 0xFFFFFFFF
    return number ^ (number >> 15)


def _mean(rows: Tensor) -> Tensor:
    """(batch, samples) -> (batch,), in an order of summation that does not depend on how many rows there are."""
    padded = torch.nn.functional.pad(rows, (0, -rows.shape[1] % 256))
    return padded.view(len(rows), -1, 256).sum(2).sum(1) / rows.shape[1]
