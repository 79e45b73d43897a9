"""Leaks by audio fingerprint: missed copies and false alarms by threshold, and speed.

    python tests/benchmarks/bench_leaks.py              (some minutes, on music that midiband makes)
    python tests/benchmarks/bench_leaks.py --csv FILE   (on other music)

The CSV has the columns `path` (relative to it) and `group`: tracks of one group may share a
recording, tracks of two groups may not. Options: --tracks of midiband, --copies (tracks that are
damaged), --library (sizes), --thresholds, --part.

Scores: for each kind of damage, the share of tracks that are not found (or found at a wrong offset)
at each threshold of the bit error rate, and quantiles of the bit error rate of those found at the
largest threshold. Then how many pairs of tracks are taken for copies at each threshold: pairs of
two groups, which are false alarms, and pairs of one group. `+` marks the threshold in use.

Speed: the music is played faster and slower until there are enough different tracks.
"""

import argparse
import csv
import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import soxr
from scipy.signal import lfilter

from bench.core import registry
from bench.data import fingerprint as prints
from bench.data.decode import decode
from bench.data.fingerprint import FRAMES_PER_SECOND, Fingerprint, Index, Library, fingerprint

RATE = 16_000
CUT = 0.5, 6.0
"""Seconds that a copy loses at its start and at its end, drawn between these."""
Damage = Callable[[np.ndarray], tuple[np.ndarray, int]]


class Track(NamedTuple):
    """A track of the music on which leaks are measured.

    Attributes:
        samples: (samples,) int16 at RATE.
        group: tracks of one group may share a recording.
    """

    samples: np.ndarray
    group: str


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--tracks", type=int, default=300, help="of midiband")
    parser.add_argument("--copies", type=int, default=60)
    parser.add_argument("--thresholds", type=float, nargs="+", default=[0.06, 0.1, 0.15, 0.2, 0.25])
    parser.add_argument("--library", type=int, nargs="+", default=[250, 500, 1000])
    parser.add_argument("--part", choices=["scores", "speed", "both"], default="both")
    options = parser.parse_args()
    tracks = of_csv(options.csv) if options.csv else of_midiband(options.tracks)
    seconds = sum(len(track.samples) for track in tracks) / RATE
    began = time.process_time()
    made = [fingerprint(track.samples, RATE) for track in tracks]
    spent = time.process_time() - began
    print(
        f"{options.csv or 'midiband'}: {len(tracks)} tracks, {seconds / 60:.0f} minutes; ", end=""
    )
    print(f"fingerprints at {seconds / spent:.0f} x real time on one core")
    if options.part != "speed":
        scores(tracks, made, options.copies, sorted(options.thresholds))
    if options.part != "scores":
        speed(tracks, sorted(options.library), seconds / spent)


def of_csv(path: Path) -> list[Track]:
    """The tracks of a CSV."""
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    return [Track(decode(path.parent / row["path"], RATE).samples, row["group"]) for row in rows]


def of_midiband(number: int) -> list[Track]:
    """Composes tracks of 30 s for the same few sampled instruments; each is a group of its own."""
    module = registry.load("datasets", "midiband")
    with tempfile.TemporaryDirectory() as folder:
        made = module.manifest(
            Path(folder), module.Settings(tracks=number, seconds=30.0), lambda done, total: None
        )
        paths = [Path(folder) / path for path in made.tracks["path"]]
        return [
            Track(decode(path, RATE).samples, track)
            for path, track in zip(paths, made.tracks["track_id"], strict=True)
        ]


# ---- scores ----


def encoder(kind: str, subtype: str, level: float, rate: int) -> Damage:
    """Makes a damage that encodes and decodes the audio with libsndfile.

    Args:
        kind: the file format, as soundfile names it.
        subtype: the codec.
        level: compression, from 0 to 1; 1 is the lowest bit rate.
        rate: sample rate of the encoded file, in Hz.

    Returns:
        The damage; its attribute `rates` lists the bit rates that it reached, in kbit/s.
    """

    def damage(audio: np.ndarray) -> tuple[np.ndarray, int]:
        file = io.BytesIO()
        resampled = np.clip(soxr.resample(audio, RATE, rate), -1, 1)
        constant = {"bitrate_mode": "CONSTANT"} if kind == "MP3" else {}
        soundfile.write(
            file, resampled, rate, format=kind, subtype=subtype, compression_level=level, **constant
        )
        rates.append(8 * file.tell() / 1_000 / (len(audio) / RATE))
        file.seek(0)
        return soundfile.read(file, dtype="float32")[0], rate

    rates: list[float] = []
    damage.rates = rates  # type: ignore[attr-defined]
    return damage


