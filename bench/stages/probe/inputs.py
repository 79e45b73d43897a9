"""What a probe reads: rows of embeddings, standardised by the training inputs of its own subset."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.stages.embed.segments import Embeddings

Of = Literal["tracks", "segments"]
"""Which rows stand for a track: its mean embedding, or all of its segments."""

SCORED: dict[str, Of] = {"mean_embedding": "tracks", "mean_probability": "segments"}
"""What a probe scores under each aggregation."""

_ROWS = 4096
"""Rows that are read in float64 at a time."""

PIECE_ROWS = 1024
"""Rows whose hidden layer is computed at a time, so that it stays in the processor's cache."""


@dataclass(frozen=True)
class Scaling:
    """How inputs are standardised.

    Attributes:
        mean: (width,) float32, of the training inputs.
        deviation: (width,) float32, their standard deviation, 1 where they are constant.
    """

    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]


def scaling(embeddings: Embeddings, tracks: NDArray[np.int64], of: Of) -> Scaling:
    """Computes the mean and the standard deviation of all rows of some tracks, in float64.

    A constant dimension gets deviation 1, not that of its rounding.

    Args:
        embeddings: of all tracks.
        tracks: places of the tracks.
        of: which rows stand for a track.
    """
    source, rows = getattr(embeddings, of), rows_of(embeddings, tracks, of)[0]
    mean = np.zeros(source.shape[1])
    for start in range(0, len(rows), _ROWS):
        mean += source[rows[start : start + _ROWS]].sum(0, dtype=np.float64)
    mean /= len(rows)
    # A second pass, as the mean of squares less the square of the mean loses digits.
    square = np.zeros_like(mean)
    for start in range(0, len(rows), _ROWS):
        square += ((source[rows[start : start + _ROWS]] - mean) ** 2).sum(0)
    deviation = np.sqrt(square / len(rows))
    constant = deviation <= 1e-6 * np.maximum(np.abs(mean), 1e-30)
    return Scaling(mean.astype(np.float32), np.where(constant, 1.0, deviation).astype(np.float32))


class _Standardised:
    """Standardised rows of some tracks, kept in memory or read anew each time, to the same bits.

    Attributes:
        first: (tracks + 1,) int64: the rows of track t are `first[t]` to `first[t + 1]`.
        width: numbers in a row.
    """

    def __init__(
        self,
        embeddings: Embeddings,
        tracks: NDArray[np.int64],
        of: Of,
        by: Scaling,
        device: str,
        hold_bytes: float,
    ) -> None:
        """Reads the rows where they are to be kept.

        Args:
            embeddings: of all tracks.
            tracks: places of the tracks.
            of: which rows stand for a track.
            by: how the rows are standardised.
            device: where they go, such as "cpu" or "cuda".
            hold_bytes: the rows are kept where they take no more than this.
        """
        self._source = getattr(embeddings, of)
        self._rows, self.first = rows_of(embeddings, tracks, of)
        self._by, self._device, self.width = by, device, int(self._source.shape[1])
        if len(self._rows) * self.width * 4 <= hold_bytes:
            self._hold()

    def _hold(self) -> None:
        """Keeps all rows in memory."""
        raise NotImplementedError

    def _standardised(self, rows: NDArray[np.int64]) -> Tensor:
        return _read(self._source, rows, self._by, self._device)


class Rows(_Standardised):
    """Standardised rows of tracks, taken a batch at a time."""

    _held: Tensor | None = None

    def _hold(self) -> None:
        self._held = self._standardised(self._rows)

    def take(self, places: NDArray[np.int64], into: Tensor) -> None:
        """Puts the rows of some places into a (places, width) float32 tensor."""
        if self._held is None:
            into.copy_(self._standardised(self._rows[places]))
        else:
            index = torch.from_numpy(places).to(self._held.device)
            torch.index_select(self._held, 0, index, out=into)


class Pieces(_Standardised):
    """Standardised rows of tracks, all in order, some whole tracks at a time.

    Iterating gives ((rows, width) float32, (tracks + 1,) int64), the latter being where each
    track's rows begin.
    """

    _held: list[tuple[Tensor, NDArray[np.int64]]] | None = None

    def _hold(self) -> None:
        self._held = list(self._pieces())

    def __iter__(self) -> Iterator[tuple[Tensor, NDArray[np.int64]]]:
        """Reads the pieces, or gives those that were kept."""
        return self._pieces() if self._held is None else iter(self._held)

    def _pieces(self) -> Iterator[tuple[Tensor, NDArray[np.int64]]]:
        tracks, start = len(self.first) - 1, 0
        while start < tracks:
            end = self.first[start] + PIECE_ROWS
            stop = int(np.searchsorted(self.first, end, side="right")) - 1
            stop = max(stop, start + 1)  # a track with more rows than that is a piece of its own
            first = self.first[start : stop + 1]
            # Each piece has memory of its own: MKL may round otherwise where a matrix begins at
            # another alignment.
            yield self._standardised(self._rows[first[0] : first[-1]]), first - first[0]
            start = stop


def rows_of(
    embeddings: Embeddings, tracks: NDArray[np.int64], of: Of
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Finds all rows of some tracks.

    Args:
        embeddings: of all tracks.
        tracks: places of the tracks.
        of: which rows stand for a track.

    Returns:
        (rows,) places of the rows, and (tracks + 1,) where those of each track begin among them.
    """
    if of == "tracks":
        return tracks, np.arange(len(tracks) + 1)
    starts, counts = np.asarray(embeddings.first)[tracks], embeddings.counts[tracks]
    first = np.concatenate([[0], counts.cumsum()]).astype(np.int64)
    return np.repeat(starts - first[:-1], counts) + np.arange(first[-1]), first


def _read(source: NDArray[np.float32], rows: NDArray[np.int64], by: Scaling, device: str) -> Tensor:
    """Standardised rows of a (possibly memory-mapped) array, copied to the device."""
    read = torch.from_numpy(np.take(source, rows, axis=0))
    return read.sub_(torch.from_numpy(by.mean)).div_(torch.from_numpy(by.deviation)).to(device)
