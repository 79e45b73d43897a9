"""Rhythms on a grid of sixteenths: meters, drum grooves, bass lines and ways to play chords.

Every pattern is written for one or two bars of 4/4, one sign for each sixteenth (16 or 32 of them),
and fitted to the other meters by `bar_of`. "." is a rest and "-" holds the note before. The other
signs:

- drums: "X" accent, "x" stroke, "o" ghost note;
- bass: "R" root, "3" third, "5" fifth, "7" seventh, "8" octave, "a" a semitone below or above the
  next chord's root;
- chords: "X" and "x" the whole chord, "b" its lowest tone, digits the tones of the voicing from the
  lowest.
"""

from dataclasses import dataclass
from typing import Literal

STEPS_PER_QUARTER = 4

METERS: dict[str, tuple[int, ...]] = {
    "4/4": tuple(range(16)),
    "3/4": (*range(8), *range(12, 16)),
    "5/4": (*range(8), *range(8, 12), *range(8, 12), *range(12, 16)),
    "7/8": (*range(12), 12, 13),
    "6/8": (0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14),
}
"""Meter -> for each of its sixteenths, the one of a 4/4 bar from which it takes its sign."""

BEATS: dict[str, tuple[int, ...]] = {
    "4/4": (0, 4, 8, 12),
    "3/4": (0, 4, 8),
    "5/4": (0, 4, 8, 12, 16),
    "7/8": (0, 4, 8),
    "6/8": (0, 6),
}
"""Meter -> the steps of a bar that carry a beat."""

DRUM_KEYS = {
    "kick": 36,
    "stick": 37,
    "snare": 38,
    "clap": 39,
    "low tom": 43,
    "mid tom": 47,
    "high tom": 50,
    "hat": 42,
    "pedal": 44,
    "open": 46,
    "crash": 49,
    "ride": 51,
    "bell": 53,
    "tambourine": 54,
    "cowbell": 56,
    "high bongo": 60,
    "low bongo": 61,
    "mute conga": 62,
    "open conga": 63,
    "low conga": 64,
    "timbale": 65,
    "low timbale": 66,
    "agogo": 67,
    "cabasa": 69,
    "maracas": 70,
    "guiro": 73,
    "claves": 75,
    "triangle": 81,
}
"""Drum -> its key on the General-MIDI percussion map."""

Groove = dict[str, str]
"""Drum of DRUM_KEYS -> its pattern."""

