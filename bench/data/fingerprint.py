"""Audio fingerprints, 32 bits every 21 ms, that encoding, filtering and resampling hardly change.

The sub-fingerprints of Haitsma and Kalker ("A highly robust audio fingerprinting system", ISMIR
2002): each bit says whether the difference of energy between two neighbouring bands of 300 to 2 000
Hz has grown since an earlier frame. They were chosen over the peak pairs of Wang ("An industrial
strength audio search algorithm", ISMIR 2003) because the share of bits that differ is a score with
a meaning of its own, near 0 for copies and 1/2 for other music, so that one threshold can be set;
and because quiet music without clear peaks gets as many bits as any other.

Three things differ from the paper, because of measurements (`tests/benchmarks/bench_leaks.py`). A
frame is compared with the one 128 ms before, not with the last one: fewer bits go wrong. Frames
come half as often, at half the cost. And errors are counted only among the bits that one of the two
tracks is sure of, the 8 of each frame whose differences have changed most: encoders and noise turn
the other bits first, so that a bad copy comes much nearer to 0 and other music does not.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.fft
import soxr
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

_RATE = 6_000  # Hz; one rate for all, so that stores of different rates can be compared
_FRAME = 2_048  # samples, 341 ms: long, so that a shift of half a hop changes few bits
_HOP = 128  # samples
_LAG = 6  # frames between the two whose energies are compared
_BANDS = 33
_LOWEST, _HIGHEST = 300.0, 2_000.0  # Hz: what any codec and any loudspeaker keeps
_WEAK = 3  # bits of a frame that are the first to change
_STRONG = 8  # bits of a frame that are the last to change
_BLOCK = 512  # frames transformed at once, which the processor's cache holds
_CHUNK = 2**20  # samples resampled at once
_QUIET = 1.0  # root mean square below which a frame is silence, in steps of 16 bits
_STEADY = 0.02  # share of a frame's energy that must have moved between bands

FRAMES_PER_SECOND = _RATE / _HOP
BITS = _BANDS - 1


@dataclass(frozen=True)
class Fingerprint:
    """What a track is recognised by.

    Attributes:
        codes: (frames,) uint32, the bits of each frame.
        weak: (frames,) uint32 masks of the bits that are the likeliest to be wrong in a copy.
        strong: (frames,) uint32 masks of the bits that are the likeliest to be right; 0 in silence
            and in steady sound, where the bits are noise.
    """

    codes: NDArray[np.uint32]
    weak: NDArray[np.uint32]
    strong: NDArray[np.uint32]


def fingerprint(samples: NDArray[np.int16], sample_rate: int) -> Fingerprint:
    """Computes the fingerprint of a track, which is empty where the track is shorter than 0.47 s.

    Args:
        samples: (samples,) mono.
        sample_rate: of the samples, in Hz.
    """
    audio = _resampled(samples, sample_rate)
    if len(audio) < _FRAME + _LAG * _HOP:
        return Fingerprint(*np.zeros((3, 0), np.uint32))
    energies = _band_energies(audio)
    steps = np.diff(energies, axis=1)
    change = steps[_LAG:] - steps[:-_LAG]
    energy = energies[_LAG:].sum(axis=1)
    moved = np.abs(change).sum(axis=1)
    solid = (moved > _STEADY * energy) & (energy > _quiet_energy())
    order = np.argpartition(np.abs(change), (_WEAK, BITS - _STRONG), axis=1)
    strong = _packed(_chosen(order[:, -_STRONG:])) * solid
    return Fingerprint(_packed(change > 0), _packed(_chosen(order[:, :_WEAK])), strong)


def _resampled(samples: NDArray[np.int16], sample_rate: int) -> NDArray[np.float32]:
    """The samples at the fingerprint's rate, resampled in chunks to need little memory."""
    stream = soxr.ResampleStream(sample_rate, _RATE, 1, dtype="float32", quality="LQ")
    starts = range(0, max(1, len(samples)), _CHUNK)
    chunks = [
        stream.resample_chunk(
            samples[start : start + _CHUNK].astype(np.float32), last=start == starts[-1]
        )
        for start in starts
    ]
    return np.concatenate(chunks)


