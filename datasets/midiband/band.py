"""The accompaniment: drums, percussion, bass and chords, one bar at a time.

Every function returns strokes on the grid; `compose.py` gives them their time, swing and loudness.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .harmony import Chord
from .instruments import Instrument
from .patterns import (
    BASS_LINES,
    BEATS,
    COMPING,
    DRUM_KEYS,
    GROOVES,
    PERCUSSION,
    bar_of,
    events,
    steps_in_bar,
)

ACCENTS = {"X": 1.0, "x": 0.78, "o": 0.42}
"""Loudness of a stroke's sign; other signs count as "x"."""

STRUM_STEPS = 0.12
"""Delay from one string to the next, in sixteenths: about 15 ms at 120 a minute."""


class Stroke(NamedTuple):
    """A note on the grid: its step in the bar (may be fractional), length in steps, pitch, accent from 0 to 1."""

    step: float
    length: float
    pitch: int
    accent: float


@dataclass(frozen=True)
class Bar:
    """One bar of the form.

    Attributes:
        number: its number from the start of the form; phrases are four bars, sections eight.
        meter: name in `patterns.METERS`.
        chords: what sounds: (first step, chord), the first at step 0.
        following: the first chord of the next bar.
        tonic: pitch class of the key.
        mode: name in `harmony.MODES`.
    """

    number: int
    meter: str
    chords: tuple[tuple[int, Chord], ...]
    following: Chord
    tonic: int
    mode: str

    def chord_at(self, step: float) -> Chord:
        """The chord that sounds at the step."""
        return [chord for start, chord in self.chords if start <= step][-1]

    def chord_after(self, step: float) -> Chord:
        """The next chord that sounds after the step."""
        return next((chord for start, chord in self.chords if start > step), self.following)

    def change_after(self, step: float) -> int:
        """The step of the next change of chord, or of the bar's end."""
        return next((start for start, _ in self.chords if start > step), steps_in_bar(self.meter))


def play_drums(bar: Bar, groove: str, energy: float, random: np.random.Generator) -> list[Stroke]:
    """A bar of a drum groove, with a fill at the end of a phrase and a crash after it."""
    strokes = _play_kit(bar, GROOVES[groove], energy, random)
    if bar.number % 4 == 3 and random.random() < 0.35 + 0.5 * energy:
        start = steps_in_bar(bar.meter) - int(random.choice((4, 4, 6, 8)))
        toms = [DRUM_KEYS[name] for name in ("snare", "high tom", "mid tom", "low tom")]
        fill_keys = sorted(random.integers(len(toms), size=steps_in_bar(bar.meter) - start))
        kept = [
            stroke for stroke in strokes if stroke.step < start or stroke.pitch == DRUM_KEYS["kick"]
        ]
        fill = [
            Stroke(start + step, 1, toms[key], 0.6 + 0.4 * random.random())
            for step, key in enumerate(fill_keys)
        ]
        return kept + [stroke for stroke in fill if random.random() < 0.5 + 0.4 * energy]
    if bar.number % 8 == 0 and energy > 0.4:
        strokes.append(Stroke(0, 4, DRUM_KEYS["crash"], 0.8))
    return strokes


def play_percussion(
    bar: Bar, groove: str, energy: float, random: np.random.Generator
) -> list[Stroke]:
    """A bar of hand percussion."""
    return _play_kit(bar, PERCUSSION[groove], energy, random)


def _play_kit(
    bar: Bar, groove: dict[str, str], energy: float, random: np.random.Generator
) -> list[Stroke]:
    """The strokes of a groove; with little energy some of the weaker ones are left out."""
    strokes = []
    for name, pattern in groove.items():
        for step, length, sign in events(bar_of(pattern, bar.meter, bar.number)):
            if sign == "X" or random.random() < 0.7 + 0.5 * energy:
                strokes.append(Stroke(step, length, DRUM_KEYS[name], ACCENTS[sign]))
    return strokes


