"""Polarity, gain, noise and delay of waveforms."""

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
    """Changes each item's level.

    Args:
        waveforms: (batch, samples).
        gain_db: (batch,) gains in dB.

    Returns:
        (batch, samples)
    """
    return waveforms * column(10.0 ** (gain_db / 20), waveforms)


def relative_noise(waveforms: Tensor, ratio: Numbers, key: Numbers) -> Tensor:
    """Adds white Gaussian noise whose standard deviation is a multiple of the item's own.

    Args:
        waveforms: (batch, samples).
        ratio: (batch,) the multiples, which CLMR's library draws as "min_snr" to "max_snr"
            (augmentations/noise.py).
        key: (batch,) whole numbers below 2^32, each of which stands for one noise.

    Returns:
        (batch, samples)
    """
    mean = _mean(waveforms)[:, None]
    deviation = _mean((waveforms - mean).square()).sqrt()[:, None]
    return waveforms + gaussian(key, waveforms) * deviation * column(ratio, waveforms)


def level_noise(waveforms: Tensor, level_db: Numbers, key: Numbers) -> Tensor:
    """Adds white Gaussian noise at a level relative to the item's mean power.

    Args:
        waveforms: (batch, samples).
        level_db: (batch,) how many dB the noise lies below the item.
        key: see `relative_noise`.

    Returns:
        (batch, samples)
    """
    root_mean_square = _mean(waveforms.square()).sqrt()[:, None]
    return waveforms + gaussian(key, waveforms) * root_mean_square * column(
        10.0 ** (-level_db / 20), waveforms
    )


def delay(waveforms: Tensor, delay_ms: Numbers, factor: float, sample_rate: int) -> Tensor:
    """(x + factor * delayed x) / 2, as CLMR's library has it (augmentations/delay.py).

    Args:
        waveforms: (batch, samples).
        delay_ms: (batch,) delays in milliseconds, rounded down to whole samples.
        factor: level of the echo.
        sample_rate: in Hz.

    Returns:
        (batch, samples)
    """
    # 1e-6: a product that should be a whole number may be rounded to just below it.
    samples = waveforms.shape[1]
    offsets = np.minimum(np.floor(delay_ms * sample_rate / 1000 + 1e-6), samples).astype(np.int64)
    before = torch.nn.functional.pad(waveforms, (int(offsets.max()), 0))
    # Every item is read from the padded batch at its own offset, so all stay in one array.
    back = torch.from_numpy(before.shape[1] - samples - offsets).to(waveforms.device)
    delayed = before.gather(1, back[:, None] + torch.arange(samples, device=waveforms.device))
    return delayed.mul_(factor).add_(waveforms).mul_(0.5)


def column(values: Numbers, like: Tensor) -> Tensor:
    """(batch,) numbers -> (batch, 1) of the type and on the device of another tensor."""
    return torch.from_numpy(values).to(like.device, like.dtype)[:, None]


def gaussian(key: Numbers, like: Tensor) -> Tensor:
    """(batch,) keys -> (batch, samples) standard normal numbers, a function of (key, place) alone.

    A counter-based generator: each uniform number is a hash of its key and place, and pairs of them
    go through Box and Muller's transform. So noise is made on the device, and no item's noise
    depends on other items.

    Args:
        key: (batch,) whole numbers below 2^32.
        like: (batch, samples), whose shape, type and device the noise has.
    """
    samples = like.shape[1]
    # Rows are whole numbers of a CPU's vectors: at the end of others, another routine with other
    # rounding errors would compute the rest.
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
    """Hashes int64 numbers below 2^32 to such numbers, exactly alike on every device.

    C. Wellons' "lowbias32" mixer, with constants of github.com/skeeto/hash-prospector, "two round
    functions". The factors are below 2^31, so that products stay below 2^63.
    """
    for shift, factor in ((16, 0x21F0AAAD), (15, 0x735A2D97)):
        number = ((number ^ (number >> shift)) * factor) & 0xFFFFFFFF
    return number ^ (number >> 15)


def _mean(rows: Tensor) -> Tensor:
    """(batch, samples) -> (batch,) means, summed in an order that does not depend on the batch."""
    padded = torch.nn.functional.pad(rows, (0, -rows.shape[1] % 256))
    return padded.view(len(rows), -1, 256).sum(2).sum(1) / rows.shape[1]