def noise(decibels: float) -> Damage:
    """Makes a damage that adds white noise at a signal-to-noise ratio in dB."""

    def damage(audio: np.ndarray) -> tuple[np.ndarray, int]:
        hiss = np.random.default_rng(len(audio)).normal(size=len(audio))
        return audio + hiss * np.sqrt((audio**2).mean() / 10 ** (decibels / 10)), RATE

    return damage


def equaliser(audio: np.ndarray) -> tuple[np.ndarray, int]:
    """Lowers the treble evenly, by 9.5 dB at 8 kHz, and then the bass below 300 Hz by 6 dB."""
    tilted = lfilter([0.75, 0.25 * 0.75], [1, -0.3], audio)
    return tilted - 0.5 * lfilter([0.056, 0.056], [1, -0.888], tilted), RATE


DAMAGES: dict[str, Damage] = {
    "cut only": lambda audio: (audio, RATE),
    "mp3 128": encoder("MP3", "MPEG_LAYER_III", 0.69, 44_100),
    "mp3 56": encoder("MP3", "MPEG_LAYER_III", 0.9, 44_100),
    "mp3 32": encoder("MP3", "MPEG_LAYER_III", 0.85, RATE),
    "mp3 8": encoder("MP3", "MPEG_LAYER_III", 0.99, RATE),
    "ogg, good": encoder("OGG", "VORBIS", 0.5, 44_100),
    "ogg, worst": encoder("OGG", "VORBIS", 1.0, RATE),
    "opus": encoder("OGG", "OPUS", 0.9, 48_000),
    "opus, poor": encoder("OGG", "OPUS", 0.96, 48_000),
    "opus, worst": encoder("OGG", "OPUS", 1.0, 48_000),
    "at 8 kHz": lambda audio: (soxr.resample(audio, RATE, 8_000), 8_000),
    "at 44.1 kHz": lambda audio: (soxr.resample(audio, RATE, 44_100), 44_100),
    "equaliser": equaliser,
    "-40 dB": lambda audio: (audio / 100, RATE),
    "+12 dB, clipped": lambda audio: (np.clip(4 * audio, -1, 1), RATE),
    "noise 20 dB": noise(20),
    "noise 10 dB": noise(10),
    "1 % faster": lambda audio: (soxr.resample(audio, 101, 100), RATE),
    "0.3 % faster": lambda audio: (soxr.resample(audio, 1003, 1000), RATE),
}


def scores(
    tracks: list[Track], made: list[Fingerprint], copies: int, thresholds: list[float]
) -> None:
    """Prints misses of copies and false alarms, at several thresholds."""
    index = Index(joined(made), 0, len(made))
    in_use = prints._LARGEST_ERROR
    rng = np.random.default_rng(0)
    chosen = rng.permutation(len(tracks))[:copies].tolist()
    names = [f"{'+' if threshold == in_use else ''}{threshold:g}" for threshold in thresholds]
    print(
        f"\nshare of {len(chosen)} copies missed, "
        f"cut by {CUT[0]:g} to {CUT[1]:g} s at both ends, by threshold;"
    )
    print("bit error rate of those found at the largest: median, 95 %, largest")
    print(
        f"{'damage':18}{'kbit/s':>8}"
        + "".join(f"{name:>8}" for name in names)
        + f"{'median':>10}{'95 %':>8}{'most':>8}"
    )
    for name, damage in DAMAGES.items():
        cuts = [np.round(rng.uniform(*CUT, 2) * RATE).astype(int) for _ in chosen]
        damaged = [
            as_pcm(*damage(tracks[number].samples[start:-end] / np.float32(32767)))
            for number, (start, end) in zip(chosen, cuts, strict=True)
        ]
        missed, errors = [], np.zeros(0)
        for threshold in thresholds:
            prints._LARGEST_ERROR = threshold
            matches = [
                find_original(index, copy, number)
                for copy, number in zip(damaged, chosen, strict=True)
            ]
            right = [
                match.bit_error_rate
                for match, (start, _) in zip(matches, cuts, strict=True)
                if match is not None and abs(match.offset_seconds - start / RATE) < 0.2
            ]
            missed.append(1 - len(right) / len(chosen))
            errors = np.array(right or [np.nan])
        rates = getattr(damage, "rates", [])
        print(f"{name:18}{f'{np.mean(rates):.0f}' if rates else '-':>8}", end="")
        print("".join(f"{share:8.3f}" for share in missed), end="")
        print(
            "".join(
                f"{value:{width}.3f}"
                for value, width in zip(spread(errors), (10, 8, 8), strict=True)
            ),
            flush=True,
        )
    pairs = len(made) * (len(made) - 1) // 2
    print(
        f"\npairs of {pairs} taken for copies, by threshold; "
        "of two groups: its bit error rates and seconds"
    )
    for threshold, name in zip(thresholds, names, strict=True):
        prints._LARGEST_ERROR = threshold
        copies_of = {
            (min(number, match.track), max(number, match.track)): match
            for number, wanted in enumerate(made)
            for match in index.find(wanted, but=number)
        }
        false = [
            match
            for (first, second), match in copies_of.items()
            if tracks[first].group != tracks[second].group
        ]
        false.sort(key=lambda match: match.bit_error_rate)
        worst = ", ".join(
            f"{match.bit_error_rate:.3f} over {match.matched_seconds:.0f} s" for match in false[:4]
        )
        print(
            f"{name:>8}: of two groups {len(false)}, of one {len(copies_of) - len(false)}  {worst}",
            flush=True,
        )
    prints._LARGEST_ERROR = in_use


