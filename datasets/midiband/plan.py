"""Who plays what: artists with preferences, their albums, and the plan of every track.

Everything here is a function of (seed, index): track 17 has the same plan in a data set of 100
tracks as in one of 1000.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from bench.data.manifest import generator

from .harmony import BRIGHT_MODES, KEYS
from .styles import STYLES, Chair, Style

TRACKS_PER_ARTIST = 10
ALBUMS_PER_ARTIST = 2
STYLE_NAMES = tuple(STYLES)

MAIN_STYLE_SHARE = 0.65
"""Probability that a track is in its artist's main style."""
FUSION_SHARE = 0.2
"""Probability that drums and bass play in the artist's other style."""
FAVOURITE_SHARE = 0.55
"""Probability that a chair has the artist's favourite instrument."""
RHYTHM_ROLES = frozenset({"drums", "percussion", "bass"})
LONGEST_LEAD_IN = 1.5
"""The most seconds of music before a clip, which so begins at any moment of a bar.

Without them each clip would begin on a downbeat, from silence.
"""

Choice = TypeVar("Choice")


@dataclass(frozen=True)
class Artist:
    """An artist's preferences.

    Attributes:
        index: number of the artist.
        style: the main style.
        second_style: the other style that the artist plays, and that is blended with the main one
            in a fusion.
        tempo: preferred place in a style's range of tempos, 0 to 1.
        darkness: taste for modes with a minor third, -1 to 1.
        energy: mean energy of the tracks, 0 to 1.
        rushing: by how much the lead comes before (negative) or after the beat, in seconds.
        favourite: number that picks a favourite instrument for every chair.
    """

    index: int
    style: str
    second_style: str
    tempo: float
    darkness: float
    energy: float
    rushing: float
    favourite: int


@dataclass(frozen=True)
class Seat:
    """A chair of a style's band that is taken.

    Attributes:
        role: see `styles.Role`.
        instrument: name in `instruments.INSTRUMENTS`.
        patterns: up to two names of patterns between which sections alternate; empty for a lead.
        level_db: loudness in the mix in dB, relative to the other stems.
    """

    role: str
    instrument: str
    patterns: tuple[str, ...]
    level_db: float


@dataclass(frozen=True)
class TrackPlan:
    """What a track is to be; its notes follow from this.

    Attributes:
        seed: the data set's seed.
        index: number of the track.
        artist: number of the artist.
        album: number of the artist's album.
        style: the style of harmony, chords and lead.
        rhythm_style: the style of drums, percussion and bass, which is another one in a fusion.
        tonic: pitch class of the key, C = 0.
        mode: name in `harmony.MODES`.
        tempo_bpm: quarter notes a minute.
        meter: name in `patterns.METERS`.
        swing: see `styles.Style`.
        energy: 0 (sparse and soft) to 1 (dense and loud).
        progression: see `harmony.parse_progression`.
        first_bar: the bar of the form at which the music starts.
        lead_in_seconds: how many seconds of the music lie before the clip.
        rushing: the artist's, in seconds.
        seats: the band.
    """

    seed: int
    index: int
    artist: int
    album: int
    style: str
    rhythm_style: str
    tonic: int
    mode: str
    tempo_bpm: float
    meter: str
    swing: float
    energy: float
    progression: str
    first_bar: int
    lead_in_seconds: float
    rushing: float
    seats: tuple[Seat, ...]

    @property
    def track_id(self) -> str:
        """The track's id in the manifest, which its file is named by."""
        return f"midiband-{self.index:06d}"

    @property
    def key(self) -> str:
        """Name of the tonic, such as "Eb"."""
        return KEYS[self.tonic]

    @property
    def genres(self) -> tuple[str, ...]:
        """The track's styles: one, or two in a fusion."""
        return tuple(dict.fromkeys((self.style, self.rhythm_style)))


def pick(
    random: np.random.Generator, choices: Sequence[Choice], weights: Sequence[float] | None = None
) -> Choice:
    """Draws one of the choices, with probabilities in proportion to the weights, or equal ones."""
    shares = np.ones(len(choices)) if weights is None else np.asarray(weights, dtype=float)
    return choices[
        int(np.searchsorted(np.cumsum(shares), random.random() * shares.sum(), side="right"))
    ]


