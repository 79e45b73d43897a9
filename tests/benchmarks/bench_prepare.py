"""Speed and memory of preparing a data set, and the time to open a store of a million tracks.

    python tests/benchmarks/bench_prepare.py            (about three minutes)
    python tests/benchmarks/bench_prepare.py --large    (about two minutes)
    python tests/benchmarks/bench_prepare.py --open     (about a minute)

The first compares `prepare` with loops over soundfile and soxr and, where it is installed, with
librosa; all figures come from one run, the candidates taking turns; the best of each is compared.
The second prepares 25 863 mp3 files, hard links to a few, in a tree of MagnaTagATune's shape. The
third opens a synthetic store whose samples are a hole in a file.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
import soxr

from bench.data.decoders import cores
from bench.data.manifest import Manifest
from bench.data.pcm import shard_name
from bench.data.prepared import open_prepared
from bench.stages.prepare.shards import lay_out
from bench.stages.prepare.store import prepare

RATE, SECONDS, STORE_RATE = 44_100, 30, 16_000  # Hz and seconds of the files, Hz of the store
ROUNDS = 5


def music(number: int) -> np.ndarray:
    """(frames, 2) float32 of chords, a beat and noise, so that audio codecs have work to do."""
    rng = np.random.default_rng(number)
    time_line = np.arange(SECONDS * RATE) / RATE
    audio = np.zeros((len(time_line), 2))
    for _ in range(24):
        start, frequency = rng.uniform(0, SECONDS - 4), 55 * 2 ** (rng.integers(0, 60) / 12)
        envelope = np.exp(-np.maximum(0, time_line - start)) * (time_line > start)
        audio += (
            0.2
            * (envelope * np.sin(2 * np.pi * frequency * time_line))[:, None]
            * rng.uniform(0.3, 1, 2)
        )
    beat = np.exp(-30 * (time_line % 0.5))
    return (
        (0.5 * audio + 0.1 * rng.normal(size=audio.shape) * beat[:, None])
        .clip(-1, 1)
        .astype(np.float32)
    )


def manifest_of(paths: list[str]) -> Manifest:
    """A manifest of these files, half of them with a tag."""
    number = len(paths)
    tracks = pd.DataFrame({
        "track_id": paths,
        "path": paths,
        "split": ["train"] * number,
        "tags": [["a"] if place % 2 else [] for place in range(number)],
        "group": paths,
    })  # fmt: skip
    return Manifest(tracks, ("a", "b"), "tags", "benchmark")


def bare_loop(root: Path, paths: list[str]) -> None:
    """Reads, mixes to mono and resamples on one core, as anybody would write it."""
    for path in paths:
        audio, rate = soundfile.read(root / path, dtype="float32", always_2d=True)
        soxr.resample(audio.mean(axis=1), rate, STORE_RATE, quality="HQ")


def frugal_loop(root: Path, paths: list[str]) -> None:
    """The bare loop without NumPy's slow mean over the channels.

    It is the fastest that these libraries are on one core.
    """
    for path in paths:
        audio, rate = soundfile.read(root / path, dtype="float32", always_2d=True)
        soxr.resample((audio[:, 0] + audio[:, 1]) * np.float32(0.5), rate, STORE_RATE, quality="HQ")


def bare_loops(root: Path, paths: list[str]) -> None:
    """One bare loop a core, all at once: what the cores give on a machine with other work."""
    children = []
    for core in range(cores()):
        child = os.fork()
        if not child:
            bare_loop(root, paths[core :: cores()])
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)


def librosa_loop(root: Path, paths: list[str]) -> None:
    """Loads the files with `librosa.load` and its own settings."""
    import librosa  # type: ignore[import-not-found]

    for path in paths:
        librosa.load(root / path, sr=STORE_RATE)


def store(root: Path, paths: list[str], scratch: Path, workers: int | None = None) -> None:
    """Prepares the files with our own `prepare`, to the disk and whole."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    prepare(manifest_of(paths), root, STORE_RATE, scratch, lambda *_: None, workers=workers)


