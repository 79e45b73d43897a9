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

_PIECE = 1024
"""Rows whose hidden layer is computed at a time, so that it stays in the processor's cache."""


@dataclass(frozen=True)
class Scaling:
    """Mean and deviation of the training inputs, each (width,) float32.

    The deviation is 1 where they are constant.
    """

    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]


def scaling(embeddings: Embeddings, tracks: NDArray[np.int64], of: Of) -> Scaling:
    """Of all rows of some tracks, computed in float64.

    A constant dimension has deviation 1, not its noise.
    """
    source, rows = getattr(embeddings, of), rows_of(embeddings, tracks, of)[0]
    mean = np.zeros(source.shape[1])
    for start in range(0, len(rows), _ROWS):
        mean += source[rows[start : start + _ROWS]].sum(0, dtype=np.float64)
    mean /= len(rows)
    square = np.zeros_like(mean)
    for start in range(0, len(rows), _ROWS):
        square += ((source[rows[start : start + _ROWS]] - mean) ** 2).sum(0)
    deviation = np.sqrt(square / len(rows))
    constant = deviation <= 1e-6 * np.maximum(np.abs(mean), 1e-30)
    return Scaling(mean.astype(np.float32), np.where(constant, 1.0, deviation).astype(np.float32))


class Rows:
    """Standardised rows of tracks, taken a batch at a time.

    Attributes:
        first: (tracks + 1,) int64: the rows of track t are `first[t]` to `first[t + 1]`.
        width: of a row.
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
        """Where the rows fit in `hold_bytes` they are kept, and else read anew each time, to the same bits."""
        self._source, (self._rows, self.first) = (
            getattr(embeddings, of),
            rows_of(embeddings, tracks, of),
        )
        self._by, self._device, self.width = by, device, int(self._source.shape[1])
        self._held: Tensor | None = None
        if len(self._rows) * self.width * 4 <= hold_bytes:
            self._held = _read(self._source, self._rows, by, device)

    def take(self, places: NDArray[np.int64], into: Tensor) -> None:
        """Puts the rows of some places into a (places, width) float32 tensor."""
        if self._held is None:
            into.copy_(_read(self._source, self._rows[places], self._by, self._device))
        else:
            torch.index_select(
                self._held, 0, torch.from_numpy(places).to(self._held.device), out=into
            )


class Pieces:
    """Standardised rows of tracks, all in order, some whole tracks at a time.

    Iterating gives ((rows, width) float32, (tracks + 1,) int64), the latter being where each
    track's rows begin.
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
        """Where the rows fit in `hold_bytes` they are kept, and else read anew each time, to the same bits."""
        self._source, (self._rows, self._first) = (
            getattr(embeddings, of),
            rows_of(embeddings, tracks, of),
        )
        self._by, self._device = by, device
        self._held: list[tuple[Tensor, NDArray[np.int64]]] | None = None
        if len(self._rows) * self._source.shape[1] * 4 <= hold_bytes:
            self._held = list(self._read())

    def __iter__(self) -> Iterator[tuple[Tensor, NDArray[np.int64]]]:
        """Reads them, or gives what was kept."""
        return self._read() if self._held is None else iter(self._held)

    def _read(self) -> Iterator[tuple[Tensor, NDArray[np.int64]]]:
        tracks, start = len(self._first) - 1, 0
        while start < tracks:
            stop = int(np.searchsorted(self._first, self._first[start] + _PIECE, side="right")) - 1
            stop = max(stop, start + 1)  # a track longer than a piece is a piece
            first = self._first[start : stop + 1]
            # Each piece has memory of its own: MKL may round otherwise where a matrix begins at
            # another alignment.
            yield (
                _read(self._source, self._rows[first[0] : first[-1]], self._by, self._device),
                first - first[0],
            )
            start = stop


def rows_of(
    embeddings: Embeddings, tracks: NDArray[np.int64], of: Of
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places of all rows of some tracks, and (tracks + 1,) where those of each track begin among them."""
    if of == "tracks":
        return tracks, np.arange(len(tracks) + 1)
    starts, counts = np.asarray(embeddings.first)[tracks], embeddings.counts[tracks]
    first = np.concatenate([[0], counts.cumsum()]).astype(np.int64)
    return np.repeat(starts - first[:-1], counts) + np.arange(first[-1]), first


def _read(source: NDArray[np.float32], rows: NDArray[np.int64], by: Scaling, device: str) -> Tensor:
    read = torch.from_numpy(np.take(source, rows, axis=0))
    return read.sub_(torch.from_numpy(by.mean)).div_(torch.from_numpy(by.deviation)).to(device)
