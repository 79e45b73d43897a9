"""From a track's plan to its notes: the form, who plays when, human timing and loudness."""

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
"""Role -> probability that it is silent for a section of the form."""
SMALL_BAND = 3
"""In a band of at most so many seats nobody is silent for a section."""


class Note(NamedTuple):
    """A note to sound.

    Attributes:
        start: in seconds from the start of the music.
        length: in seconds.
        pitch: MIDI number.
        velocity: loudness, above 0 and up to 1.
    """

    start: float
    length: float
    pitch: int
    velocity: float


@dataclass(frozen=True)
class Part:
    """One seat of the band, and the notes that it plays."""

    seat: Seat
    notes: tuple[Note, ...]


@dataclass(frozen=True)
class Piece:
    """A composed track.

    Attributes:
        plan: what the track was to be.
        parts: one for each seat of the band.
        seconds: length of the clip, which begins after the plan's lead-in.
    """

    plan: TrackPlan
    parts: tuple[Part, ...]
    seconds: float


def compose(plan: TrackPlan, seconds: float) -> Piece:
    """All notes of a track that start before its clip, of that many seconds, ends."""
    bars = _write_form(plan, plan.lead_in_seconds + seconds)
    # So that no section is empty, a small band plays all the time, and so does the seat of a larger
    # one that plays the chords.
    keeper = "chords" if any(seat.role == "chords" for seat in plan.seats) else "pad"
    is_small = len(plan.seats) <= SMALL_BAND
    parts = []
    for number, seat in enumerate(plan.seats):
        never_rests = is_small or seat.role == keeper
        parts.append(Part(seat, _play_seat(plan, seat, bars, number, never_rests)))
    return Piece(plan, tuple(parts), seconds)


def _write_form(plan: TrackPlan, seconds: float) -> list[Bar]:
    """The bars that cover so many seconds, from the plan's first bar on."""
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
    """The notes of the seat of that number.

    Each (seat, section) has its own random numbers, so that a longer clip starts like a shorter
    one.
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
            bars_before = bar.number - bars[0].number
            performed = _perform(plan, seat, bar, bars_before, strokes, style.looseness, random)
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
    """A bar's strokes, by the seat's role, and the pitches of the last chord to go on from."""
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
    """Gives a bar's strokes their time in seconds and their loudness.

    The time follows swing, looseness and the artist's rushing; the loudness accent, phrase and
    energy.
    """
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
    """The place of a step, in steps, when the first note of each pair is longer by the swing."""
    pair = 2 * STYLES[plan.rhythm_style].swung
    place = step % pair
    first = pair * (0.5 + plan.swing)
    half = pair / 2
    moved = place * first / half if place < half else first + (place - half) * (pair - first) / half
    return step - place + moved
