"""Speed of CLMR's augmentation chain: ours, beside audiomentations' and torchaudio's.

    python tests/benchmarks/bench_augment.py    (a minute or two; --crops --repeats --cores --skip)

Ours works on a whole batch, the others crop by crop. The three chains are timed in turn, several
times; the least time of each counts. All get the same crops of 59 049 samples at 22 050 Hz with
CLMR's probabilities, and the same number of cores: ours as threads, the others as one process a
core.

- audiomentations (`pip install audiomentations`; where it wants an older soxr than this project:
  into another folder, `--no-deps --target`, named by PYTHONPATH): polarity, noise, gain, low- or
  high-pass, pitch shift (signalsmith), and convolution with impulse responses of our own reverb in
  place of a reverb. It has no delay: its chain does less.
- torchaudio's functions: polarity, noise, gain, biquad filters, delay, pitch shift and convolution
  with the same responses. Its pitch shift resamples by a whole fraction of the sample rate, which
  for most intervals takes seconds a crop (+6 semitones: 18 s). So it draws only +2 or +3
  semitones, its two quickest (about 10 and 50 ms): the chain is as quick as it can be, not CLMR's.

The second table is the pitch shift alone, on one core: crops a second at each whole step, and the
error of a tone of 440 Hz.
"""

import argparse
import functools
import multiprocessing
import multiprocessing.pool
import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import torch
import torchaudio.functional as taf

from bench.data.augment import Chain, pitch, reverb
from bench.settings.augmentations import WAVEFORM, AugmentSpec, preset

RATE, SAMPLES = 22_050, 59_049  # Hz, and samples a crop
SPEC = AugmentSpec.model_validate(preset("clmr"))
IMPULSES = 16  # impulse responses to convolve with


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--crops", type=int, default=96, help="crops of each of the two views")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument(
        "--skip", nargs="*", default=[], choices=["audiomentations", "torchaudio", "pitch"]
    )
    options = parser.parse_args()
    crops = 0.1 * np.random.default_rng(0).standard_normal((2 * options.crops, SAMPLES)).astype(
        np.float32
    )
    with tempfile.TemporaryDirectory() as folder:
        write_impulses(Path(folder))
        runs: dict[str, Callable[[], float]] = {"ours": lambda: ours(crops, options.cores)}
        pools = []
        for name, start in (
            ("audiomentations", start_audiomentations),
            ("torchaudio", start_torchaudio),
        ):
            if name not in options.skip:
                pool = multiprocessing.get_context("spawn").Pool(options.cores, start, (folder,))
                pools.append(pool)
                runs[name] = functools.partial(others, pool, crops, options.cores)
        seconds: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(options.repeats + 1):
            for name, run in runs.items():
                seconds[name].append(run())
        for pool in pools:
            pool.terminate()
    load = os.getloadavg()[0]
    print(
        f"{len(crops)} crops of {SAMPLES} samples, {options.cores} cores, load {load:.1f}; "
        f"best and worst of {options.repeats} turns, after one that does not count"
    )
    print(f"{'chain':<18}{'crops/s':>9}{'slowest':>9}{'ours is':>10}")
    best = min(seconds["ours"][1:])
    for name, times in seconds.items():
        fast, slow = min(times[1:]), max(times[1:])
        print(f"{name:<18}{len(crops) / fast:>9.0f}{len(crops) / slow:>9.0f}{fast / best:>8.1f} x")
    if "pitch" not in options.skip:
        pitch_table(crops[: options.crops])


def ours(crops: np.ndarray, cores: int) -> float:
    """Seconds that our chain takes for both views, as one training step asks for them."""
    torch.set_num_threads(cores)
    chain, waveforms = Chain(SPEC, RATE), torch.from_numpy(crops)
    start = time.perf_counter()
    for view, part in enumerate(waveforms.chunk(2)):
        chain.waveform(part, 0, view)
    return time.perf_counter() - start


def others(pool: multiprocessing.pool.Pool, crops: np.ndarray, cores: int) -> float:
    """Seconds of the slowest process, each on its share of the crops; sending does not count."""
    parts = [(part, number) for number, part in enumerate(np.array_split(crops, cores))]
    return max(pool.map(run_chain, parts, chunksize=1))


chain_of_process: Callable[[np.ndarray], object] = len
"""The chain that a process of the pool runs, set when the process starts."""


def run_chain(work: tuple[np.ndarray, int]) -> float:
    """Seconds for some crops, one by one; every turn draws the same random numbers."""
    crops, seed = work
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    start = time.perf_counter()
    for crop in crops:
        chain_of_process(crop)
    return time.perf_counter() - start


