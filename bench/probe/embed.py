"""Embed: a frozen encoder turns every track into one vector."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.config import EmbedSpec
from bench.data.frontend import to_waveform
from bench.data.pcm import PcmStore
from bench.data.views import segment_starts

_SEGMENTS = 64  # encoded at a time
Progress = Callable[[int, int], None]


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
) -> NDArray[np.float32]:
    """Encodes the non-overlapping segments of each track and averages them.

    The encoder runs in float32 and evaluation mode, and is left in the mode it was in.

    Args:
        encoder: (segments, ...) -> (segments, width).
        frontend: (segments, samples) -> what the encoder takes.
        store: the audio.
        rows: tracks to embed.
        seconds: length of a segment.
        spec: pooling, and how much of a track is read.
        device: where the encoder is.
        progress: called with (done, total) tracks.

    Returns:
        (len(rows), width)
    """
    training = encoder.training
    encoder.eval()
    samples = round(seconds * store.sample_rate)
    limit = round(spec.max_seconds * store.sample_rate)
    pieces = [
        (place, start)
        for place, row in enumerate(rows)
        for start in segment_starts(min(int(store.frames[row]), limit or int(store.frames[row])), samples)
    ]
    sums: Tensor | None = None
    counts = np.bincount([place for place, _ in pieces], minlength=len(rows))
    for first in range(0, len(pieces), _SEGMENTS):
        part = pieces[first : first + _SEGMENTS]
        waveforms = np.stack([store.read(int(rows[place]), start, samples) for place, start in part])
        encoded = encoder(frontend(to_waveform(torch.from_numpy(waveforms).to(device)))).double().cpu()
        if sums is None:
            sums = torch.zeros(len(rows), encoded.shape[1], dtype=torch.float64)
        sums.index_add_(0, torch.tensor([place for place, _ in part]), encoded)
        progress(part[-1][0] + 1, len(rows))
    encoder.train(training)
    if sums is None:
        raise ValueError("no tracks to embed")
    return (sums.numpy() / counts[:, None]).astype(np.float32)
