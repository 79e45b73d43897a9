"""Pitch shift at the same tempo, every item by its own interval: resampling, then a time stretch.

CLMR shifts with SoX's `pitch`, which is a time stretch by waveform similarity (WSOLA; Verhelst and
Roelands, "An overlap-add technique based on waveform similarity", ICASSP 1993) and a change of
rate; so is this, with SoX's lengths (src/tempo.c). Only the order is reversed, so that the stretch
ends at the same length for every item and a batch stays one array. A phase vocoder, the usual
alternative, smears transients, costs several times as much, and rounds its ratios to fractions.
"""

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.augment import fourier

# SoX's defaults (src/tempo.c, getopts). The overlap of two segments and the range in which a
# segment's best start is searched for are its length divided by these numbers.
_SEGMENT_SECONDS = 0.082
_OVERLAP = 6.833
_SEARCH = 5.587

_FINER = 2  # places for each sample of the finer grid that is interpolated
_FRACTION_BITS = 32  # of a place on that grid, as a fixed-point number


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
    """(batch,) lengths of items of so many samples that are read `ratio` times as fast."""
    return np.maximum(1, np.floor(samples / ratios)).astype(np.int64)


def _resampled(waveforms: Tensor, ratios: NDArray[np.float64]) -> Tensor:
    """Reads every item `ratio` times as fast.

    Args:
        waveforms: (batch, samples).
        ratios: (batch,).

    Returns:
        (batch, samples of the longest item), with zeros after each item's end.
    """
    lengths = _lengths(waveforms.shape[1], ratios)
    read = waveforms.new_zeros(len(waveforms), int(lengths.max()))
    # Items of about the same length are read together, so that few zeros are computed.
    order = np.argsort(lengths, kind="stable")
    for rows in fourier.pieces(order, waveforms.device):
        piece = torch.from_numpy(rows).to(waveforms.device)
        width = int(lengths[rows].max())
        read[piece, :width] = _read(waveforms[piece], ratios[rows], lengths[rows], width)
    return read


def _read(
    waveforms: Tensor, ratios: NDArray[np.float64], lengths: NDArray[np.int64], width: int
) -> Tensor:
    """Band-limited interpolation by cubic B-splines on a grid twice as fine.

    The splines' frequency response, sinc^4, is divided out of the spectrum, so that the response is
    flat. The images of a tone lie 68 dB below it at half the Nyquist frequency, and 38 dB at the
    Nyquist frequency.

    Args:
        waveforms: (batch, samples).
        ratios: (batch,) how many times as fast each is read.
        lengths: (batch,) samples of each result.
        width: samples of all results together with the zeros after them.

    Returns:
        (batch, width)
    """
    device, samples = waveforms.device, waveforms.shape[1]
    size = fourier.fast_size(samples + 16)
    shape = _shape(size, device)
    bins = waveforms.new_zeros(len(waveforms), _FINER * size // 2 + 1, dtype=shape.dtype)
    low = bins[:, : len(shape)]
    torch.mul(fourier.spectrum(waveforms, size), shape, out=low)
    # Frequencies that would come to lie above the Nyquist frequency are taken out.
    bands = np.ceil(size / 2 / np.maximum(ratios, 1)).astype(np.int64)
    highest = torch.from_numpy(bands).to(device)
    low.masked_fill_(torch.arange(len(shape), device=device) >= highest[:, None], 0.0)
    fine = fourier.signal(bins, _FINER * size)
    # Places are fixed-point numbers, so that every device reads at the same ones.
    steps = np.rint(ratios * _FINER * 2**_FRACTION_BITS).astype(np.int64)
    step = torch.from_numpy(steps).to(device)
    place = torch.arange(width, device=device) * step[:, None]
    after = (place & (2**_FRACTION_BITS - 1)).to(torch.float32).mul_(2.0**-_FRACTION_BITS)
    place.bitwise_right_shift_(_FRACTION_BITS).clamp_(max=fine.shape[1] - 4)
    before, first, second, third = (fine[:, number:].gather(1, place) for number in range(4))
    # Six times the spline between the coefficients `first` and `second`, as a polynomial of the
    # distance `after` the first, whose coefficients are computed here.
    cubic = (third - before).div_(3).add_(first).sub_(second)
    squared = (before + second).sub_(first, alpha=2)
    linear = second - before
    read = torch.add(squared, first, alpha=6)
    read.addcmul_(linear.addcmul_(squared.addcmul_(cubic, after), after), after, value=3)
    past = torch.arange(width, device=device) >= torch.from_numpy(lengths).to(device)[:, None]
    return read.masked_fill_(past, 0.0)


@lru_cache(maxsize=4)
def _shape(size: int, device: torch.device) -> Tensor:
    """(size // 2 + 1,) complex factors of the spectrum before it is interpolated.

    They are the inverse of the splines' frequency response, and a delay by one place of the finer
    grid, since a spline begins one place before.
    """
    cycles = np.arange(size // 2 + 1) / size / _FINER  # frequencies in cycles a place
    shape = np.sinc(cycles) ** -4 * np.exp(-2j * np.pi * cycles) * (_FINER / 6)
    return torch.from_numpy(shape.astype(np.complex64)).to(device)


def _stretched(
    resampled: Tensor, lengths: NDArray[np.int64], samples: int, sample_rate: int
) -> Tensor:
    """Stretches items to `samples`: segments are set one after the other and cross-faded.

    Each segment is taken, near its place in even time, from where it continues the last one best.

    Args:
        resampled: (batch, longest).
        lengths: (batch,) samples of each item.
        samples: of the result.
        sample_rate: in Hz.

    Returns:
        (batch, samples)
    """
    device = resampled.device
    seconds = min(_SEGMENT_SECONDS, samples / sample_rate / 4)  # also a short item has several
    overlap, search = (max(1, round(seconds / part * sample_rate)) for part in (_OVERLAP, _SEARCH))
    hop = max(1, round(seconds * sample_rate) - overlap)
    segments = -(-samples // hop)
    padded = torch.nn.functional.pad(resampled, (0, hop + overlap + search))
    # The start of the last segment, which ends where the item ends.
    last = np.maximum(0, lengths - (samples - (segments - 1) * hop))
    even = np.rint(last[:, None] * np.linspace(0, 1, segments)).astype(np.int64)
    lowest = np.clip(even - search // 2, 0, np.maximum(0, last + 1 - search)[:, None])
    starts = _starts(padded, torch.from_numpy(lowest).to(device), hop, overlap, search)
    whole = _runs(padded, starts, hop)
    fading = _runs(padded, starts[:, :-1] + hop, overlap)
    rising = torch.arange(overlap, device=device) / overlap
    whole[:, 1:, :overlap].lerp_(fading, 1 - rising)
    return whole.flatten(1)[:, :samples]


def _starts(padded: Tensor, lowest: Tensor, hop: int, overlap: int, search: int) -> Tensor:
    """(batch, segments) first samples of the segments; the first segment begins at 0.

    Each other segment begins at that of the `search` places from `lowest` on where its first
    `overlap` samples have the least squared difference to what follows the last segment. That is
    half the power of the candidate less its product with what follows, plus a constant; the
    products for all places are one correlation, computed by Fourier transforms.
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
    """(batch, samples), (batch, runs) first places -> (batch, runs, length) runs of samples."""
    places = starts[:, :, None] + torch.arange(length, device=rows.device)
    return rows.gather(1, places.flatten(1)).view(*places.shape)