def play_bass(
    bar: Bar, line: str, instrument: Instrument, random: np.random.Generator
) -> list[Stroke]:
    """A bar of a bass line that follows the chords."""
    strokes = []
    # Roots lie in the instrument's lowest octave.
    floor = instrument.lowest
    for step, length, sign in events(bar_of(BASS_LINES[line], bar.meter, bar.number)):
        chord = bar.chord_at(step)
        root = floor + (bar.tonic + chord.root - floor) % 12
        if sign == "a":
            target = floor + (bar.tonic + bar.chord_after(step).root - floor) % 12
            pitch = max(floor, target + int(random.choice((-1, 1))))
        else:
            rise = {"R": 0, "8": 12, "3": chord.third(), "5": chord.fifth(), "7": chord.seventh()}[
                sign
            ]
            pitch = root + rise
        strokes.append(Stroke(step, length, pitch, 1.0 if step in BEATS[bar.meter] else 0.8))
    return strokes


def voice_chord(
    bar: Bar, chord: Chord, tones: int, instrument: Instrument, previous: list[int]
) -> list[int]:
    """Pitches of a chord near the ones before.

    Args:
        bar: gives the key.
        chord: the chord.
        tones: how many pitches; with two they are root and fifth, low, as a power chord.
        instrument: whose range holds.
        previous: the pitches of the chord before; empty for the first.

    Returns:
        Ascending pitches (MIDI numbers).
    """
    if tones == 2:
        root = max(instrument.lowest, 40)
        root += (bar.tonic + chord.root - root) % 12
        return [root, root + chord.fifth()]
    classes = list(chord.pitch_classes(bar.tonic))
    middle = min(max(62, instrument.lowest + 8), instrument.highest - 14)
    # A chain of smooth moves may wander off; the pull to the middle of the keyboard brings it back.
    centre = 0.75 * sum(previous) / len(previous) + 0.25 * middle if previous else middle
    options = []
    for inversion in range(len(classes)):
        turned = classes[inversion:] + classes[:inversion]
        wanted = [turned[place % len(turned)] for place in range(tones)]
        for low in range(instrument.lowest, instrument.highest - 11):
            if low % 12 == wanted[0]:
                options.append(_stack(low, wanted))
    # A narrow range may hold no chord, or even no place to begin one: then a tone of it, or its
    # root.
    lone = (
        options[0][:1] if options else [instrument.lowest + (classes[0] - instrument.lowest) % 12]
    )
    fitting = [option for option in options if option[-1] <= instrument.highest] or [lone]
    return min(fitting, key=lambda option: abs(sum(option) / len(option) - centre))


def _stack(low: int, classes: list[int]) -> list[int]:
    """The pitch classes one above the other from `low`."""
    pitches = [low]
    for pitch_class in classes[1:]:
        pitches.append(pitches[-1] + ((pitch_class - pitches[-1]) % 12 or 12))
    return pitches


def play_chords(
    bar: Bar,
    name: str,
    instrument: Instrument,
    is_power: bool,
    energy: float,
    previous: list[int],
    random: np.random.Generator,
) -> tuple[list[Stroke], list[int]]:
    """A bar of comping.

    Args:
        bar: the bar.
        name: name in `patterns.COMPING`.
        instrument: who plays.
        is_power: root and fifth only, for distorted guitars, whose thirds are mud.
        energy: 0 to 1; with little of it some of the weaker strokes are left out.
        previous: the last voicing, for smooth voice leading.
        random: the generator to draw from.

    Returns:
        The strokes, and the last voicing.
    """
    comping = COMPING[name]
    tones = 2 if is_power else comping.tones
    strokes: list[Stroke] = []
    for start, length, sign in _split_at_changes(
        bar, events(bar_of(comping.pattern, bar.meter, bar.number))
    ):
        if sign == "x" and random.random() > 0.75 + 0.5 * energy:
            continue
        voicing = voice_chord(bar, bar.chord_at(start), tones, instrument, previous)
        previous = voicing
        if sign.isdigit():
            octave, place = divmod(int(sign), len(voicing))
            pitches = [voicing[place] + 12 * octave]
        else:
            pitches = voicing[:1] if sign == "b" else voicing
        delay = STRUM_STEPS if comping.technique == "strum" else 0.0
        for place, pitch in enumerate(pitches):
            if pitch <= instrument.highest:
                strokes.append(Stroke(start + delay * place, length, pitch, ACCENTS.get(sign, 0.8)))
    return strokes, previous


def _split_at_changes(bar: Bar, notes: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Cuts notes that are held over a change of chord, and strikes them anew."""
    split = []
    for start, length, sign in notes:
        end = start + length
        while start < end:
            stop = min(end, bar.change_after(start))
            split.append((start, stop - start, sign))
            start = stop
    return split
