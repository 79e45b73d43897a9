"""The lead's melody: phrases of four bars, a motif, its repetition, a contrast and a cadence."""

from dataclasses import dataclass

import numpy as np

from .band import Bar, Stroke
from .harmony import scale_pitches
from .instruments import Instrument
from .patterns import BEATS, steps_in_bar
from .plan import pick

CELLS: tuple[tuple[float, tuple[int, ...]], ...] = (
    (0.0, ()),
    (1.0, (0,)),
    (1.0, (2,)),
    (2.0, (0, 2)),
    (2.0, (0, 3)),
    (2.0, (1, 2)),
    (3.0, (0, 2, 3)),
    (3.0, (0, 1, 2)),
    (4.0, (0, 1, 2, 3)),
)
"""Ways to fill a beat: (how many notes, the sixteenths of the beat at which they begin)."""

MOTIFS_OF_PHRASE = (0, 0, 1, 2)
"""Place of the motif in `Lead.motifs` that each of a phrase's four bars uses."""


@dataclass(frozen=True)
class Motif:
    """A bar of melody, without a key.

    Attributes:
        onsets: when each note begins, in steps.
        moves: by how many degrees of the scale each note lies above the one before.
    """

    onsets: tuple[int, ...]
    moves: tuple[int, ...]


def draw_motif(meter: str, notes_a_beat: float, random: np.random.Generator) -> Motif:
    """A motif of about that many notes a beat: mostly steps, now and then a leap."""
    onsets: list[int] = []
    for beat in BEATS[meter]:
        weights = [float(np.exp(-((count - notes_a_beat) ** 2))) for count, _ in CELLS]
        onsets += [
            beat + step
            for step in pick(random, CELLS, weights)[1]
            if beat + step < steps_in_bar(meter)
        ]
    onsets = sorted(set(onsets)) or [0]
    moves = [
        int(pick(random, (-4, -2, -1, 0, 1, 2, 4), (0.6, 2, 4, 1.5, 4, 2, 0.6))) for _ in onsets
    ]
    return Motif(tuple(onsets), tuple(moves))


class Lead:
    """Plays a section's melody bar by bar, carrying on from its last note."""

    def __init__(
        self,
        instrument: Instrument,
        meter: str,
        notes_a_beat: float,
        legato: float,
        random: np.random.Generator,
    ) -> None:
        """Draws the section's motifs.

        Args:
            instrument: plays the melody.
            meter: name in `patterns.METERS`.
            notes_a_beat: about how many notes a beat has.
            legato: share of the time to the next note for which a note sounds.
            random: the generator to draw from.
        """
        self.instrument = instrument
        self.legato = legato
        self.motifs = [draw_motif(meter, notes_a_beat, random) for _ in range(2)]
        cadence = draw_motif(meter, 0.7 * notes_a_beat, random)
        half = steps_in_bar(meter) // 2
        kept = [place for place, onset in enumerate(cadence.onsets) if onset <= half] or [0]
        self.motifs.append(
            Motif(
                tuple(cadence.onsets[place] for place in kept),
                tuple(cadence.moves[place] for place in kept),
            )
        )
        # The melody stays within an octave and a half around the middle of the treble staff, or
        # around the nearest pitch to it that leaves the instrument room.
        centre = min(max(72, instrument.lowest + 9), instrument.highest - 9)
        self.low = max(instrument.lowest, centre - 9)
        self.high = min(instrument.highest, centre + 9)
        self.last = centre

    def play(self, bar: Bar, random: np.random.Generator) -> list[Stroke]:
        """Plays one bar: the motif, sometimes varied, with tones of the chord on strong beats."""
        motif = self.motifs[MOTIFS_OF_PHRASE[bar.number % 4]]
        scale = scale_pitches(bar.tonic, bar.mode, self.low, self.high)
        beats = BEATS[bar.meter]
        is_cadence = bar.number % 4 == 3
        strokes = []
        for place, (onset, move) in enumerate(zip(motif.onsets, motif.moves, strict=True)):
            is_last = place == len(motif.onsets) - 1
            varied = move + int(random.integers(-1, 2)) if random.random() < 0.2 else move
            self.last = self._move(scale, varied)
            if onset in beats[:: max(1, len(beats) // 2)] or (is_cadence and is_last):
                self.last = self._nearest(bar.chord_at(onset).pitch_classes(bar.tonic))
            end = steps_in_bar(bar.meter) if is_last else motif.onsets[place + 1]
            length = max(0.5, (end - onset) * self.legato)
            strokes.append(Stroke(onset, length, self.last, 1.0 if onset in beats else 0.8))
        return strokes

    def _move(self, scale: list[int], degrees: int) -> int:
        """The pitch so many degrees of the scale above the last note.

        Where the range ends before it, the pitch as many degrees in the other direction.
        """
        here = min(range(len(scale)), key=lambda place: abs(scale[place] - self.last))
        goal = here + degrees
        if not 0 <= goal < len(scale):
            goal = here - degrees
        return scale[min(max(goal, 0), len(scale) - 1)]

    def _nearest(self, classes: tuple[int, ...]) -> int:
        """The chord tone nearest to the last note, within the range."""
        tones = [
            pitch
            for pitch in range(self.low, self.high + 1)
            if pitch % 12 in {value % 12 for value in classes}
        ]
        return min(tones, key=lambda pitch: abs(pitch - self.last)) if tones else self.last
