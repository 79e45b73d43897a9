"""Tags of a clip: genres of the plan, instruments that sound, moods by thresholds on its traits.

Names follow MTG-Jamendo: `family---tag`. The production is not looked at.
"""

from dataclasses import asdict, dataclass

import numpy as np

from .compose import Note, Piece
from .harmony import BRIGHT_MODES, DARK_MODES
from .instruments import FAMILIES, INSTRUMENTS
from .patterns import STEPS_PER_QUARTER
from .plan import STYLE_NAMES

MOODS = ("calm", "dark", "dream", "energetic", "epic", "groovy", "happy", "melancholic")

TAGS = (
    *(f"genre---{name}" for name in sorted(STYLE_NAMES)),
    *(f"instrument---{name}" for name in FAMILIES),
    *(f"mood/theme---{name}" for name in MOODS),
)
"""Every tag, in the order of a model's outputs."""

AUDIBLE_SHARE = 0.2
"""An instrument is tagged if it sounds in at least this share of the clip's whole seconds."""


@dataclass(frozen=True)
class Traits:
    """What is heard in a clip, in numbers; all are columns of the manifest.

    Attributes:
        onsets_a_second: onsets of all parts together; those in one 30 ms bin count once.
        drum_strokes_a_second: strokes of drums and percussion.
        dynamics: mean velocity, 0 to 1.
        register: mean pitch of the tuned notes, weighted by their length (MIDI number).
        held_seconds: mean length of the tuned notes.
        syncopation: share of the onsets that lie off the grid of eighths, 0 to 1.
        parts: how many instruments sound.
    """

    onsets_a_second: float
    drum_strokes_a_second: float
    dynamics: float
    register: float
    held_seconds: float
    syncopation: float
    parts: int

    def columns(self) -> dict[str, float]:
        """Name of each trait -> its number."""
        return asdict(self)


def clip_notes(piece: Piece) -> dict[int, list[Note]]:
    """Place of each part in the piece -> its notes that sound in the clip."""
    start = piece.plan.lead_in_seconds
    end = start + piece.seconds
    return {
        place: [
            note for note in part.notes if note.start + note.length > start and note.start < end
        ]
        for place, part in enumerate(piece.parts)
    }


def audible(piece: Piece) -> tuple[str, ...]:
    """Names of the instruments that sound for long enough in the clip, in the seats' order."""
    start = piece.plan.lead_in_seconds
    names = []
    for place, notes in clip_notes(piece).items():
        sounding: set[int] = set()
        for note in notes:
            first = max(note.start - start, 0)
            last = min(note.start + note.length - start, piece.seconds)
            sounding.update(range(int(first), int(np.ceil(last))))
        if len(sounding) >= AUDIBLE_SHARE * piece.seconds:
            names.append(piece.parts[place].seat.instrument)
    return tuple(dict.fromkeys(names))


def measure(piece: Piece) -> Traits:
    """Measures the clip's traits."""
    kits: list[Note] = []
    tuned: list[Note] = []
    for place, notes in clip_notes(piece).items():
        is_kit = INSTRUMENTS[piece.parts[place].seat.instrument].is_kit
        (kits if is_kit else tuned).extend(notes)
    lengths = np.array([note.length for note in tuned])
    starts = np.array([note.start for note in kits + tuned])
    eighth = 60 / piece.plan.tempo_bpm / 2
    # An onset within 0.35 of an eighth counts as on the grid, so that swing and loose timing are
    # not taken for syncopation.
    off_grid = np.abs((starts / eighth + 0.5) % 1 - 0.5) > 1 / STEPS_PER_QUARTER * 1.4
    return Traits(
        onsets_a_second=len({round(start / 0.03) for start in starts}) / piece.seconds,
        drum_strokes_a_second=len(kits) / piece.seconds,
        dynamics=float(np.mean([note.velocity for note in kits + tuned])),
        register=float(np.average([note.pitch for note in tuned], weights=lengths)),
        held_seconds=float(lengths.mean()),
        syncopation=float(off_grid.mean()),
        parts=len(audible(piece)),
    )


def moods(piece: Piece, traits: Traits) -> tuple[str, ...]:
    """The moods whose conditions the clip meets."""
    plan = piece.plan
    families = {INSTRUMENTS[name].family for name in audible(piece)}
    is_bright, is_dark = plan.mode in BRIGHT_MODES, plan.mode in DARK_MODES
    conditions = {
        "calm": traits.onsets_a_second < 5.0 and traits.drum_strokes_a_second < 4.0,
        "dark": is_dark and traits.register < 58,
        "dream": traits.held_seconds > 0.8,
        "energetic": traits.onsets_a_second > 8.5 and traits.drum_strokes_a_second > 6.0,
        "epic": traits.parts >= 4 and bool(families & {"strings", "brass", "voice"}),
        "groovy": traits.drum_strokes_a_second > 4.0 and traits.syncopation > 0.28,
        "happy": is_bright and plan.tempo_bpm >= 104,
        "melancholic": is_dark and plan.tempo_bpm < 104,
    }
    return tuple(name for name in MOODS if conditions[name])


def tags(piece: Piece, traits: Traits) -> tuple[str, ...]:
    """The clip's tags, in the order of TAGS."""
    families = {INSTRUMENTS[name].family for name in audible(piece)}
    names = {f"genre---{name}" for name in piece.plan.genres}
    names |= {f"instrument---{name}" for name in families}
    names |= {f"mood/theme---{name}" for name in moods(piece, traits)}
    return tuple(tag for tag in TAGS if tag in names)
