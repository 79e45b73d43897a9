"""Fourier transforms whose result for a row is the same, bit for bit, in a batch of any size."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_PIECE = 8  # crops whose intermediate results stay in a CPU's cache


def fast_size(samples: int) -> int:
    """A number of at least `samples` that is fast to transform.

    Its prime factors are 2, 3 and 5, and it is a multiple of 2, or of 64 where it is large.
    """
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
    """(batch, samples) -> (batch, size // 2 + 1) complex; rows are padded with zeros to `size`."""
    # A single row is transformed twice: MKL has another algorithm, with other rounding errors, for
    # one long row than for several.
    bins: Tensor = torch.fft.rfft(rows.expand(2, -1) if len(rows) == 1 else rows, size)
    return bins[: len(rows)]


def signal(bins: Tensor, size: int) -> Tensor:
    """(batch, bins) complex -> (batch, size), the inverse of `spectrum`.

    Bins of the highest frequencies that are missing count as 0.
    """
    rows: Tensor = torch.fft.irfft(bins.expand(2, -1) if len(bins) == 1 else bins, size)
    return rows[: len(bins)]


def pieces(rows: NDArray[np.int64], device: torch.device) -> Iterator[NDArray[np.int64]]:
    """The rows, a few at a time on a CPU, so that they stay in its cache; else all at once."""
    size = _PIECE if device.type == "cpu" else len(rows)
    for first in range(0, len(rows), size):
        yield rows[first : first + size]
