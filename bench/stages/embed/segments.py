"""Embeddings: a frozen encoder turns the segments of every track into vectors."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bench.core.store import load_array
from bench.data.frontend import to_waveform
from bench.data.pcm import PcmStore
from bench.data.views import segment_starts
from bench.encoders import encode
from bench.settings.specs import EmbedSpec

_SEGMENTS = 64  # that are encoded at a time
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Embeddings:
    """The embeddings of a data set's tracks, usually memory-mapped.

    Attributes:
        segments: (segments, width) float32, those of one track one after another.
        first: (tracks + 1,) int64: the segments of track t are `segments[first[t] : first[t + 1]]`,
            at least one.
        tracks: (tracks, width) float32, the mean of each track's segments.
    """

    segments: NDArray[np.float32]
    first: NDArray[np.int64]
    tracks: NDArray[np.float32]

    @property
    def counts(self) -> NDArray[np.int64]:
        """(tracks,) number of segments."""
        return np.diff(self.first)


def open_embeddings(folder: Path) -> Embeddings:
    """Opens the embeddings that a folder holds, memory-mapped."""
    names = ("segments", "first", "tracks")
    return Embeddings(*(load_array(folder / f"{name}.npy", mmap=True) for name in names))


@torch.no_grad()
def embed(
    encoder: nn.Module,
    frontend: nn.Module,
    store: PcmStore,
    rows: NDArray[np.int64],
    seconds: float,
    spec: EmbedSpec,
    device: torch.device,
    progress: Progress = lambda done, total: None,
    allocate: Callable[[tuple[int, int]], NDArray[np.float32]] = lambda shape: np.empty(
        shape, np.float32
    ),
) -> Embeddings:
    """Encodes the non-overlapping segments of each track.

    The encoder runs in float32 and evaluation mode, and is left in the mode it was in.

    Args:
        encoder: (segments, ...) -> (segments, width).
        frontend: (segments, samples) -> what the encoder takes.
        store: the audio.
        rows: places of the tracks in the store.
        seconds: length of a segment in seconds.
        spec: how much of a track is read.
        device: where the encoder is.
        progress: called with (done, total) tracks.
        allocate: makes the array of the segments of a given shape, such as a memory map.

    Returns:
        The embeddings of the tracks, in the order of `rows`.

    Raises:
        ValueError: no tracks are given.
    """
    if not len(rows):
        raise ValueError("no tracks to embed")
    training = encoder.training
    encoder.eval()
    samples = round(seconds * store.sample_rate)
    limit = round(spec.max_seconds * store.sample_rate)  # 0 reads whole tracks
    pieces = [
        (place, start)
        for place, frames in enumerate(store.frames[rows].tolist())
        for start in segment_starts(min(frames, limit or frames), samples)
    ]
    segments: NDArray[np.float32] | None = None
    for first in range(0, len(pieces), _SEGMENTS):
        part = pieces[first : first + _SEGMENTS]
        waveforms = np.stack(
            [store.read(int(rows[place]), start, samples) for place, start in part]
        )
        inputs = frontend(to_waveform(torch.from_numpy(waveforms).to(device)))
        vectors = encode(encoder, inputs).float().cpu().numpy()
        segments = allocate((len(pieces), vectors.shape[1])) if segments is None else segments
        segments[first : first + len(part)] = vectors
        progress(part[-1][0] + 1, len(rows))
    encoder.train(training)
    assert segments is not None
    return _averaged(segments, np.bincount([place for place, _ in pieces], minlength=len(rows)))


def _averaged(segments: NDArray[np.float32], counts: NDArray[np.int64]) -> Embeddings:
    """Averages the segments of each track; counts (tracks,) are the numbers of them."""
    first = np.concatenate([[0], counts.cumsum()])
    means = np.add.reduceat(segments, first[:-1], axis=0, dtype=np.float64) / counts[:, None]
    return Embeddings(segments, first, means.astype(np.float32))