def plan_artist(seed: int, index: int) -> Artist:
    """The artist of that number.

    Among the artists 0 to 9, 10 to 19 and so on (there are ten styles) each style is the main one
    of one artist.
    """
    block, place = divmod(index, len(STYLE_NAMES))
    style = STYLE_NAMES[
        generator(seed, "midiband/styles", block).permutation(len(STYLE_NAMES))[place]
    ]
    random = generator(seed, "midiband/artist", index)
    return Artist(
        index=index,
        style=style,
        second_style=pick(random, [name for name in STYLE_NAMES if name != style]),
        tempo=float(random.beta(1.5, 1.5)),
        darkness=float(random.uniform(-1, 1)),
        energy=float(random.uniform(0.25, 0.75)),
        rushing=float(random.normal(0, 0.008)),
        favourite=int(random.integers(1 << 16)),
    )


def plan_track(seed: int, index: int) -> TrackPlan:
    """The plan of the track of that number."""
    artist = plan_artist(seed, index // TRACKS_PER_ARTIST)
    album = index % TRACKS_PER_ARTIST * ALBUMS_PER_ARTIST // TRACKS_PER_ARTIST
    random = generator(seed, "midiband/track", index)
    names = (artist.style, artist.second_style)
    name, other = names if random.random() < MAIN_STYLE_SHARE else names[::-1]
    rhythm_name = other if random.random() < FUSION_SHARE else name
    style, rhythm = STYLES[name], STYLES[rhythm_name]
    mode = _pick_mode(random, style, artist.darkness)
    meter = (
        "4/4"
        if rhythm is not style
        else pick(random, list(style.meters), list(style.meters.values()))
    )
    energy = float(np.clip(random.normal(artist.energy, 0.2), 0, 1))
    return TrackPlan(
        seed=seed,
        index=index,
        artist=artist.index,
        album=album,
        style=name,
        rhythm_style=rhythm_name,
        tonic=int(random.integers(12)),
        mode=mode,
        tempo_bpm=_pick_tempo(random, rhythm, artist.tempo),
        meter=meter,
        swing=float(random.uniform(*rhythm.swing)) if meter != "6/8" else 0.0,
        energy=energy,
        progression=pick(
            random, style.bright if mode in BRIGHT_MODES or mode == "blues" else style.dark
        ),
        first_bar=int(random.integers(16)),
        lead_in_seconds=float(random.uniform(0.2, LONGEST_LEAD_IN)),
        rushing=artist.rushing,
        seats=_seat_band(random, style, rhythm, artist, energy),
    )


def _pick_mode(random: np.random.Generator, style: Style, darkness: float) -> str:
    """Draws a mode by the style's weights, tilted by the artist's taste."""
    weights = [
        weight * (1 - 0.6 * darkness if mode in BRIGHT_MODES else 1 + 0.6 * darkness)
        for mode, weight in style.modes.items()
    ]
    return pick(random, list(style.modes), weights)


def _pick_tempo(random: np.random.Generator, style: Style, taste: float) -> float:
    """Draws a tempo near the artist's place in the style's range, in quarter notes a minute."""
    low, high = style.tempo
    place = float(np.clip(random.normal(taste, 0.22), 0, 1))
    return round(float(low * (high / low) ** place), 1)


def _seat_band(
    random: np.random.Generator, style: Style, rhythm: Style, artist: Artist, energy: float
) -> tuple[Seat, ...]:
    """Fills the chairs: drums, percussion and bass of one style, the rest of the other.

    The more energy, the fuller the band.
    """
    chairs = [chair for chair in rhythm.chairs if chair.role in RHYTHM_ROLES]
    chairs += [chair for chair in style.chairs if chair.role not in RHYTHM_ROLES]
    seats = []
    for number, chair in enumerate(chairs):
        # A chair that a style nearly always has is taken at every energy; the others come and go
        # with it.
        probability = chair.probability + 0.6 * (energy - 0.5) * (1 - chair.probability)
        if random.random() < probability:
            seats.append(_take_seat(random, chair, artist.favourite + 7 * number))
    if not any(seat.role in ("chords", "pad") for seat in seats):
        seats.append(
            _take_seat(
                random,
                next(chair for chair in style.chairs if chair.role == "chords"),
                artist.favourite,
            )
        )
    return tuple(seats)


def _take_seat(random: np.random.Generator, chair: Chair, favourite: int) -> Seat:
    """Draws the instrument (often the artist's favourite for the chair) and up to two patterns."""
    is_favourite = random.random() < FAVOURITE_SHARE
    drawn = pick(random, chair.instruments)
    instrument = chair.instruments[favourite % len(chair.instruments)] if is_favourite else drawn
    patterns: tuple[str, ...] = ()
    if chair.patterns:
        patterns = tuple(
            chair.patterns[place] for place in random.permutation(len(chair.patterns))[:2]
        )
    return Seat(chair.role, instrument, patterns, chair.level_db + float(random.normal(0, 1.5)))
