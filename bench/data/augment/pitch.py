"""Pitch shift at the same tempo, every item by its own number of cents: resampling, then a time stretch.

CLMR shifts with SoX's `pitch`, which is a time stretch by waveform similarity (WSOLA; Verhelst and
Roelands, "An overlap-add technique based on waveform similarity", ICASSP 1993) and a change of
rate; so is this, with SoX's lengths (src/tempo.c). Only the order is turned round, which makes the
stretch end at the same length for every item: a batch is one array. A phase vocoder smears
transients, costs several times as much, and has its ratios rounded to fractions.
"""

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.augment import fourier

# SoX's defaults (src/tempo.c, getopts): the segment, and what part of it overlaps and is searched,
# as divisors.
_SEGMENT_SECONDS = 0.082
_OVERLAP = 6.833
_SEARCH = 5.587

_FINER = 2  # samples of the grid that is interpolated, for each sample
_FRACTION_BITS = 32


def pitch_shift(waveforms: Tensor, cents: NDArray[np.float64], sample_rate: int) -> Tensor:
    """Every item's pitch moved by its own interval.

    Args:
        waveforms: (batch, samples).
        cents: (batch,) intervals, 100 to a semitone, positive for upwards.
        sample_rate: in Hz.

    Returns:
        (batch, samples)
    """
    lengths = _lengths(waveforms.shape[1], 2.0 ** (cents / 1200))
    return _stretched(
        _resampled(waveforms, 2.0 ** (cents / 1200)), lengths, waveforms.shape[1], sample_rate
    )