def as_pcm(audio: np.ndarray, rate: int) -> Fingerprint:
    """The fingerprint of a copy after quantisation to 16 bits."""
    return fingerprint(np.round(np.clip(audio, -1, 1) * 32767).astype(np.int16), rate)


def find_original(index: Index, copy: Fingerprint, number: int) -> prints.Match | None:
    """The match of a copy with its original, whose number is given; None if it is not found."""
    return next((match for match in index.find(copy) if match.track == number), None)


def spread(errors: np.ndarray) -> list[float]:
    """Median, 95 % quantile and maximum of bit error rates."""
    return [float(np.quantile(errors, share)) for share in (0.5, 0.95, 1.0)]


def joined(made: list[Fingerprint]) -> Library:
    """The fingerprints one after another, as a library."""
    return Library(
        np.concatenate([track.codes for track in made]),
        np.concatenate([track.weak for track in made]),
        np.concatenate([track.strong for track in made]),
        np.cumsum([0, *(len(track.codes) for track in made)]),
    )


# ---- speed ----

LARGE = 25_000, 5_000
"""Sizes of the two data sets, in tracks of 30 s, to which the times are extrapolated.

They are those of MagnaTagATune and of its test split.
"""


def speed(tracks: list[Track], sizes: list[int], times_real: float) -> None:
    """Times searches in libraries of several sizes, and extrapolates.

    Args:
        tracks: the music.
        sizes: tracks in the library, and as many tracks that are searched for in it.
        times_real: seconds of audio that are fingerprinted in a second.
    """
    factors = 1 + 0.06 * np.concatenate([np.arange(1, 8), -np.arange(1, 8)])
    played = [(track, factor) for factor in factors for track in tracks]
    made = [
        fingerprint(track.samples, round(RATE * factor))
        for track, factor in played[: 2 * sizes[-1]]
    ]
    print(f"\n{'library':>8}{'index, s':>10}{'search, ms a track':>20}{'tracks/s':>10}{'found':>8}")
    spent = []
    for size in sizes:
        # Searched for are other tracks than the library's, or the same ones at another speed.
        began = time.process_time()
        index = Index(joined(made[:size]), 0, size)
        sorted_in = time.process_time() - began
        wanted = made[-size:]
        began = time.process_time()
        matches = sum(len(index.find(track)) for track in wanted)
        spent.append((time.process_time() - began) / len(wanted))
        print(
            f"{size:8}{sorted_in:10.2f}{1_000 * spent[-1]:20.2f}{1 / spent[-1]:10.0f}{matches:8}",
            flush=True,
        )
    slope, base = np.polyfit(sizes, spent, 1) if len(sizes) > 1 else (0.0, spent[0])
    prints_s = 30 * sum(LARGE) / times_real
    search_s = LARGE[0] * (base + slope * LARGE[1])
    frames = 30 * FRAMES_PER_SECOND
    print(
        f"extrapolated to {LARGE[0]} x {LARGE[1]} tracks of 30 s, one core: "
        f"{prints_s:.0f} s of fingerprints, {search_s:.0f} s of search; "
        f"{12 * frames * sum(LARGE) / 2**20:.0f} MiB in temporary files, "
        f"{12 * min(frames * LARGE[1], 2**24) / 2**20:.0f} MiB of index in memory"
    )


if __name__ == "__main__":
    main()
