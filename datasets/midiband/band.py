"""The accompaniment: drums, percussion, bass and chords, one bar at a time.

Every function returns strokes on a grid of sixteenths ("steps"); `compose` gives them their time
in seconds, their swing and their loudness.
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
"""Sign of a stroke in a pattern -> its loudness, 0 to 1."""

STRUM_STEPS = 0.12
"""Delay from one string to the next, in sixteenths: about 15 ms at 120 a minute."""


class Stroke(NamedTuple):
    """A note on the grid of sixteenths.

    Attributes:
        step: when it begins, in steps from the start of the bar; may be fractional.
        length: in steps.
        pitch: MIDI number.
        accent: loudness, 0 to 1.
    """

    step: float
    length: float
    pitch: int
    accent: float


@dataclass(frozen=True)
class Bar:
    """One bar of a piece.

    Attributes:
        number: its number from the start of the piece's form, in which a phrase is four bars long
            and a section eight.
        meter: name in `patterns.METERS`.
        chords: the chords that sound, as (first step, chord); the first begins at step 0.
        following: the first chord of the next bar.
        tonic: pitch class of the key, C = 0.
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
        """The step at which the chord changes next, or the bar ends."""
        return next((start for start, _ in self.chords if start > step), steps_in_bar(self.meter))


def play_drums(bar: Bar, groove: str, energy: float, random: np.random.Generator) -> list[Stroke]:
    """A bar of a drum groove.

    The more energy there is, the more often a phrase ends with a fill; each section of a track of
    some energy begins with a crash.
    """
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
    """The strokes of a groove (drum -> pattern).

    At energies below 0.6, weaker strokes are left out at random.
    """
    strokes = []
    for name, pattern in groove.items():
        for step, length, sign in events(bar_of(pattern, bar.meter, bar.number)):
            if sign == "X" or random.random() < 0.7 + 0.5 * energy:
                strokes.append(Stroke(step, length, DRUM_KEYS[name], ACCENTS[sign]))
    return strokes


def play_bass(
    bar: Bar, line: str, instrument: Instrument, random: np.random.Generator
) -> list[Stroke]:
    """A bar of the bass line of that name in `patterns.BASS_LINES`, on the bar's chords."""
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
            intervals = {"R": 0, "8": 12, "3": chord.third()}
            intervals |= {"5": chord.fifth(), "7": chord.seventh()}
            pitch = root + intervals[sign]
        strokes.append(Stroke(step, length, pitch, 1.0 if step in BEATS[bar.meter] else 0.8))
    return strokes


def voice_chord(
    bar: Bar, chord: Chord, tones: int, instrument: Instrument, previous: list[int]
) -> list[int]:
    """Pitches of a chord, as near to those of the chord before as its inversions allow.

    Args:
        bar: gives the key.
        chord: the chord.
        tones: how many pitches; two are the root and the fifth, low (a power chord).
        instrument: plays them; its range holds.
        previous: the pitches of the chord before; empty for the first chord.

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
    # A narrow range may hold no whole chord: then its lowest tone alone, or, where the range has no
    # place to begin a chord at all, its root.
    lone = (
        options[0][:1] if options else [instrument.lowest + (classes[0] - instrument.lowest) % 12]
    )
    fitting = [option for option in options if option[-1] <= instrument.highest] or [lone]
    return min(fitting, key=lambda option: abs(sum(option) / len(option) - centre))


def _stack(low: int, classes: list[int]) -> list[int]:
    """Pitches of these classes in ascending order, each the next one above, from `low` on."""
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
    """A bar of comping: chords played in one of the ways of `patterns.COMPING`.

    Args:
        bar: the bar.
        name: name in `patterns.COMPING`.
        instrument: plays the chords.
        is_power: whether only root and fifth are played, as on distorted guitars, on which thirds
            sound muddy.
        energy: 0 to 1; when it is low, weaker strokes are left out at random.
        previous: the pitches of the last chord, for smooth voice leading.
        random: the generator to draw from.

    Returns:
        The strokes, and the pitches of the bar's last chord.
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
    """Splits notes, (first step, length, sign), that are held over a change of chord."""
    split = []
    for start, length, sign in notes:
        end = start + length
        while start < end:
            stop = min(end, bar.change_after(start))
            split.append((start, stop - start, sign))
            start = stop
    return split