def _lengths(samples: int, ratios: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.maximum(1, np.floor(samples / ratios)).astype(np.int64)


def _resampled(waveforms: Tensor, ratios: NDArray[np.float64]) -> Tensor:
    """(batch, samples) -> (batch, longest): every item read `ratio` times as fast, with zeros from its end on."""
    lengths = _lengths(waveforms.shape[1], ratios)
    read = waveforms.new_zeros(len(waveforms), int(lengths.max()))
    order = np.argsort(
        lengths, kind="stable"
    )  # items of about one length together: little is read in vain
    for rows in fourier.pieces(order, waveforms.device):
        piece = torch.from_numpy(rows).to(waveforms.device)
        width = int(lengths[rows].max())
        read[piece, :width] = _read(waveforms[piece], ratios[rows], lengths[rows], width)
    return read


def _read(
    waveforms: Tensor, ratios: NDArray[np.float64], lengths: NDArray[np.int64], width: int
) -> Tensor:
    """(batch, samples) -> (batch, width), band-limited, by cubic B-splines on a grid twice as fine.

    The splines' frequency response, sinc^4, is divided out of the spectrum, so that what passes is
    flat; images lie 68 dB below what lies at half the Nyquist frequency, and 38 dB below what lies
    at it.
    """
    device, samples = waveforms.device, waveforms.shape[1]
    size = fourier.fast_size(samples + 16)
    shape = _shape(size, device)
    bins = waveforms.new_zeros(len(waveforms), _FINER * size // 2 + 1, dtype=shape.dtype)
    low = bins[:, : len(shape)]
    torch.mul(fourier.spectrum(waveforms, size), shape, out=low)
    # Frequencies that would come to lie above the Nyquist frequency are taken out.
    highest = torch.from_numpy(np.ceil(size / 2 / np.maximum(ratios, 1)).astype(np.int64)).to(
        device
    )
    low.masked_fill_(torch.arange(len(shape), device=device) >= highest[:, None], 0.0)
    fine = fourier.signal(bins, _FINER * size)
    # Whole numbers, so that every device reads at the same places.
    step = torch.from_numpy(np.rint(ratios * _FINER * 2**_FRACTION_BITS).astype(np.int64)).to(
        device
    )
    place = torch.arange(width, device=device) * step[:, None]
    after = (place & (2**_FRACTION_BITS - 1)).to(torch.float32).mul_(2.0**-_FRACTION_BITS)
    place.bitwise_right_shift_(_FRACTION_BITS).clamp_(max=fine.shape[1] - 4)
    before, first, second, third = (fine[:, number:].gather(1, place) for number in range(4))
    # The spline, times 6, as a polynomial of the distance after the first of the two coefficients
    # beside it.
    cubic = (third - before).div_(3).add_(first).sub_(second)
    squared = (before + second).sub_(first, alpha=2)
    linear = second - before
    read = torch.add(squared, first, alpha=6)
    read.addcmul_(linear.addcmul_(squared.addcmul_(cubic, after), after), after, value=3)
    past = torch.arange(width, device=device) >= torch.from_numpy(lengths).to(device)[:, None]
    return read.masked_fill_(past, 0.0)


@lru_cache(maxsize=4)
def _shape(size: int, device: torch.device) -> Tensor:
    """(size // 2 + 1,) complex: what spectra are multiplied by before they are interpolated.

    The inverse of the splines' response, and a delay by one place of the finer grid, since a spline
    begins one before.
    """
    cycles = np.arange(size // 2 + 1) / size / _FINER  # a place of the finer grid
    shape = np.sinc(cycles) ** -4 * np.exp(-2j * np.pi * cycles) * (_FINER / 6)
    return torch.from_numpy(shape.astype(np.complex64)).to(device)


def _stretched(
    resampled: Tensor, lengths: NDArray[np.int64], samples: int, sample_rate: int
) -> Tensor:
    """(batch, longest) items of `lengths` -> (batch, samples): segments set where they go on best from the last one."""
    device = resampled.device
    seconds = min(
        _SEGMENT_SECONDS, samples / sample_rate / 4
    )  # a short item has several segments, too
    overlap, search = (max(1, round(seconds / part * sample_rate)) for part in (_OVERLAP, _SEARCH))
    hop = max(1, round(seconds * sample_rate) - overlap)
    segments = -(-samples // hop)
    padded = torch.nn.functional.pad(resampled, (0, hop + overlap + search))
    last = np.maximum(
        0, lengths - (samples - (segments - 1) * hop)
    )  # where the last segment ends with the item
    even = np.rint(last[:, None] * np.linspace(0, 1, segments)).astype(np.int64)
    lowest = np.clip(even - search // 2, 0, np.maximum(0, last + 1 - search)[:, None])
    starts = _starts(padded, torch.from_numpy(lowest).to(device), hop, overlap, search)
    whole = _runs(padded, starts, hop)
    fading = _runs(padded, starts[:, :-1] + hop, overlap)
    rising = torch.arange(overlap, device=device) / overlap
    whole[:, 1:, :overlap].lerp_(fading, 1 - rising)
    return whole.flatten(1)[:, :samples]


def _starts(padded: Tensor, lowest: Tensor, hop: int, overlap: int, search: int) -> Tensor:
    """(batch, segments) first samples of the segments; the first segment starts at the start.

    Of the `search` places from `lowest` on, each takes that where the squared difference to the
    last tail is least.
    """
    width = search + overlap
    size = fourier.fast_size(width)
    candidates = _runs(padded, lowest, width)
    power = torch.nn.functional.pad(candidates.square().cumsum(2), (1, 0))
    halves = (power[:, :, overlap : overlap + search] - power[:, :, :search]).mul_(0.5).unbind(1)
    bins = torch.fft.rfft(candidates, size).unbind(1)
    after = torch.arange(hop, hop + overlap, device=padded.device)
    firsts = lowest.unbind(1)
    starts = [torch.zeros_like(firsts[0])]
    for segment in range(1, len(firsts)):
        tail = fourier.spectrum(padded.gather(1, starts[-1][:, None] + after), size)
        alike = fourier.signal(tail.conj_physical_().mul_(bins[segment]), size)[:, :search]
        starts.append(torch.sub(halves[segment], alike).argmin(1).add_(firsts[segment]))
    return torch.stack(starts, 1)


def _runs(rows: Tensor, starts: Tensor, length: int) -> Tensor:
    """(batch, samples) and (batch, runs) first places -> (batch, runs, length) of the samples from there on."""
    places = starts[:, :, None] + torch.arange(length, device=rows.device)
    return rows.gather(1, places.flatten(1)).view(*places.shape)
