"""The embed stage: one vector a track of the probed data set, from the frozen encoder.

Product: `segments.npy`, `first.npy`, `tracks.npy` (see `bench.stages.embed.segments.Embeddings`),
`nearest.npy` (the test tracks nearest to each test track) and `run.json`.
"""

import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bench.core.progress import progress
from bench.core.store import write_array, write_json
from bench.stages import words
from bench.stages.embed.neighbours import RECALL_AT, nearest
from bench.stages.embed.segments import embed
from bench.stages.parts import Cell, frontend_of


def embed_all(cell: Cell, pretrained: Path, device: torch.device, folder: Path) -> None:
    """Embeds every track of the probed data set, in the manifest's order.

    Args:
        cell: the cell.
        pretrained: folder of the frozen encoder.
        device: where to compute.
        folder: of the product.
    """
    started = time.monotonic()
    method, data = cell.load(pretrained, device), cell.data
    frontend, seconds = frontend_of(method).to(device), cell.parts.encoder_settings.seconds

    def allocate(shape: tuple[int, int]) -> NDArray[np.float32]:
        # The segments of a large data set do not fit into memory. What a killed attempt left is
        # overwritten.
        return np.lib.format.open_memmap(
            folder / "segments.npy", mode="w+", dtype=np.float32, shape=shape
        )

    with progress(words.embed_title(cell.spec.method.name), "tracks") as report:
        embedded = embed(
            method.encoder, frontend, data.audio, data.rows("all"), seconds, cell.spec.embed,
            device, report, allocate,
        )  # fmt: skip
    embedded.segments.flush()  # type: ignore[attr-defined]  # a memory map
    write_array(folder / "first.npy", embedded.first)
    write_array(folder / "tracks.npy", embedded.tracks)
    test = embedded.tracks[data.rows("test")]
    write_array(folder / "nearest.npy", nearest(test, max(RECALL_AT)))
    run = {"seconds": time.monotonic() - started, "width": int(embedded.tracks.shape[1])}
    write_json(folder / "run.json", run)
