"""Reverberation as SoX makes it, every item with its own room, as one product of spectra.

SoX's `reverb` (src/reverb.c) is Jezar's Freeverb: eight comb filters with a low-pass filter in
their feedback, in parallel, and four all-pass filters one after another. All of them are linear, so
the whole is one product of spectra, without a recursion. Its impulse response is longer than any
array and would wrap round; the spectra are therefore taken on a circle outside the unit circle,
where the response has died away at the array's end. The result equals the recursion's to within a
thousandth of the reverberation.
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

# All from src/reverb.c. Delays are in samples at 44 100 Hz; those of the right channel are longer
# and shorter by `_SPREAD` in turn.
_COMBS = (1116, 1188, 1277, 1356, 1422, 1491, 1557, 1617)
_ALL_PASSES = (225, 341, 441, 556)
_SPREAD = 12
_WET_GAIN = 0.015
_LEAST_FEEDBACK, _MOST_FEEDBACK = 0.3, 0.98

# What the change of circle alone multiplies an impulse response by at the array's end.
_FADE = 3e-4
_ROW = 256  # bins of a row, see `_powers`


def reverb(
    waveforms: Tensor, reverberance: Numbers, damping: Numbers, room: Numbers, sample_rate: int
) -> Tensor:
    """Adds to every item the reverberation of its own room.

    The mix is SoX's default (wet gain 0 dB). SoX makes stereo of mono; the mean of both channels is
    taken, as in CLMR's library (augmentations/reverb.py). Values above 1 are not clipped, as SoX's
    integers would be.

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
    """The coefficient of the combs' low-pass filter for a damping in percent (reverb_create)."""
    return damping / 100 * 0.3 + 0.2


def delays(
    lengths: tuple[int, ...], scale: Numbers, channel: int, sample_rate: int
) -> NDArray[np.int64]:
    """The filters' delays in whole samples (src/reverb.c, filter_array_create).

    Args:
        lengths: delays in samples at 44 100 Hz.
        scale: (batch,) factors that the size of the room gives.
        channel: 0 for left, 1 for right.
        sample_rate: in Hz.

    Returns:
        (batch, lengths)
    """
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

    A comb with the low-pass filter (1 - d) / (1 - d z^-1) in its feedback f has the response

        c * low / rest, where c = z^-delay, low = 1 - d z^-1, rest = low - f (1 - d) c.

    The sum of the eight combs is therefore

        low / (f (1 - d)) * (low * (sum of 1 / rest) - 8).

    Both channels' sums are brought to one fraction, since a complex division costs as much as many
    products.
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
    """Powers factor * z^-exponent at the bins of a transform, for one exponent after another.

    Bins are taken as rows of `_ROW`, so that every power is the product of one for the row and one
    for the bin within it: two short tables in place of a sine for each bin.

    Args:
        exponents: (batch, exponents) whole numbers of 0 or more.
        factors: (batch,).
        size: of the transform.
        device: where the result is to be.

    Yields:
        (batch, bins) complex, of at least size // 2 + 1 bins, for each column of `exponents`.
    """
    rows = size // 2 // _ROW + 1
    turns = _turns(size, device)
    faded = (factors[:, None] * _FADE ** (exponents / size)).astype(np.float32)
    levels = torch.from_numpy(faded).to(device)

    def powers_at(bins: NDArray[np.int64]) -> Tensor:
        places = _rest(exponents[:, :, None] * bins, size)
        return turns.index_select(0, torch.from_numpy(places).to(device).flatten())

    coarse, fine = powers_at(np.arange(rows) * _ROW), powers_at(np.arange(_ROW))
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
    """The response of the four all-pass filters, (1, bins) for each channel, alike in any room.

    That of one filter is (1.5 c - 1) / (1 - 0.5 c), where c = z^-delay.
    """
    channels = []
    for channel in (0, 1):
        response = torch.ones((), dtype=torch.complex64, device=device)
        exponents = delays(_ALL_PASSES, np.ones(1), channel, sample_rate)
        for turn in _powers(exponents, np.ones(1), size, device):
            response = response * (1.5 * turn - 1) / (1 - 0.5 * turn)
        channels.append(response)
    return channels[0], channels[1]


@lru_cache(maxsize=4)
def _fading(samples: int, size: int, device: torch.device) -> Tensor:
    """(samples,) factors that take a signal to the other circle; divided by, they take it back."""
    return torch.from_numpy((_FADE ** (np.arange(samples) / size)).astype(np.float32)).to(device)