def speed(folder: Path, files: int) -> None:
    """Prints the table of speeds."""
    try:
        import librosa  # noqa: F401
    except ImportError:
        print("librosa is not installed: not compared with it (pip install librosa)")
        with_librosa = False
    else:
        with_librosa = True
    print(
        f"{cores()} cores; {files} files of {SECONDS} s, {RATE} Hz stereo, to {STORE_RATE} Hz; "
        f"best of {ROUNDS} rounds"
    )
    print(
        f"{'':>6}{'bare loop':>11}{f'{cores()} at once':>11}{'frugal loop':>13}{'librosa':>9}"
        f"{'prepare':>9}  files/s"
    )
    for ending in ("mp3", "ogg", "flac"):
        root = folder / ending
        root.mkdir()
        paths = [f"{number:04}.{ending}" for number in range(files)]
        for number, path in enumerate(paths):
            if number < 8:
                soundfile.write(root / path, music(number), RATE)
            else:
                os.link(root / paths[number % 8], root / path)
        few = paths[: max(8, files // 8)]
        jobs: dict[str, tuple[Callable[[], None], int]] = {
            "bare": (partial(bare_loop, root, few), len(few)),
            "loops": (partial(bare_loops, root, 2 * few), 2 * len(few)),
            "frugal": (partial(frugal_loop, root, few), len(few)),
            "prepare": (partial(store, root, paths, folder / "store"), files),
        }
        if with_librosa:
            jobs["librosa"] = (partial(librosa_loop, root, few), len(few))
        best, cpu = dict.fromkeys(jobs, 0.0), dict.fromkeys(jobs, np.inf)
        for _ in range(ROUNDS):
            for name, (job, number) in jobs.items():
                start, cpu_before = time.perf_counter(), _cpu_seconds()
                job()
                best[name] = max(best[name], number / (time.perf_counter() - start))
                cpu[name] = min(cpu[name], (_cpu_seconds() - cpu_before) / number)
        shown = f"{best['librosa']:>9.1f}" if with_librosa else f"{'-':>9}"
        print(
            f"{ending:>6}{best['bare']:>11.1f}{best['loops']:>11.1f}{best['frugal']:>13.1f}"
            f"{shown}{best['prepare']:>9.1f}"
        )
        ours = best["prepare"]
        ratios = {
            f"{cores()} x bare": cores() * best["bare"],
            f"{cores()} bare loops at once": best["loops"],
        }
        ratios |= {f"{cores()} x frugal": cores() * best["frugal"]}
        if with_librosa:
            ratios["librosa"] = best["librosa"]
        print(
            "       prepare is "
            + ", ".join(f"{ours / other:.2f} x ({name})" for name, other in ratios.items())
        )
        used = ", ".join(f"{name} {1e3 * seconds:.1f}" for name, seconds in cpu.items())
        print(
            f"       ms of processor time a file: {used}: "
            f"bare / prepare is {cpu['bare'] / cpu['prepare']:.2f}"
        )


def _cpu_seconds() -> float:
    """Processor time of this process and its children, which other work changes little."""
    own, children = (
        resource.getrusage(resource.RUSAGE_SELF),
        resource.getrusage(resource.RUSAGE_CHILDREN),
    )
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def large(folder: Path, files: int) -> None:
    """Prints the time and the memory of a tree of MagnaTagATune's shape."""
    root = folder / "audio"
    for number in range(16):
        (root / f"{number:x}").mkdir(parents=True)
    for number in range(8):
        short = music(number)[: 3 * RATE]
        soundfile.write(root / f"{number}/{number}.mp3", short, RATE)
    paths = [
        f"{number % 16:x}/{number % 8 if number < 8 else f'track-{number}'}.mp3"
        for number in range(files)
    ]
    for number, path in enumerate(paths[8:], start=8):
        os.link(root / paths[number % 8], root / path)
    (folder / "paths.json").write_text(json.dumps(paths))
    seconds, peak, children = _alone("prepare", folder)
    size = sum(path.stat().st_size for path in (folder / "store").iterdir()) / 1e9
    print(
        f"{files} mp3 files of 3 s to a store of {size:.2f} GB: "
        f"{seconds:.0f} s, {files / seconds:.0f} files/s;"
    )
    print(
        f"peak memory {peak:.0f} MB, "
        f"and {children:.0f} MB in the largest of {cores()} decoding processes"
    )


def million(folder: Path, tracks: int, tags: int) -> None:
    """Prints how long a store of many tracks takes to open; its samples are a hole in a file."""
    product = folder / "store"
    product.mkdir()
    rng = np.random.default_rng(0)
    index = lay_out(np.full(tracks, 30 * STORE_RATE, np.int64))
    for shard in range(int(index[-1, 0]) + 1):
        with open(product / shard_name(shard), "wb") as file:
            file.truncate(2 * int(index[index[:, 0] == shard, 1:].sum(axis=1).max()))
    np.save(product / "index.npy", index)
    np.save(product / "labels.npy", rng.random((tracks, tags)) < 0.03)
    ids = pd.Series(np.arange(tracks)).astype(str)
    frame = pd.DataFrame({
        "track_id": ids,
        "path": ids.str[-3:] + "/" + ids + ".mp3",
        "split": np.resize(["train"] * 8 + ["valid", "test"], tracks),
        "tags": pd.Series([["rock", "loud", "fast"]] * tracks, dtype=object),
        "group": "artist " + (ids.astype(int) // 10).astype(str),
        "audio_hash": "0123456789" + ids.str.zfill(6),
        "file_bytes": 480_000,
        "file_mtime_ns": time.time_ns(),
        "file_remark": "",
    })  # fmt: skip
    frame.to_parquet(product / "manifest.parquet", index=False)
    facts = {
        "sample_rate": STORE_RATE,
        "tags": [f"tag {number}" for number in range(tags)],
        "kind": "tags",
    }
    (product / "data.json").write_text(json.dumps(facts))
    terabytes = index[:, 2].sum() * 2 / 1e12
    print(f"{tracks} tracks x {tags} tags in {int(index[-1, 0]) + 1} files of {terabytes:.2f} TB")
    for _ in range(3):
        seconds, peak, _children = _alone("open", folder)
        print(
            f"opened, and one crop read, in {seconds:.2f} s; {peak:.0f} MB more memory than before"
        )


def _alone(what: str, folder: Path) -> tuple[float, float, float]:
    """Does one thing in a process of its own, since peak memory is known of whole processes only.

    Args:
        what: "prepare" or "open".
        folder: the folder of the files.

    Returns:
        Seconds, peak memory of the process in MB, peak memory of its largest child in MB.
    """
    command = [sys.executable, __file__, "--alone", what, str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    seconds, own, child = json.loads(done.stdout)
    return seconds, own, child


def alone(what: str, folder: Path) -> None:
    """Does what `_alone` asks for and prints its three figures; runs in the process of its own."""
    paths = json.loads((folder / "paths.json").read_text()) if what == "prepare" else []
    before, start = _memory(), time.perf_counter()
    if what == "prepare":
        store(folder / "audio", paths, folder / "store")
        before = 0.0  # all that the process takes
    else:
        opened = open_prepared(folder / "store")
        opened.audio.read(len(opened.tracks) - 1, 1000, 4 * STORE_RATE)
    seconds = time.perf_counter() - start
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3
    print(json.dumps([seconds, _memory() - before, children]))


def _memory() -> float:
    """Peak memory of this process in MB.

    getrusage would count what its parent had when this process was forked.
    """
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return float(status["VmHWM"].split()[0]) / 1e3


def main() -> None:
    """Prints the figures that are asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--large", action="store_true", help="a large tree of mp3 files")
    parser.add_argument("--open", action="store_true", help="opening a store of a million tracks")
    parser.add_argument("--files", type=int, help="another number of files, or tracks")
    parser.add_argument("--alone", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.alone:
        alone(chosen.alone[0], Path(chosen.alone[1]))
        return
    with tempfile.TemporaryDirectory() as folder:
        if chosen.large:
            large(Path(folder), chosen.files or 25_863)
        elif chosen.open:
            million(Path(folder), chosen.files or 1_000_000, tags=50)
        else:
            speed(Path(folder), chosen.files or 128)


if __name__ == "__main__":
    main()
