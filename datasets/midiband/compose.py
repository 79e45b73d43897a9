"""From a plan to notes: the form, who plays when, and the human side of timing and loudness."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bench.data.manifest import generator

from .band import Bar, Stroke, play_bass, play_chords, play_drums, play_percussion
from .harmony import parse_progression
from .instruments import INSTRUMENTS
from .melody import Lead
from .patterns import STEPS_PER_QUARTER, steps_in_bar
from .plan import RHYTHM_ROLES, Seat, TrackPlan
from .styles import STYLES

BARS_A_SECTION = 8
REST_SHARES = {
    "lead": 0.3,
    "riff": 0.3,
    "pad": 0.15,
    "percussion": 0.15,
    "drums": 0.06,
    "bass": 0.06,
    "chords": 0.0,
}
"""How often a role is silent for a section of the form."""
SMALL_BAND = 3
"""Nobody rests in a band of so many or fewer."""


class Note(NamedTuple):
    """A note to sound: start and length in seconds, MIDI pitch, velocity above 0 and up to 1."""

    start: float
    length: float
    pitch: int
    velocity: float


@dataclass(frozen=True)
class Part:
    """What one seat plays."""

    seat: Seat
    notes: tuple[Note, ...]


@dataclass(frozen=True)
class Piece:
    """A composed track: its plan, its parts, and the length of the clip (seconds) cut out after the plan's lead-in."""

    plan: TrackPlan
    parts: tuple[Part, ...]
    seconds: float


def compose(plan: TrackPlan, seconds: float) -> Piece:
    """All notes of a track that start before the clip of that length ends."""
    bars = _write_form(plan, plan.lead_in_seconds + seconds)
    # A small band plays together, and in a large one a harmony seat goes on, so no section is
    # empty.
    keeper = "chords" if any(seat.role == "chords" for seat in plan.seats) else "pad"
    is_small = len(plan.seats) <= SMALL_BAND
    parts = tuple(
        Part(
            seat, _play_seat(plan, seat, bars, number, never_rests=is_small or seat.role == keeper)
        )
        for number, seat in enumerate(plan.seats)
    )
    return Piece(plan, parts, seconds)


def _write_form(plan: TrackPlan, seconds: float) -> list[Bar]:
    """The bars that cover so many seconds, from the plan's first one on."""
    progression = parse_progression(plan.progression)
    steps = steps_in_bar(plan.meter)
    seconds_a_bar = steps * _seconds_a_step(plan)
    bars = []
    for number in range(plan.first_bar, plan.first_bar + int(np.ceil(seconds / seconds_a_bar)) + 1):
        chords = progression[number % len(progression)]
        starts = [round(place * steps / len(chords) / 2) * 2 for place in range(len(chords))]
        following = progression[(number + 1) % len(progression)][0]
        bars.append(
            Bar(
                number,
                plan.meter,
                tuple(zip(starts, chords, strict=True)),
                following,
                plan.tonic,
                plan.mode,
            )
        )
    return bars


def _seconds_a_step(plan: TrackPlan) -> float:
    """How long a sixteenth lasts."""
    return 60 / plan.tempo_bpm / STEPS_PER_QUARTER


def _play_seat(
    plan: TrackPlan, seat: Seat, bars: list[Bar], number: int, never_rests: bool
) -> tuple[Note, ...]:
    """A seat's notes.

    Each (seat, section) has its own random numbers, so a longer clip starts like a shorter one.
    """
    notes: list[Note] = []
    voicing: list[int] = []
    sections = range(bars[0].number // BARS_A_SECTION, bars[-1].number // BARS_A_SECTION + 1)
    for section in sections:
        random = generator(plan.seed, f"midiband/notes/{plan.index}/{number}", section)
        rests = random.random() < REST_SHARES[seat.role] and not never_rests
        pattern = (
            seat.patterns[int(random.random() < 0.35) % len(seat.patterns)] if seat.patterns else ""
        )
        style = STYLES[plan.rhythm_style if seat.role in RHYTHM_ROLES else plan.style]
        instrument = INSTRUMENTS[seat.instrument]
        density = style.melody[0] * (0.7 + 0.6 * plan.energy)
        lead = (
            Lead(instrument, plan.meter, density, style.melody[1], random)
            if seat.role == "lead"
            else None
        )
        for bar in bars:
            if bar.number // BARS_A_SECTION != section:
                continue
            strokes, voicing = _play_bar(plan, seat, bar, pattern, lead, voicing, random)
            performed = _perform(
                plan, seat, bar, (bar.number - bars[0].number), strokes, style.looseness, random
            )
            notes += [] if rests else performed
    return tuple(notes)


def _play_bar(
    plan: TrackPlan,
    seat: Seat,
    bar: Bar,
    pattern: str,
    lead: Lead | None,
    voicing: list[int],
    random: np.random.Generator,
) -> tuple[list[Stroke], list[int]]:
    """A bar's strokes by the seat's role, and the chord voicing to carry on from."""
    instrument = INSTRUMENTS[seat.instrument]
    if lead is not None:
        return lead.play(bar, random), voicing
    if seat.role == "drums":
        return play_drums(bar, pattern, plan.energy, random), voicing
    if seat.role == "percussion":
        return play_percussion(bar, pattern, plan.energy, random), voicing
    if seat.role == "bass":
        return play_bass(bar, pattern, instrument, random), voicing
    is_power = seat.instrument in ("distorted guitar", "overdriven guitar")
    return play_chords(bar, pattern, instrument, is_power, plan.energy, voicing, random)


def _perform(
    plan: TrackPlan,
    seat: Seat,
    bar: Bar,
    bars_before: int,
    strokes: list[Stroke],
    looseness: float,
    random: np.random.Generator,
) -> list[Note]:
    """Gives strokes their time (swing, looseness, the artist's rushing) and their loudness (accent, phrase, energy)."""
    step_seconds = _seconds_a_step(plan)
    bar_start = bars_before * steps_in_bar(plan.meter) * step_seconds
    # A phrase swells to its third bar and falls away again.
    arch = 1.0 - 0.08 * abs(bar.number % 4 - 2)
    push = plan.rushing if seat.role == "lead" else 0.0
    jitter = random.normal(0, 1, (len(strokes), 2))
    notes = []
    for stroke, (late, loud) in zip(strokes, jitter, strict=True):
        start = (
            bar_start + _swing(stroke.step, plan) * step_seconds + push + looseness * float(late)
        )
        velocity = stroke.accent * arch * (0.6 + 0.35 * plan.energy) * (1 + 0.08 * float(loud))
        length = max(0.05, stroke.length * step_seconds)
        notes.append(Note(max(0.0, start), length, stroke.pitch, min(max(velocity, 0.05), 1.0)))
    return notes


def _swing(step: float, plan: TrackPlan) -> float:
    """Where a step falls when the first of each pair is longer by the plan's swing."""
    pair = 2 * STYLES[plan.rhythm_style].swung
    place = step % pair
    first = pair * (0.5 + plan.swing)
    half = pair / 2
    moved = place * first / half if place < half else first + (place - half) * (pair - first) / half
    return step - place + moved
