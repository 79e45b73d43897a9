"""Fingerprints find copies whatever was done to them, and take no other music for a copy."""

from itertools import pairwise

import numpy as np
import pytest
import soxr

from bench.data import fingerprint as prints
from bench.data.fingerprint import Index, Library, fingerprint
from tests.data.copies import CHANGES, RATE, SECONDS, music, pcm


def library(tracks: list[np.ndarray], rate: int = RATE) -> Library:
    """The fingerprints of several tracks, one behind the other."""
    prints = [fingerprint(track, rate) for track in tracks]
    codes, weak, strong = (
        np.concatenate([getattr(track, name) for track in prints])
        for name in ("codes", "weak", "strong")
    )
    return Library(codes, weak, strong, np.cumsum([0, *(len(track.codes) for track in prints)]))


@pytest.fixture(scope="module")
def index(tracks) -> Index:
    return Index(library(tracks), 0, len(tracks))


@pytest.mark.parametrize("change", CHANGES)
def test_a_copy_is_found_and_nothing_else(index, tracks, change):
    for number in range(5, 48, 12):
        start = RATE + 137 * number  # no multiple of a hop
        copy = pcm(CHANGES[change](tracks[number][start : -RATE // 2] / 32767))
        (match,) = index.find(fingerprint(copy, RATE))
        assert match.track == number
        assert match.offset_seconds == pytest.approx(start / RATE, abs=0.1)
        assert match.matched_seconds > 0.8 * len(copy) / RATE
        assert match.bit_error_rate < 0.08


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_stores_of_other_rates_are_compared(index, tracks, rate):
    copy = soxr.resample(tracks[11] / 32767, RATE, rate)
    (match,) = index.find(fingerprint(pcm(copy), rate))
    assert (match.track, round(match.offset_seconds, 1)) == (11, 0.0)
    assert match.bit_error_rate < 0.02


def test_pieces_of_one_band_are_told_apart(index, tracks):
    made = index._library
    assert not any(index.find(made.track(number), but=number) for number in range(len(tracks)))


def test_the_same_music_at_another_speed_is_no_copy(index, tracks):
    assert not index.find(fingerprint(tracks[3], round(RATE * 1.06)))


def test_an_excerpt_of_a_long_track_is_found_where_it_lies(tracks):
    long = np.concatenate(tracks[:10])
    index = Index(library([long, *tracks[20:24]]), 0, 5)
    (match,) = index.find(fingerprint(tracks[7], RATE))
    assert match.track == 0
    assert match.offset_seconds == pytest.approx(7 * SECONDS, abs=0.05)


def test_a_passage_in_common_is_measured(tracks):
    first = np.concatenate([tracks[1], tracks[2][: 6 * RATE], tracks[3]])
    second = np.concatenate([tracks[4][: 5 * RATE], tracks[2][: 6 * RATE], tracks[5]])
    (match,) = Index(library([second]), 0, 1).find(fingerprint(first, RATE))
    assert match.offset_seconds == pytest.approx(5 - SECONDS, abs=0.03)
    assert match.matched_seconds == pytest.approx(6.0, abs=2.0)  # a second at either end


def test_silence_tones_and_steady_noise_match_nothing(tracks):
    clock = np.arange(round(SECONDS * RATE)) / RATE
    noise = np.random.default_rng(0).normal(size=(2, len(clock)))
    dull = [
        np.zeros(len(clock)),
        np.full(len(clock), 1e-4),
        0.3 * np.sin(2 * np.pi * 440 * clock),
        0.4 * np.sin(2 * np.pi * 440 * clock),
        0.3 * np.sin(2 * np.pi * 440 * clock) + 0.3 * np.sin(2 * np.pi * 660 * clock),
        0.3 * np.sign(np.sin(2 * np.pi * 220 * clock)),
        1e-5 * noise[0],
        0.1 * noise[0],
        0.1 * noise[1],
    ]
    everything = [*map(pcm, dull), *tracks[:8]]
    made = library(everything)
    index = Index(made, 0, len(everything))
    assert not [
        match
        for number in range(len(everything))
        for match in index.find(made.track(number), but=number)
    ]
    assert (made.track(0).strong == 0).all()
    assert (made.track(2).strong == 0).mean() > 0.95


def test_music_over_the_same_drum_loop_is_told_apart(tracks):
    bar = np.tile(music(999, seconds=2.0, band=99), 7)
    mixed = [pcm(0.5 * bar[: len(track)] + track / 32767) for track in tracks[:16]]
    made = library(mixed)
    index = Index(made, 0, len(mixed))
    found = [
        match
        for number in range(len(mixed))
        for match in index.find(made.track(number), but=number)
    ]
    assert len(found) <= 2  # of 240


def test_silence_inside_a_copy_does_not_hide_it(index, tracks):
    copy = tracks[30].copy()
    copy[5 * RATE : 8 * RATE] = 0
    (match,) = index.find(fingerprint(copy, RATE))
    assert match.track == 30


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.3, 0.47, 0.5, 4.0])
def test_short_tracks_have_fingerprints_and_no_matches(index, tracks, seconds):
    track = tracks[0][: round(seconds * RATE)]
    made = fingerprint(track, RATE)
    assert len(made.codes) == len(made.weak) == len(made.strong)
    assert not index.find(made)


def test_the_shortest_track_that_can_be_recognised(index, tracks):
    length = round((prints.SHORTEST_SECONDS + 0.05) * RATE)
    (match,) = index.find(fingerprint(tracks[9][RATE : RATE + length], RATE))
    assert match.track == 9


def test_resampling_in_chunks_changes_nothing(tracks, monkeypatch):
    whole = fingerprint(tracks[0], RATE)
    monkeypatch.setattr(prints, "_CHUNK", 10_007)
    chunks = fingerprint(tracks[0], RATE)
    assert np.array_equal(whole.strong, chunks.strong)
    assert (whole.codes == chunks.codes).mean() > 0.999


def test_bits_follow_the_formula_of_the_paper(tracks):
    made, frame = fingerprint(tracks[0], RATE), 200
    audio = soxr.resample(tracks[0].astype(np.float32), RATE, 6_000, quality="LQ")
    edges = np.round(np.geomspace(300, 2_000, 34) * 2_048 / 6_000).astype(int)

    def energies(number: int) -> list[float]:
        window = np.hanning(2_049)[:-1]
        power = np.abs(np.fft.rfft(audio[128 * number :][:2_048] * window)) ** 2
        return [power[low:high].sum() for low, high in pairwise(edges)]

    now, before = energies(frame), energies(frame - 6)
    changes = [
        (now[band + 1] - now[band]) - (before[band + 1] - before[band]) for band in range(32)
    ]
    bits = [int(made.codes[frame - 6]) >> (31 - band) & 1 for band in range(32)]
    assert bits == [int(change > 0) for change in changes]
    order = np.argsort(np.abs(changes))
    assert int(made.weak[frame - 6]) == sum(1 << (31 - int(band)) for band in order[:3])
    assert int(made.strong[frame - 6]) == sum(1 << (31 - int(band)) for band in order[-8:])


def test_flips_are_every_choice_of_weak_bits():
    flipped = prints._flipped(np.array([0b1010], np.uint32), np.array([0b1101], np.uint32))
    assert sorted(flipped[0].tolist()) == sorted(
        {0b1010 ^ mask for mask in range(16) if mask & 0b0010 == 0}
    )
