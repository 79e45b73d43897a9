"""The instruments: General-MIDI program, natural range, and the family that is the tag."""

from dataclasses import dataclass

HIGHEST_PITCH = 96
"""No note lies above this MIDI number.

At 44.1 kHz the synthesizer never returns from some notes of 101 and above (see `render`).
"""


@dataclass(frozen=True)
class Instrument:
    """One playable sound.

    Attributes:
        program: the General-MIDI program, or the number of the drum kit.
        family: the tag that it gives a track, without "instrument---".
        lowest: lowest note of the natural range (MIDI number).
        highest: highest note of the natural range (MIDI number), at most HIGHEST_PITCH.
        is_kit: whether the notes are drums, and `program` a drum kit.
        sustains: whether a held note keeps sounding, as an organ's does and a piano's does not.
    """

    program: int
    family: str
    lowest: int
    highest: int
    is_kit: bool = False
    sustains: bool = False


def _kit(program: int, family: str) -> Instrument:
    """A drum kit: its keys 35 to 81 are the General-MIDI percussion map."""
    return Instrument(program, family, 35, 81, is_kit=True)


INSTRUMENTS: dict[str, Instrument] = {
    "grand piano": Instrument(0, "piano", 28, 96),
    "bright piano": Instrument(1, "piano", 28, 96),
    "tine piano": Instrument(4, "electricpiano", 36, 88),
    "fm piano": Instrument(5, "electricpiano", 36, 88),
    "drawbar organ": Instrument(16, "organ", 36, 88, sustains=True),
    "percussive organ": Instrument(17, "organ", 36, 88, sustains=True),
    "rock organ": Instrument(18, "organ", 36, 88, sustains=True),
    "church organ": Instrument(19, "organ", 36, 88, sustains=True),
    "nylon guitar": Instrument(24, "acousticguitar", 40, 83),
    "steel guitar": Instrument(25, "acousticguitar", 40, 84),
    "jazz guitar": Instrument(26, "electricguitar", 40, 84),
    "clean guitar": Instrument(27, "electricguitar", 40, 86),
    "muted guitar": Instrument(28, "electricguitar", 40, 80),
    "overdriven guitar": Instrument(29, "electricguitar", 40, 86, sustains=True),
    "distorted guitar": Instrument(30, "electricguitar", 40, 86, sustains=True),
    "double bass": Instrument(32, "doublebass", 28, 62),
    "fingered bass": Instrument(33, "bass", 28, 62),
    "picked bass": Instrument(34, "bass", 28, 62),
    "fretless bass": Instrument(35, "bass", 28, 62),
    "slap bass": Instrument(36, "bass", 28, 62),
    "synth bass": Instrument(38, "synthesizer", 28, 62, sustains=True),
    "rubber bass": Instrument(39, "synthesizer", 28, 62, sustains=True),
    "violin": Instrument(40, "strings", 55, 96, sustains=True),
    "cello": Instrument(42, "strings", 36, 76, sustains=True),
    "pizzicato strings": Instrument(45, "strings", 40, 86),
    "string ensemble": Instrument(48, "strings", 36, 91, sustains=True),
    "slow strings": Instrument(49, "strings", 36, 91, sustains=True),
    "fiddle": Instrument(110, "strings", 55, 93, sustains=True),
    "choir": Instrument(52, "voice", 48, 79, sustains=True),
    "oohs": Instrument(53, "voice", 48, 79, sustains=True),
    "trumpet": Instrument(56, "brass", 54, 84, sustains=True),
    "muted trumpet": Instrument(59, "brass", 54, 84, sustains=True),
    "trombone": Instrument(57, "brass", 40, 72, sustains=True),
    "french horn": Instrument(60, "brass", 41, 77, sustains=True),
    "brass section": Instrument(61, "brass", 43, 84, sustains=True),
    "soprano sax": Instrument(64, "saxophone", 56, 87, sustains=True),
    # The alto saxophone's sample for the keys 49 to 64 has silent ones.
    "alto sax": Instrument(65, "saxophone", 65, 82, sustains=True),
    "tenor sax": Instrument(66, "saxophone", 44, 75, sustains=True),
    "flute": Instrument(73, "flute", 60, 96, sustains=True),
    "recorder": Instrument(74, "flute", 65, 93, sustains=True),
    "pan flute": Instrument(75, "flute", 60, 91, sustains=True),
    "square lead": Instrument(80, "synthesizer", 48, 91, sustains=True),
    "saw lead": Instrument(81, "synthesizer", 48, 91, sustains=True),
    "poly synth": Instrument(90, "synthesizer", 43, 91, sustains=True),
    "warm pad": Instrument(89, "synthesizer", 40, 86, sustains=True),
    "halo pad": Instrument(94, "synthesizer", 40, 86, sustains=True),
    "sweep pad": Instrument(95, "synthesizer", 40, 86, sustains=True),
    "standard kit": _kit(0, "drums"),
    "room kit": _kit(8, "drums"),
    "power kit": _kit(16, "drums"),
    "brush kit": _kit(40, "drums"),
    "electronic kit": _kit(24, "drummachine"),
    "808 kit": _kit(25, "drummachine"),
    "hand percussion": _kit(0, "percussion"),
}

FAMILIES = tuple(sorted({instrument.family for instrument in INSTRUMENTS.values()}))
