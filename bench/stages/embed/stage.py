"""The embed stage: one vector a track of the probed data set, from the frozen encoder."""

import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bench.core.progress import progress
from bench.core.store import write_array, write_json
from bench.data.prepared import Prepared
from bench.method import Method
from bench.settings.specs import RunSpec
from bench.stages.embed.neighbours import RECALL_AT, nearest
from bench.stages.embed.segments import embed
from bench.stages.parts import Parts, frontend_of


def embed_all(
    parts: Parts, spec: RunSpec, method: Method, data: Prepared, device: torch.device, folder: Path
) -> None:
    """Embeds every track of the probed data set, in the manifest's order, and finds the test tracks' neighbours.

    Leaves `segments.npy`, `first.npy`, `tracks.npy` (see `bench.stages.embed.segments.Embeddings`)
    and `nearest.npy`, the test tracks' nearest test tracks.
    """
    started = time.monotonic()
    frontend = frontend_of(method).to(device)

    def allocate(shape: tuple[int, int]) -> NDArray[np.float32]:
        # A large data set's segments do not fit into memory. What a killed attempt left is
        # overwritten.
        return np.lib.format.open_memmap(
            folder / "segments.npy", mode="w+", dtype=np.float32, shape=shape
        )

    with progress(f"embed {spec.method.name}", "tracks") as report:
        seconds = parts.encoder_settings.seconds
        embedded = embed(
            method.encoder,
            frontend,
            data.audio,
            data.rows("all"),
            seconds,
            spec.embed,
            device,
            report,
            allocate,
        )
    embedded.segments.flush()  # type: ignore[attr-defined]  # a memory map
    write_array(folder / "first.npy", embedded.first)
    write_array(folder / "tracks.npy", embedded.tracks)
    write_array(folder / "nearest.npy", nearest(embedded.tracks[data.rows("test")], max(RECALL_AT)))
    write_json(
        folder / "run.json",
        {"seconds": time.monotonic() - started, "width": int(embedded.tracks.shape[1])},
    )
