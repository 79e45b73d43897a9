"""Music that the project composes and renders itself, by artists with styles and productions.

Needs no download. A track is an excerpt of a composed piece: a style's harmony, grooves, bass lines
and melodies, played by a band of sampled General-MIDI instruments, with swing and human timing.
Each artist has ten tracks, with favourite styles, instruments and tempos, on two albums; an album
has its own production (equaliser, room, noise, vinyl, level), drawn independently of everything
that is tagged. No artist is in two splits. Every factor is a column of the manifest.

The modules, in the order of the work: `styles`, `patterns`, `harmony` and `instruments` (tables),
`plan` (what each track is to be), `compose` with `band` and `melody` (its notes), `tagging` (its
tags), `render` (its audio), `production` (its sound), `splits`, and `workers` (processes).
"""

import hashlib
import os
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import Field

from bench.data import manifest as contract
from bench.data.manifest import InputError, Manifest, Progress

from . import splits, workers
from .compose import compose
from .plan import TRACKS_PER_ARTIST, TrackPlan, plan_track
from .production import draw_production
from .tagging import TAGS, audible, measure, tags

PAPER = "this project"
COST = "made in under a minute on 2 cores"
HOMEPAGE = ""
LICENCE = "code: MIT; sounds: rendered with TimGM6mb.sf2 (GPL-2), which comes with pretty_midi"
CITATION = "midiband, the embedded data set of pretext-bench"
GENERATED = True

FEWEST_TRACKS = 4 * TRACKS_PER_ARTIST
"""Four artists, the fewest with which each split has one."""

PACKAGES = {
    "numpy": "numpy",
    "pretty_midi": "pretty_midi",
    "soundfile": "soundfile",
    "soxr": "soxr",
    "symusic": "symusic<0.6",
}
"""Package that making the audio needs -> requirement that pip installs it by."""

LIMIT_SECONDS = 30.0
"""Time limit for one track, to which LIMIT_PER_SECOND is added for each second of its audio.

Most tracks need a tenth of a second.
"""
LIMIT_PER_SECOND = 1.0


class Settings(contract.Settings):
    """How much music is made, and which.

    Attributes:
        tracks: how many tracks.
        seconds: length of each track, in seconds.
        seed: each seed gives other music. Track number i of a seed is the same whatever `tracks`
            is.
    """

    tracks: int = Field(600, ge=FEWEST_TRACKS, le=1_000_000)
    seconds: float = Field(10.0, ge=4.0, le=600.0)
    seed: int = Field(0, ge=0, lt=2**63)


Row = dict[str, Any]
TrackMaker = Callable[[int], Row]


def manifest(root: Path, settings: Settings, progress: Progress) -> Manifest:
    """Makes the audio under `root/audio` and returns its manifest.

    Files that the same code made with the same settings are kept, so that a call after a killed
    one makes only what is missing.

    Args:
        root: the data set's folder.
        settings: what is made.
        progress: called with (done, total) tracks.

    Returns:
        The manifest, with a split by artist.

    Raises:
        InputError: a package is missing, or the synthesizer did not return.
    """
    (root / "audio").mkdir(parents=True, exist_ok=True)
    maker = partial(make_track, root, settings, fingerprint(settings))
    rows = render_all(maker, settings, progress)
    tracks = pd.DataFrame(rows)
    return Manifest(
        tracks=splits.assign(tracks, settings.seed),
        tags=TAGS,
        kind="tags",
        split_name="artist",
        notes=(
            f"{settings.tracks} tracks of {settings.seconds:g} s by "
            f"{tracks['artist'].nunique()} artists",
        ),
    )


def render_all(
    maker: TrackMaker, settings: Settings, progress: Progress, processes: int | None = None
) -> list[Row]:
    """Calls `maker` for every track in worker processes.

    Args:
        maker: makes one track from its number and returns its row; picklable.
        settings: give the number of tracks and the time limit.
        progress: called with (done, total) tracks, at the start and after each track.
        processes: how many worker processes; None for one per usable core.

    Returns:
        The rows in the order of the tracks.
    """
    limit_seconds = LIMIT_SECONDS + LIMIT_PER_SECOND * settings.seconds
    rows: dict[int, Row] = {}
    progress(0, settings.tracks)
    finished = workers.run(
        maker,
        list(range(settings.tracks)),
        lambda index: f"track {index} of seed {settings.seed}",
        limit_seconds,
        processes or workers.usable_cores(),
    )
    for index, row in finished:
        rows[index] = row
        progress(len(rows), settings.tracks)
    return [rows[index] for index in range(settings.tracks)]


def fingerprint(settings: Settings) -> str:
    """Digest of everything that a track depends on except its number.

    That is this package's code, the versions of its libraries, the seed and the length.

    Raises:
        InputError: a library is not installed.
    """
    digest = hashlib.sha256(f"{settings.seed}/{settings.seconds!r}".encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    for package, requirement in PACKAGES.items():
        try:
            digest.update(f"{package}={version(package)}".encode())
        except PackageNotFoundError as error:
            raise InputError(
                f"the data set 'midiband' needs the package '{package}': "
                f"pip install '{requirement}'"
            ) from error
    return digest.hexdigest()[:32]


def describe_track(settings: Settings, index: int) -> tuple[Row, Any]:
    """Composes a track without rendering it.

    Returns:
        Its row of the manifest without the split, and its `compose.Piece`.
    """
    piece = compose(plan_track(settings.seed, index), settings.seconds)
    plan, traits = piece.plan, measure(piece)
    artist = f"artist-{plan.artist:04d}"
    row: Row = {
        "track_id": plan.track_id,
        "path": f"audio/{plan.track_id}.flac",
        "tags": list(tags(piece, traits)),
        "group": artist,
        "artist": artist,
        "album": f"{artist}-{plan.album}",
    }
    names = audible(piece)
    production = draw_production(settings.seed, plan.artist, plan.album)
    row |= _factors(plan) | {"instruments": list(names)}
    return row | traits.columns() | production.columns(), piece


def _factors(plan: TrackPlan) -> Row:
    """The columns that describe what the plan decided."""
    return {
        "genre": plan.style,
        "rhythm_genre": plan.rhythm_style,
        "key": plan.key,
        "mode": plan.mode,
        "tempo_bpm": plan.tempo_bpm,
        "meter": plan.meter,
        "swing": plan.swing,
        "energy": plan.energy,
        "progression": plan.progression,
        "band": [f"{seat.role}: {seat.instrument}" for seat in plan.seats],
    }


def make_track(root: Path, settings: Settings, made_by: str, index: int) -> Row:
    """Composes, renders and writes one track; runs in a worker process.

    Args:
        root: the data set's folder.
        settings: the data set's settings.
        made_by: fingerprint that the file carries as its comment; a file that already has it is
            left as it is.
        index: number of the track.

    Returns:
        Its row of the manifest without the split.
    """
    row, piece = describe_track(settings, index)
    path = root / row["path"]
    # Only workers render, so only they load the synthesizer.
    from . import audio

    if not audio.is_made_by(path, made_by):
        production = draw_production(settings.seed, piece.plan.artist, piece.plan.album)
        samples = audio.render_clip(piece, production)
        partial_path = path.with_name(f".{path.stem}.{os.getpid()}.part")
        audio.write(partial_path, samples, made_by)
        partial_path.replace(path)
    return row


__all__ = ["TAGS", "Settings", "manifest"]
