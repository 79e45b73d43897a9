"""One track's clip: rendered, produced and written as FLAC. Only worker processes import this."""

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
    """The sampler of this process, made at its first use."""
    return Sampler()


def render_clip(piece: Piece, production: Production) -> Audio:
    """Renders and produces the clip of a piece.

    The music before the clip is rendered and produced with it, so that the clip begins amid
    sounding notes and their reverberation.

    Returns:
        (samples,) float32 at SAMPLE_RATE.
    """
    plan = piece.plan
    whole = produce(mix(_sampler(), piece), SAMPLE_RATE, production, plan.seed, plan.index)
    samples = round(piece.seconds * SAMPLE_RATE)
    return whole[len(whole) - samples :]


def write(path: Path, audio: Audio, made_by: str) -> None:
    """Writes a mono clip as 16-bit FLAC, with `made_by` as the comment in its header."""
    encoded = io.BytesIO()
    with soundfile.SoundFile(
        encoded, "w", SAMPLE_RATE, channels=1, format="FLAC", subtype="PCM_16"
    ) as file:
        file.comment = made_by
        file.write(audio)
    # Written by Python: libsndfile would report a full disk without the system's error number.
    path.write_bytes(encoded.getvalue())


def is_made_by(path: Path, made_by: str) -> bool:
    """Whether the file is there and carries that comment.

    A file that has its final name is whole, so nothing else is looked at.
    """
    try:
        with soundfile.SoundFile(path) as file:
            return bool(file.comment == made_by)
    except (OSError, RuntimeError):
        return False
