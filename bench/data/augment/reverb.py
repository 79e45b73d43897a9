"""Reverberation as SoX makes it, every item with its own room, without a recursion, to a thousandth of what is added.

SoX's `reverb` (src/reverb.c) is Jezar's Freeverb: eight comb filters with a low-pass filter in
their feedback, in parallel, and four all-pass filters one after another. All of them are linear, so
the whole is one product of spectra. Its impulse response lasts longer than any array; the spectra
are therefore taken on a circle outside the unit circle, where everything has died away at the
array's end.
"""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.augment import fourier
from bench.data.augment.level import column

Numbers = NDArray[np.float64]

# All from src/reverb.c. Delays in samples at 44 100 Hz; the right channel's differ by `_SPREAD`, up
# and down in turn.
_COMBS = (1116, 1188, 1277, 1356, 1422, 1491, 1557, 1617)
_ALL_PASSES = (225, 341, 441, 556)
_SPREAD = 12
_WET_GAIN = 0.015
_LEAST_FEEDBACK, _MOST_FEEDBACK = 0.3, 0.98

# how far an impulse response has died away at the array's end, by the change of circle alone
_FADE = 3e-4
_ROW = 256


def reverb(
    waveforms: Tensor, reverberance: Numbers, damping: Numbers, room: Numbers, sample_rate: int
) -> Tensor:
    """The item and its reverberation, mixed as SoX does by default (wet gain 0 dB), then to mono as CLMR does.

    SoX makes stereo of mono; CLMR's library takes the mean of both channels
    (augmentations/reverb.py). Unlike SoX's integers, values above 1 are not clipped.

    Args:
        waveforms: (batch, samples).
        reverberance: (batch,) in percent.
        damping: (batch,) damping of high frequencies, in percent.
        room: (batch,) size of the room, in percent.
        sample_rate: in Hz.

    Returns:
        (batch, samples)
    """
    samples, device = waveforms.shape[1], waveforms.device
    size = fourier.fast_size(samples + samples // 6)
    fading = _fading(samples, size, device)
    heard = torch.empty_like(waveforms)
    for rows in fourier.pieces(np.arange(len(waveforms)), device):
        piece = slice(int(rows[0]), int(rows[-1]) + 1)
        response = _response(
            reverberance[piece], damping[piece], room[piece], sample_rate, size, device
        )
        bins = fourier.spectrum(waveforms[piece] * fading, size).mul_(response)
        heard[piece] = torch.addcdiv(
            waveforms[piece], fourier.signal(bins, size)[:, :samples], fading
        )
    return heard


def feedback_of(reverberance: Numbers) -> Numbers:
    """The combs' feedback for a reverberance in percent (src/reverb.c, reverb_create)."""
    slope = -1 / np.log(1 - _LEAST_FEEDBACK)
    end = 100 / (np.log(1 - _MOST_FEEDBACK) * slope + 1)
    return np.asarray(1 - np.exp((reverberance - end) / (slope * end)))


def damping_of(damping: Numbers) -> Numbers:
    """The coefficient of the combs' low-pass filter for a damping in percent (src/reverb.c, reverb_create)."""
    return damping / 100 * 0.3 + 0.2


def delays(
    lengths: tuple[int, ...], scale: Numbers, channel: int, sample_rate: int
) -> NDArray[np.int64]:
    """(batch, lengths) delays in samples of the left (0) or right (1) channel (src/reverb.c, filter_array_create)."""
    sign = np.resize([1, -1], len(lengths))
    ideal = (
        scale[:, None] * (sample_rate / 44_100) * (np.asarray(lengths) + _SPREAD * channel * sign)
    )
    return np.asarray(np.floor(ideal + 0.5).astype(np.int64))


def _response(
    reverberance: Numbers,
    damping: Numbers,
    room: Numbers,
    sample_rate: int,
    size: int,
    device: torch.device,
) -> Tensor:
    """(batch, size // 2 + 1) the mean of both channels' frequency responses, on the circle.

    A comb with the low-pass filter (1 - d) / (1 - d z^-1) in its feedback f is c * low / rest,
    where c = z^-delay, low = 1 - d z^-1, rest = low - f (1 - d) c. The sum of eight is low / (f (1
    - d)) * (low * (sum of 1 / rest) - 8). Both channels' sums are brought to one fraction, since a
      complex division costs as much as many products.
    """
    damped = damping_of(damping)
    fed_back = feedback_of(reverberance) * (1 - damped)
    one = np.ones((len(room), 1), np.int64)
    low = next(_powers(one, -damped, size, device)).add_(1)
    totals, products = [], []
    for channel in (0, 1):
        combs = delays(_COMBS, room / 100 * 0.9 + 0.1, channel, sample_rate)
        rests = (turn.add_(low) for turn in _powers(combs, -fed_back, size, device))
        product = next(rests)
        total = torch.ones_like(product)
        for rest in rests:
            total.mul_(rest).add_(product)
            product.mul_(rest)
        totals.append(total)
        products.append(product)
    left, right = _all_passes(sample_rate, size, device)
    sums = (
        totals[0]
        .mul_(left)
        .mul_(products[1])
        .add_(totals[1].mul_(right).mul_(products[0]))
        .mul_(low)
    )
    product = products[0].mul_(products[1])
    sums.sub_(product * ((left + right) * len(_COMBS))).mul_(low).mul_(
        column(_WET_GAIN / 2 / fed_back, sums)
    )
    return sums.mul_(product.reciprocal_())[:, : size // 2 + 1]


def _powers(
    exponents: NDArray[np.int64], factors: Numbers, size: int, device: torch.device
) -> Iterator[Tensor]:
    """For each of the (batch, exponents): factor * z^-exponent, (batch, bins) at a transform's bins and some beyond.

    The bins are taken as rows of `_ROW`: two short tables and their products in place of a sine for
    every bin.
    """
    rows = size // 2 // _ROW + 1
    turns = _turns(size, device)
    levels = torch.from_numpy(
        (factors[:, None] * _FADE ** (exponents / size)).astype(np.float32)
    ).to(device)
    coarse, fine = (
        turns.index_select(
            0, torch.from_numpy(_rest(exponents[:, :, None] * bins, size)).to(device).flatten()
        )
        for bins in (np.arange(rows) * _ROW, np.arange(_ROW))
    )
    coarse = coarse.view(*levels.shape, rows) * levels[:, :, None]
    fine = fine.view(*levels.shape, _ROW)
    for number in range(exponents.shape[1]):
        yield (coarse[:, number, :, None] * fine[:, number, None, :]).flatten(1)


def _rest(number: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """`number % size` of numbers that are not negative, several times as fast as numpy's."""
    return number - number // size * size


@lru_cache(maxsize=4)
def _turns(size: int, device: torch.device) -> Tensor:
    """(size,) complex: exp(-2 pi i place / size)."""
    return torch.from_numpy(np.exp(-2j * np.pi * np.arange(size) / size).astype(np.complex64)).to(
        device
    )


@lru_cache(maxsize=4)
def _all_passes(sample_rate: int, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The four all-pass filters' response, (1, bins) for each channel, the same in any room.

    One is (1.5 c - 1) / (1 - 0.5 c), where c = z^-delay.
    """
    channels = []
    for channel in (0, 1):
        response = torch.ones((), dtype=torch.complex64, device=device)
        for turn in _powers(
            delays(_ALL_PASSES, np.ones(1), channel, sample_rate), np.ones(1), size, device
        ):
            response = response * (1.5 * turn - 1) / (1 - 0.5 * turn)
        channels.append(response)
    return channels[0], channels[1]


@lru_cache(maxsize=4)
def _fading(samples: int, size: int, device: torch.device) -> Tensor:
    """(samples,) what takes a signal to the other circle; divided by, it takes it back."""
    return torch.from_numpy((_FADE ** (np.arange(samples) / size)).astype(np.float32)).to(device)
