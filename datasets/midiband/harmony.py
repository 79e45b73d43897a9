"""Chords and scales: from Roman numerals to pitch classes.

A progression is a string of bars with blanks between them; a bar is one chord, or several joined by
commas that share it evenly. The letters of a numeral give the root on the *major* scale of the
tonic (so minor keys write their flats out: "i bVI bIII bVII"), their case the third, and the suffix
the other tones; "V7/ii" is the dominant seventh of the second degree.
"""

import re
from dataclasses import dataclass

MODES: dict[str, tuple[int, ...]] = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "lydian": (0, 2, 4, 6, 7, 9, 11),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "blues": (0, 3, 5, 6, 7, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "harmonic minor": (0, 2, 3, 5, 7, 8, 11),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
}
"""Scale -> its tones, in semitones above the tonic, from which melodies are made."""

BRIGHT_MODES = frozenset({"major", "lydian", "mixolydian"})
DARK_MODES = frozenset({"dorian", "minor", "harmonic minor", "phrygian"})
KEYS = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")

# Semitones of each degree of the major scale above the tonic.
_DEGREES = {"i": 0, "ii": 2, "iii": 4, "iv": 5, "v": 7, "vi": 9, "vii": 11}
_NUMERAL = re.compile(r"(b|#)?([IViv]+)(.*)")
# Suffix of a chord -> semitones of its tones above the root: for numerals in capitals, with a major
# third unless the suffix says otherwise, and for those in small letters, with a minor third.
_UPPER = {
    "": (0, 4, 7),
    "6": (0, 4, 7, 9),
    "7": (0, 4, 7, 10),
    "9": (0, 4, 10, 14),
    "maj7": (0, 4, 7, 11),
    "maj9": (0, 4, 11, 14),
    "7b9": (0, 4, 10, 13),
    "+": (0, 4, 8),
    "sus": (0, 5, 7),
    "5": (0, 7, 12),
}
_LOWER = {
    "": (0, 3, 7),
    "6": (0, 3, 7, 9),
    "7": (0, 3, 7, 10),
    "9": (0, 3, 10, 14),
    "h7": (0, 3, 6, 10),
    "o": (0, 3, 6),
    "o7": (0, 3, 6, 9),
    "maj7": (0, 3, 7, 11),
}


@dataclass(frozen=True)
class Chord:
    """A chord relative to the tonic.

    Attributes:
        root: semitones of the root above the tonic, 0 to 11.
        intervals: semitones of the tones above the root, the root first.
    """

    root: int
    intervals: tuple[int, ...]

    def pitch_classes(self, tonic: int) -> tuple[int, ...]:
        """The chord's tones as pitch classes (C = 0), the root first, in the key of `tonic`."""
        return tuple((tonic + self.root + interval) % 12 for interval in self.intervals)

    def third(self) -> int:
        """Semitones from the root to the third, or to the fifth where the chord has none."""
        return next((interval for interval in self.intervals if interval in (3, 4)), 7)

    def seventh(self) -> int:
        """Semitones from the root to the seventh or sixth, or to the octave without either."""
        return next((interval for interval in self.intervals if interval in (9, 10, 11)), 12)

    def fifth(self) -> int:
        """Semitones from the root to the fifth, whether it is diminished, perfect or augmented."""
        return next((interval for interval in self.intervals if interval in (6, 7, 8)), 7)


def parse_chord(text: str) -> Chord:
    """The chord of one numeral, such as "bVII", "ii7", "Imaj7", "viih7" or "V7/V".

    Raises:
        ValueError: the text is no Roman numeral.
    """
    numeral, _, target = text.partition("/")
    match = _NUMERAL.fullmatch(numeral)
    if match is None:
        raise ValueError(f"'{text}' is no Roman numeral")
    accidental, letters, suffix = match.groups()
    root = _DEGREES[letters.lower()] + {"b": -1, "#": 1}.get(accidental or "", 0)
    intervals = (_UPPER if letters.isupper() else _LOWER)[suffix]
    return Chord((root + (parse_chord(target).root if target else 0)) % 12, intervals)


def parse_progression(text: str) -> tuple[tuple[Chord, ...], ...]:
    """The bars of a progression, each a tuple of the chords that share it."""
    return tuple(tuple(parse_chord(chord) for chord in bar.split(",")) for bar in text.split())


def scale_pitches(tonic: int, mode: str, low: int, high: int) -> list[int]:
    """All pitches (MIDI numbers) of the mode from `low` to `high`, both included."""
    return [pitch for pitch in range(low, high + 1) if (pitch - tonic) % 12 in MODES[mode]]