def _band_energies(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """(frames, bands) energies of the bands, which are equally wide on a scale of octaves."""
    edges = np.round(np.geomspace(_LOWEST, _HIGHEST, _BANDS + 1) * _FRAME / _RATE).astype(np.intp)
    window = np.hanning(_FRAME + 1)[:-1].astype(np.float32)
    frames = sliding_window_view(audio, _FRAME)[::_HOP]
    energies = np.empty((len(frames), _BANDS), np.float32)
    for start in range(0, len(frames), _BLOCK):
        spectrum = scipy.fft.rfft(frames[start : start + _BLOCK] * window, axis=1)[
            :, edges[0] : edges[-1]
        ]
        power = spectrum.real**2 + spectrum.imag**2
        energies[start : start + _BLOCK] = np.add.reduceat(power, edges[:-1] - edges[0], axis=1)
    return energies


def _quiet_energy() -> float:
    """Energy of the bins of a frame whose root mean square is `_QUIET`, by Parseval's theorem.

    The squares of a Hann window of n samples sum to 3 n / 8; rfft has half of the bins, and leaves
    out the scale n.
    """
    return _QUIET**2 * (3 * _FRAME / 8) * _FRAME / 2


def _chosen(places: NDArray[np.intp]) -> NDArray[np.bool_]:
    """(frames, chosen) places of bits -> (frames, 32) bool, True at those places."""
    bits = np.zeros((len(places), BITS), bool)
    np.put_along_axis(bits, places, True, axis=1)
    return bits


def _packed(bits: NDArray[np.bool_]) -> NDArray[np.uint32]:
    """(frames, 32) bits -> (frames,) numbers."""
    return np.packbits(bits, axis=1).view(">u4")[:, 0].astype(np.uint32)


# ---- matching ----

_WINDOW = round(4.0 * FRAMES_PER_SECOND)
"""Frames in a row that must agree: 4 s, with some 2 000 bits that one of the tracks is sure of."""
_LARGEST_ERROR = 0.15
"""Largest share of wrong bits in a window; copies through usual encoders stay below it.

Of 6.7 million pairs of other real music none came below 0.2; of 210 000 pairs at the same speed one
did, a remix, at 0.195."""
_FEWEST_SOLID = _WINDOW // 2  # frames of a window in which both tracks must have strong bits
_MOST_PLACES = 200  # of a code in the index: a more frequent code says little and costs much
_HITS = 2**12  # hits whose windows are compared together
_SLACK = 1  # frames by which the best alignment may lie beside a hit

SHORTEST_SECONDS = (_WINDOW + _LAG) / FRAMES_PER_SECOND + _FRAME / _RATE
"""Length below which a track is never recognised."""

Places = NDArray[np.int64]


@dataclass(frozen=True)
class Match:
    """A stretch that two tracks have in common.

    Attributes:
        track: number of the second track in the library.
        offset_seconds: what is at time t of the first track is at t + offset of the second.
        matched_seconds: how much of the first track is in the second at that offset, to a second
            at either end.
        bit_error_rate: share of bits that differ in the stretch, of those that one of the tracks
            is sure of.
    """

    track: int
    offset_seconds: float
    matched_seconds: float
    bit_error_rate: float


@dataclass(frozen=True)
class Library:
    """Fingerprints of many tracks, one behind the other.

    Attributes:
        codes: (frames,) uint32; see `Fingerprint`.
        weak: (frames,) uint32.
        strong: (frames,) uint32.
        starts: (tracks + 1,) int64, the frame where each track begins, and the end.
    """

    codes: NDArray[np.uint32]
    weak: NDArray[np.uint32]
    strong: NDArray[np.uint32]
    starts: Places

    def track(self, number: int) -> Fingerprint:
        """One track's fingerprint."""
        place = slice(int(self.starts[number]), int(self.starts[number + 1]))
        return Fingerprint(self.codes[place], self.weak[place], self.strong[place])


class Index:
    """Finds tracks of a library by their sound."""

    def __init__(self, library: Library, first: int, last: int) -> None:
        """Sorts the codes of the tracks [first, last)."""
        self._library = library
        begin, end = int(library.starts[first]), int(library.starts[last])
        codes = np.array(library.codes[begin:end])
        told = _told(codes, library.strong[begin:end])
        order = np.argsort(codes[told], kind="stable")
        self._codes = codes[told][order]
        self._places = told[order] + begin

    def find(self, track: Fingerprint, but: int = -1) -> list[Match]:
        """Finds every track that has a stretch in common with this one.

        Args:
            track: what is looked for.
            but: number of a track that is ignored, such as the track itself.

        Returns:
            One match a track, at the offset where most agrees.
        """
        here, there = self._hits(track)
        owner = np.searchsorted(self._library.starts, there, side="right") - 1
        offsets = there - here - self._library.starts[owner]
        # Hits at one offset that lie close together stand for the same window: one is kept.
        spots = np.stack([owner, offsets, here // (_WINDOW // 2), here], axis=1)[owner != but]
        spots = spots[np.lexsort(spots.T[::-1])]
        fresh = np.ones(len(spots), bool)
        fresh[1:] = (spots[1:, :3] != spots[:-1, :3]).any(axis=1)
        spots = spots[fresh]
        near = [
            self._near(track, spots[start : start + _HITS]) for start in range(0, len(spots), _HITS)
        ]
        seen = spots[np.concatenate(near)] if near else spots
        best: dict[int, Match] = {}
        for number, offset in np.unique(seen[:, :2], axis=0).tolist():
            for slack in range(-_SLACK, _SLACK + 1):
                match = self._align(track, number, offset + slack)
                if match is not None and (number not in best or _rank(match) > _rank(best[number])):
                    best[number] = match
        return [best[number] for number in sorted(best)]

    def _hits(self, track: Fingerprint) -> tuple[Places, Places]:
        """Pairs (frame of the track, frame of the library) whose codes differ in weak bits only."""
        told = _told(track.codes, track.strong)
        queries = _flipped(track.codes[told], track.weak[told])
        frames = np.repeat(told, queries.shape[1])
        # Looked up in sorted order, neighbouring queries read neighbouring memory.
        order = np.argsort(queries.ravel(), kind="stable")
        wanted, frames = queries.ravel()[order], frames[order]
        low = np.searchsorted(self._codes, wanted, side="left")
        counts = np.searchsorted(self._codes, wanted, side="right") - low
        counts[counts > _MOST_PLACES] = 0
        here = np.repeat(frames, counts)
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return here, self._places[np.repeat(low, counts) + within]

    def _near(self, track: Fingerprint, spots: Places) -> NDArray[np.bool_]:
        """(hits,) whether the window around each hit agrees.

        Args:
            track: what is looked for.
            spots: (hits, 4) number of the track found, offset, part of the track, frame.
        """
        owner, offsets, _, here = spots.T
        begins, ends = self._library.starts[owner], self._library.starts[owner + 1]
        low = np.maximum(0, -offsets)
        high = np.minimum(len(track.codes), ends - begins - offsets)
        fits = high - low >= _WINDOW
        first = np.clip(here - _WINDOW // 2, low, np.maximum(low, high - _WINDOW))[fits]
        inside = first[:, None] + np.arange(_WINDOW)
        there = inside + (begins + offsets)[fits][:, None]
        wrong, sure = _compared(
            track.codes[inside],
            track.strong[inside],
            self._library.codes[there],
            self._library.strong[there],
        )
        near = np.zeros(len(spots), bool)
        near[fits] = _agree(wrong.sum(axis=1), sure.sum(axis=1), (sure > 0).sum(axis=1))
        return near

    def _align(self, track: Fingerprint, number: int, offset: int) -> Match | None:
        """The match of two tracks at an offset in frames; None where no window agrees."""
        other = self._library.track(number)
        low, high = max(0, -offset), min(len(track.codes), len(other.codes) - offset)
        if high - low < _WINDOW:
            return None
        here, there = slice(low, high), slice(low + offset, high + offset)
        wrong, sure = _compared(
            track.codes[here], track.strong[here], other.codes[there], other.strong[there]
        )
        agree = np.flatnonzero(_agree(_sums(wrong), _sums(sure), _sums(sure > 0)))
        if not len(agree):
            return None
        # +1 where a window that agrees begins, -1 behind its end: their running sum covers them.
        edges = np.zeros(high - low + 1, np.int64)
        edges[agree] += 1
        edges[agree + _WINDOW] -= 1
        covered = np.cumsum(edges)[:-1] > 0
        rate = float(wrong[covered].sum() / sure[covered].sum())
        return Match(
            number, offset / FRAMES_PER_SECOND, float(covered.sum()) / FRAMES_PER_SECOND, rate
        )


def _rank(match: Match) -> tuple[float, float, float]:
    """Orders matches of one track: most matched, then fewest errors, then the smallest shift."""
    return match.matched_seconds, -match.bit_error_rate, -abs(match.offset_seconds)


def _compared(
    codes: NDArray[np.uint32],
    strong: NDArray[np.uint32],
    others: NDArray[np.uint32],
    sure: NDArray[np.uint32],
) -> tuple[Places, Places]:
    """For each pair of frames, (bits that differ, bits compared).

    The bits compared are those that one of the two tracks is sure of, where both have strong bits.
    """
    either = np.where((strong > 0) & (sure > 0), strong | sure, np.uint32(0))
    wrong = np.bitwise_count((codes ^ others) & either)
    return wrong.astype(np.int64), np.bitwise_count(either).astype(np.int64)


def _agree(wrong: Places, sure: Places, solid: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether windows are of one recording, from their sums of bits and of frames compared."""
    return np.asarray((wrong < _LARGEST_ERROR * sure) & (solid >= _FEWEST_SOLID))


def _sums(values: NDArray[Any]) -> Places:
    """(frames,) numbers -> (frames - window + 1,) sums over every window."""
    total = np.concatenate([[0], np.cumsum(values, dtype=np.int64)])
    return np.asarray(total[_WINDOW:] - total[:-_WINDOW])


def _told(codes: NDArray[np.uint32], strong: NDArray[np.uint32]) -> Places:
    """Frames worth looking up: with strong bits, and different from the frame before."""
    fresh = np.ones(len(codes), bool)
    fresh[1:] = codes[1:] != codes[:-1]
    return np.flatnonzero((strong > 0) & fresh)


def _flipped(codes: NDArray[np.uint32], weak: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """(frames, 2 ** weak bits) every code that differs from a frame's in weak bits only."""
    every = codes[:, None]
    left = weak.copy()
    for _ in range(_WEAK):
        lowest = left & (~left + np.uint32(1))
        left ^= lowest
        every = np.concatenate([every, every ^ lowest[:, None]], axis=1)
    return every
