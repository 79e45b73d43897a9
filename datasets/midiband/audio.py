"""One track's clip: rendered, produced, and written as FLAC. Imported by worker processes alone."""

import io
from functools import cache
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from .compose import Piece
from .production import Production, produce
from .render import SAMPLE_RATE, Sampler, mix

Audio = NDArray[np.float32]


@cache
def _sampler() -> Sampler:
    """This process's sounds."""
    return Sampler()


def render_clip(piece: Piece, production: Production) -> Audio:
    """The clip of a piece, (samples,) at SAMPLE_RATE.

    The music before the clip is rendered and produced with it, so that the clip begins in the midst
    of notes and their room.
    """
    plan = piece.plan
    whole = produce(mix(_sampler(), piece), SAMPLE_RATE, production, plan.seed, plan.index)
    samples = round(piece.seconds * SAMPLE_RATE)
    return whole[len(whole) - samples :]


def write(path: Path, audio: Audio, made_by: str) -> None:
    """Writes 16-bit FLAC; `made_by` is stored in it as the comment."""
    encoded = io.BytesIO()
    with soundfile.SoundFile(
        encoded, "w", SAMPLE_RATE, channels=1, format="FLAC", subtype="PCM_16"
    ) as file:
        file.comment = made_by
        file.write(audio)
    # libsndfile would turn a full disk into a message without an error number.
    path.write_bytes(encoded.getvalue())


def is_made_by(path: Path, made_by: str) -> bool:
    """Whether the file is there and carries that comment.

    Files get their name only when they are whole.
    """
    try:
        with soundfile.SoundFile(path) as file:
            return bool(file.comment == made_by)
    except (OSError, RuntimeError):
        return False
