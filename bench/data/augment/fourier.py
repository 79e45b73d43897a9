"""Fourier transforms of rows that come out the same, bit for bit, for one row and for many."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_PIECE = 8  # crops whose many intermediate results stay in a processor's cache


def fast_size(samples: int) -> int:
    """The least number from `samples` on that is quick to transform: its prime factors are 2, 3 and 5, and often 2."""
    step = 64 if samples > 4096 else 2
    size = -(-max(samples, 2) // step) * step
    while not _smooth(size):
        size += step
    return size


def _smooth(number: int) -> bool:
    for prime in (2, 3, 5):
        while number % prime == 0:
            number //= prime
    return number == 1


def spectrum(rows: Tensor, size: int) -> Tensor:
    """(batch, samples) -> (batch, size // 2 + 1) complex, of the rows filled up with zeros to `size`."""
    # MKL takes another algorithm, with other roundings, for one long row than for several.
    bins: Tensor = torch.fft.rfft(rows.expand(2, -1) if len(rows) == 1 else rows, size)
    return bins[: len(rows)]


def signal(bins: Tensor, size: int) -> Tensor:
    """(batch, bins) complex -> (batch, size).

    Missing bins, those of the highest frequencies, are 0.
    """
    rows: Tensor = torch.fft.irfft(bins.expand(2, -1) if len(bins) == 1 else bins, size)
    return rows[: len(bins)]


def pieces(rows: NDArray[np.int64], device: torch.device) -> Iterator[NDArray[np.int64]]:
    """The rows, a few at a time on a processor, where memory is slow beside the cache.

    All at once elsewhere.
    """
    size = _PIECE if device.type == "cpu" else len(rows)
    for first in range(0, len(rows), size):
        yield rows[first : first + size]
