"""Tags: genre from the plan, instruments from what sounds in the clip, moods from thresholds on what is heard.

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
"""An instrument is tagged if it sounds in at least this share of the clip's seconds."""


@dataclass(frozen=True)
class Traits:
    """What is heard in a clip, in numbers; all are columns of the manifest.

    Attributes:
        onsets_a_second: different onsets (to 30 ms) of all parts together.
        drum_strokes_a_second: strokes of drums and percussion.
        dynamics: mean velocity, 0 to 1.
        register: mean pitch of the tuned parts, weighted by length (MIDI number).
        held_seconds: mean length of the tuned notes.
        syncopation: share of onsets off the eighths' grid, 0 to 1.
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
        """The numbers by their names."""
        return asdict(self)


def clip_notes(piece: Piece) -> dict[int, list[Note]]:
    """For every part (by its place), the notes that sound in the clip."""
    start = piece.plan.lead_in_seconds
    end = start + piece.seconds
    return {
        place: [
            note for note in part.notes if note.start + note.length > start and note.start < end
        ]
        for place, part in enumerate(piece.parts)
    }


def audible(piece: Piece) -> tuple[str, ...]:
    """Names of the instruments that sound in enough of the clip's seconds, in the order of the seats."""
    start = piece.plan.lead_in_seconds
    names = []
    for place, notes in clip_notes(piece).items():
        sounding: set[int] = set()
        for note in notes:
            first, last = (
                max(note.start - start, 0),
                min(note.start + note.length - start, piece.seconds),
            )
            sounding.update(range(int(first), int(np.ceil(last))))
        if len(sounding) >= AUDIBLE_SHARE * piece.seconds:
            names.append(piece.parts[place].seat.instrument)
    return tuple(dict.fromkeys(names))


def measure(piece: Piece) -> Traits:
    """The clip's traits."""
    notes = clip_notes(piece)
    kits = [
        note
        for place, each in notes.items()
        if INSTRUMENTS[piece.parts[place].seat.instrument].is_kit
        for note in each
    ]
    tuned = [
        note
        for place, each in notes.items()
        if not INSTRUMENTS[piece.parts[place].seat.instrument].is_kit
        for note in each
    ]
    lengths = np.array([note.length for note in tuned])
    starts = np.array([note.start for note in kits + tuned])
    eighth = 60 / piece.plan.tempo_bpm / 2
    # Half a sixteenth on either side of an eighth counts as on it, so swing and looseness do not
    # make syncopation.
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
    found = {f"genre---{name}" for name in piece.plan.genres}
    found |= {f"instrument---{name}" for name in families}
    found |= {f"mood/theme---{name}" for name in moods(piece, traits)}
    return tuple(tag for tag in TAGS if tag in found)
