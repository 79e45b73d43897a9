"""Speed of random crops from a prepared store, beside slices of a NumPy memory map.

    python tests/benchmarks/bench_crops.py   (about ten seconds)

Crops of four seconds as float32, from files that the operating system has in memory, on one core.
Both cut the same crops at the same places, taking turns; the best of each is compared.
"""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.pcm import PcmStore, shard_name
from bench.stages.prepare.shards import lay_out

RATE, SECONDS, CROP_SECONDS = 16_000, 30, 4
TRACKS, CROPS, ROUNDS = 400, 4_000, 7


def main() -> None:
    """Prints the table."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    length, crop = SECONDS * RATE, CROP_SECONDS * RATE
    rng = np.random.default_rng(0)
    starts = rng.integers(0, length - crop, CROPS).tolist()
    places = list(zip(rng.integers(0, TRACKS, CROPS).tolist(), starts, strict=True))
    with tempfile.TemporaryDirectory() as folder:
        samples = rng.integers(-20_000, 20_000, TRACKS * length, dtype=np.int16)
        samples.tofile(Path(folder) / shard_name(0))
        store = PcmStore(Path(folder), lay_out(np.full(TRACKS, length, np.int64)), RATE)
        mapped = np.memmap(Path(folder) / shard_name(0), np.int16, mode="r")

        def ours(track: int, start: int) -> NDArray[np.float32]:
            return store.read(track, start, crop).astype(np.float32)

        def plain(track: int, start: int) -> NDArray[np.float32]:
            first = track * length + start
            return mapped[first : first + crop].astype(np.float32)

        assert all(np.array_equal(ours(*place), plain(*place)) for place in places[:100])
        best = {"PcmStore.read": 0.0, "np.memmap slice": 0.0}
        for _ in range(ROUNDS):
            for name, cut in (("PcmStore.read", ours), ("np.memmap slice", plain)):
                best[name] = max(best[name], _crops_a_second(cut, places))
    print(
        f"crops of {CROP_SECONDS} s at {RATE} Hz as float32, one core, warm; "
        f"best of {ROUNDS} rounds of {CROPS}"
    )
    for name, speed in best.items():
        print(f"{name:>16} {speed:>9.0f} crops/s")
    print(f"time against the slice: {best['np.memmap slice'] / best['PcmStore.read']:.2f} x")


def _crops_a_second(
    cut: Callable[[int, int], NDArray[np.float32]], places: list[tuple[int, int]]
) -> float:
    start = time.perf_counter()
    for track, first in places:
        cut(track, first)
    return len(places) / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