GROOVES: dict[str, Groove] = {
    "rock eighths": {
        "kick": "X.....x.X.......",
        "snare": "....X.......X...",
        "hat": "X.x.X.x.X.x.X.x.",
    },
    "rock drive": {
        "kick": "X.x...x.X.x...x.",
        "snare": "....X.......X...",
        "open": "X...X...X...X...",
    },
    "rock ride": {
        "kick": "X......xX.x.....",
        "snare": "....X.......X..o",
        "ride": "X.x.X.x.X.x.X.x.",
    },
    "half time": {
        "kick": "X.....x...x.....",
        "snare": "........X.......",
        "hat": "X...x...X...x...",
    },
    "double kick": {
        "kick": "XxxxXxxxXxxxXxxx",
        "snare": "....X.......X...",
        "crash": "X.......x.......",
    },
    "shuffle": {
        "kick": "X.....x.X.......",
        "snare": "....X.......X...",
        "ride": "X..xX..xX..xX..x",
    },
    "slow blues": {
        "kick": "X.......X.....x.",
        "snare": "....X.......X...",
        "hat": "x.x.x.x.x.x.x.x.",
    },
    "swing ride": {
        "ride": "X...X.x.X...X.x.",
        "pedal": "....X.......X...",
        "kick": "o...o...o...o...",
        "snare": ".......o......o.",
    },
    "swing brushes": {
        "snare": "x...X.o.x...X.o.",
        "pedal": "....x.......x...",
        "kick": "o.......o.......",
    },
    "bebop": {
        "ride": "X...X.x.X...X.x.",
        "pedal": "....X.......X...",
        "kick": "......x.......x.",
        "snare": "..o....x..x.....",
    },
    "bossa": {"kick": "X..xX..xX..xX..x", "stick": "X..x..x...x..x..", "hat": "x.x.x.x.x.x.x.x."},
    "train": {"snare": "xoXoxoXoxoXoxoXo", "kick": "X...x...X...x..."},
    "folk light": {"kick": "X.......X.......", "tambourine": "....X.......X..."},
    "one drop": {
        "stick": "........X.......",
        "kick": "........X.......",
        "hat": "x.x.x.x.x.x.x.xo",
    },
    "steppers": {
        "kick": "X...X...X...X...",
        "stick": "........X.......",
        "hat": "..X...X...X..oX.",
    },
    "rockers": {"kick": "X.......X.......", "snare": "....X.......X...", "hat": "x.X.x.X.x.X.x.X."},
    "funk sixteenths": {
        "kick": "X.x....x..x..x..",
        "snare": "....X..o.o..X..o",
        "hat": "XxxxXxxxXxxxXxxx",
    },
    "funk breaks": {
        "kick": "X.x.......xx....",
        "snare": "....X..o.o.oX...",
        "hat": "X.x.X.x.X.x.X.x.",
    },
    "funk linear": {
        "kick": "X..x..x...x..x..",
        "snare": "....X..o....X.o.",
        "hat": "x.xx.x.xx.xx.xx.",
        "open": "..............x.",
    },
    "songo": {
        "kick": "...x..x....x..x.",
        "snare": "....o..X..o.o..o",
        "cowbell": "X...X...X...X...",
    },
    "cascara": {
        "timbale": "X.x.xx.xX.xx.xx.",
        "kick": "...x..x....x..x.",
        "bell": "X...X...X...X...",
    },
    "reggaeton": {
        "kick": "X...X...X...X...",
        "snare": "...X..X....X..X.",
        "hat": "x.x.x.x.x.x.x.x.",
    },
    "four on the floor": {
        "kick": "X...X...X...X...",
        "clap": "....X.......X...",
        "open": "..X...X...X...X.",
    },
    "techno": {"kick": "X...X...X...X...", "hat": "xxXxxxXxxxXxxxXx", "clap": "............X..."},
    "electro": {
        "kick": "X..x..X.....x...",
        "snare": "....X.......X...",
        "hat": "x.x.x.x.x.x.x.xx",
        "cowbell": "..x..x..x..x....",
    },
    "breakbeat": {
        "kick": "X.X.......XX....",
        "snare": "....X..x.x..X..x",
        "hat": "X.X.X.X.X.X.X.X.",
    },
    "trip": {"kick": "X......x..X.....", "snare": "....X.......X...", "hat": "x.xxx.x.x.xxx.x."},
    "march": {"snare": "X.xoX.xoX.xoXxxo", "kick": "X.......X......."},
    "pulse": {"kick": "X.......o.......", "ride": "....o.......o..."},
}

PERCUSSION: dict[str, Groove] = {
    "tumbao": {
        "mute conga": "X.o.x.o.X.o.x...",
        "open conga": "......x.......XX",
        "low conga": "............x...",
    },
    "bongo martillo": {"high bongo": "X.o.x.o.X.o.x.o.", "low bongo": "............X..."},
    "son clave": {"claves": "X..X..X...X.X...", "maracas": "xxxxxxxxxxxxxxxx"},
    "rumba clave": {"claves": "X..X...X..X.X...", "cabasa": "X.x.X.x.X.x.X.x."},
    "guiro": {"guiro": "X---x.x.X---x.x.", "open conga": "..............XX"},
    "shaker": {"cabasa": "XoxoXoxoXoxoXoxo"},
    "tambourine": {"tambourine": "x.x.X.x.x.x.X.x."},
    "agogo": {"agogo": "X.x..x.x.xX.x.x.", "maracas": "x.x.x.x.x.x.x.x."},
    "nyabinghi": {"low bongo": "X.......X.......", "open conga": "...x.xX....x.xX."},
    "triangle": {"triangle": "X.......x......."},
}

BASS_LINES: dict[str, str] = {
    "eighths": "R-R-R-R-R-R-R-R-",
    "driving": "R-R-R-R-R-R-5-a-",
    "root fifth": "R-------5-------",
    "two feel": "R---....5---..a.",
    "held": "R---------------",
    "walking": "R---3---5---a---",
    "walking up": "R---5---8---a---",
    "walking sixths": "R---3---5---7---",
    "boogie": "R-R-3-3-5-5-7-5-",
    "shuffle": "R..R3..35..57..5",
    "ballad": "R-----R-5-----a-",
    "tumbao": "......5---..8---",
    "bossa": "R-----5-5-----R-",
    "salsa": "...5--8-...5--R-",
    "one drop": "R-..R-3-5---....",
    "roots": "..R-R-5-..8-5-R-",
    "steppers": "R-R-..5-R-3-R...",
    "funk one": "R..R..8.....5.7.",
    "funk octaves": "R.8.R..8..R.8.5.",
    "funk syncopated": "R.....R8..7R..5a",
    "octaves": "R.8.R.8.R.8.R.8.",
    "offbeat": "..R-..R-..R-..R-",
    "acid": "R.R8.R7.R.8R.5R.",
    "sub": "R-----..R--.....",
    "arco": "R-------5---3---",
    "oompah": "R---....5---....",
}