def write_impulses(folder: Path) -> None:
    """Writes impulse responses of our reverb, with which the other libraries convolve."""
    impulse = torch.zeros(IMPULSES, SAMPLES)
    impulse[:, 0] = 1
    numbers = np.random.default_rng(1).uniform(0, 99, (3, IMPULSES))
    reverberance, damping, room = numbers
    responses = reverb.reverb(impulse, reverberance, damping, room, RATE)
    for number, response in enumerate(responses):
        soundfile.write(folder / f"{number}.wav", response.numpy(), RATE, subtype="FLOAT")


def start_audiomentations(folder: str) -> None:
    """Sets this process's chain to the nearest one that audiomentations has."""
    global chain_of_process
    torch.set_num_threads(1)
    import audiomentations as am  # type: ignore[import-not-found]

    chain = am.Compose(
        [
            am.PolarityInversion(p=SPEC.polarity.probability),
            am.AddGaussianSNR(min_snr_db=40, max_snr_db=80, p=SPEC.noise.probability),
            am.Gain(min_gain_db=-20, max_gain_db=-1, p=SPEC.gain.probability),
            am.OneOf(
                [am.LowPassFilter(2200, 4000, p=1.0), am.HighPassFilter(200, 1200, p=1.0)],
                p=SPEC.filter.probability,
            ),
            am.PitchShift(-7, 7, p=SPEC.pitch_shift.probability),
            am.ApplyImpulseResponse(folder, p=SPEC.reverb.probability),
        ]
    )
    chain_of_process = lambda crop: chain(crop, RATE)  # noqa: E731


FAST = (2, 3)
"""The semitones by which torchaudio shifts within a tenth of a second."""


def start_torchaudio(folder: str) -> None:
    """Sets this process's chain to one of torchaudio's functions."""
    global chain_of_process
    torch.set_num_threads(1)
    responses = [
        torch.from_numpy(soundfile.read(path, dtype="float32")[0])
        for path in Path(folder).glob("*.wav")
    ]

    def chain(crop: np.ndarray) -> torch.Tensor:
        waveform = torch.from_numpy(crop)[None]
        chance = {name: random.random() < getattr(SPEC, name).probability for name in WAVEFORM}
        if chance["polarity"]:
            waveform = -waveform
        if chance["noise"]:
            waveform = waveform + torch.randn_like(waveform) * waveform.std() * random.uniform(
                1e-4, 1e-2
            )
        if chance["gain"]:
            waveform = taf.gain(waveform, random.uniform(-20, -1))
        if chance["filter"]:
            if random.random() < 0.5:
                waveform = taf.lowpass_biquad(waveform, RATE, random.uniform(2200, 4000))
            else:
                waveform = taf.highpass_biquad(waveform, RATE, random.uniform(200, 1200))
        if chance["delay"]:
            offset = RATE * random.randrange(200, 500, 50) // 1000
            waveform = (
                waveform + 0.5 * torch.nn.functional.pad(waveform, (offset, 0))[:, :SAMPLES]
            ) / 2
        if chance["pitch_shift"]:
            waveform = taf.pitch_shift(waveform, RATE, random.choice(FAST))
        if chance["reverb"]:
            waveform = taf.fftconvolve(waveform, random.choice(responses)[None])[:, :SAMPLES]
        return waveform

    chain_of_process = chain


def pitch_table(crops: np.ndarray) -> None:
    """Prints the speed and the error of the pitch shift alone, on one core."""
    torch.set_num_threads(1)
    waveforms = torch.from_numpy(crops)
    tone = (
        0.5 * torch.sin(2 * np.pi * 440 * torch.arange(SAMPLES, dtype=torch.float64) / RATE)
    ).float()[None]
    print(f"\n{'semitones':>9}{'crops/s a core':>16}{'error, cents':>14}")
    for semitones in range(-5, 6):
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            pitch.pitch_shift(waveforms, np.full(len(waveforms), 100.0 * semitones), RATE)
            seconds.append(time.perf_counter() - start)
        error = 1200 * np.log2(
            frequency(pitch.pitch_shift(tone, np.array([100.0 * semitones]), RATE)[0]) / 440
        )
        print(
            f"{semitones:>9}{len(waveforms) / min(seconds):>16.0f}{error - 100 * semitones:>14.2f}"
        )


def frequency(waveform: torch.Tensor) -> float:
    """Frequency of a tone in Hz, from its spectrum's peak and the two bins beside it."""
    size = 2**19
    levels = np.log(
        np.abs(np.fft.rfft(waveform.double().numpy() * np.hanning(SAMPLES), size)) + 1e-30
    )
    peak = int(levels.argmax())
    before, at, after = levels[peak - 1 : peak + 2]
    return (peak + 0.5 * (before - after) / (before - 2 * at + after)) * RATE / size


if __name__ == "__main__":
    main()