Technique = Literal["block", "strum", "broken"]


@dataclass(frozen=True)
class Comping:
    """A way to play chords.

    Attributes:
        technique: "block" (all tones at once), "strum" (one string after the other) or "broken"
            (tone by tone).
        pattern: the rhythm, of 16 or 32 signs.
        tones: how many tones a chord has.
    """

    technique: Technique
    pattern: str
    tones: int = 3


COMPING: dict[str, Comping] = {
    "held": Comping("block", "X---------------", 4),
    "halves": Comping("block", "X-------x-------", 4),
    "quarters": Comping("block", "X---x---X---x---"),
    "power eighths": Comping("block", "X-x-x-x-X-x-x-x-", 2),
    "power syncopated": Comping("block", "X---X-.x..X-X---", 2),
    "gallop": Comping("block", "X-xxX-xxX-xxX-xx", 2),
    "chug": Comping("block", "X.xx.xx.X.xx.x.x", 2),
    "ska": Comping("block", "..X...X...X...X."),
    "skank": Comping("block", "....X.......X..."),
    "double skank": Comping("block", "....Xx......Xx.."),
    "bubble": Comping("block", "..xx..xx..xx..xx"),
    "charleston": Comping("block", "X-....x-........", 4),
    "swing stabs": Comping("block", "...x-.....X-..x.", 4),
    "freddie green": Comping("block", "x-..X-..x-..X-..", 3),
    "funk scratch": Comping("strum", "..x..X.xx..x.X.x", 4),
    "funk stabs": Comping("block", "X..x......X..x..", 4),
    "clav": Comping("broken", "0.20.3.20.1.30.2", 4),
    "montuno": Comping("broken", "0.2x.3.x.2x.3.x.0.2x.3.x.2.x.3x.", 4),
    "bossa": Comping("strum", "x-.x..x-..x..x..", 4),
    "strum eighths": Comping("strum", "X-x-X-xxX-x-X-xx", 5),
    "strum pop": Comping("strum", "X---x-x-.-x-x-x-", 5),
    "strum waltz": Comping("strum", "b---X---X---X---", 4),
    "oompah": Comping("block", "b-..x-..b-..x-..", 3),
    "travis": Comping("broken", "0-2-1-3-0-2-1-3-", 4),
    "fingerpicked": Comping("broken", "0-1-2-3-2-1-2-1-", 4),
    "alberti": Comping("broken", "0-2-1-2-0-2-1-2-", 3),
    "rolling": Comping("broken", "0123210123213210", 4),
    "arpeggio": Comping("broken", "0-1-2-3-4-3-2-1-", 5),
    "slow arpeggio": Comping("broken", "0---1---2---3---", 4),
    "sequence": Comping("broken", "0.2.1.3.0.2.4.1.", 5),
    "fast sequence": Comping("broken", "0213021302140214", 5),
    "stabs": Comping("block", "X..X..X.........", 3),
    "offbeat chords": Comping("block", "..X-..X-..X-..X-", 3),
    "boogie": Comping("block", "X-.xX-.xX-.xX-.x", 2),
    "tremolo": Comping("block", "X-x-x-x-x-x-x-x-", 3),
}


def steps_in_bar(meter: str) -> int:
    """How many sixteenths a bar of the meter has."""
    return len(METERS[meter])


def bar_of(pattern: str, meter: str, bar: int) -> str:
    """The signs of bar number `bar` of a pattern, one for each sixteenth of the meter."""
    bars = len(pattern) // 16
    offset = 16 * (bar % bars)
    return "".join(pattern[offset + step] for step in METERS[meter])


def events(strokes: str) -> list[tuple[int, int, str]]:
    """The notes of one bar's signs as (first step, length in steps, sign)."""
    notes: list[tuple[int, int, str]] = []
    for step, sign in enumerate(strokes):
        if sign == "-" and notes and sum(notes[-1][:2]) == step:
            first, length, held = notes[-1]
            notes[-1] = (first, length + 1, held)
        elif sign not in ".-":
            notes.append((step, 1, sign))
    return notes
