"""Decodes an audio file to mono int16 samples at the store's rate, or says why it cannot."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from bench.data.audio_files import Source, UnreadableError, opened
from bench.data.ending import cut_off

LIBRARIES = f"libsndfile {soundfile.__libsndfile_version__} soxr {soxr.__version__}"
"""The libraries that samples depend on besides the file and this code."""

_SILENT_PEAK = 2.0**-15  # one step of 16 bits, below which nothing is left of a signal


@dataclass(frozen=True)
class Decoded:
    """A decoded file.

    Attributes:
        samples: (frames,) int16, mono.
        gain_db: gain that was applied so that no sample clips, negative; 0 for almost every file.
        lost_seconds: how much longer the file is by its header than what was read. Only for mp3,
            where it proves nothing: a clip cut from a longer file often keeps the header of the
            whole.
    """

    samples: NDArray[np.int16]
    gain_db: float
    lost_seconds: float = 0.0


def decode(path: Path, sample_rate: int) -> Decoded:
    """Reads, mixes to mono (mean of the channels), resamples (soxr, HQ) and quantises to 16 bits.

    Args:
        path: any file that libsndfile reads (wav, flac, ogg, opus, mp3, aiff, au); m4a and aac
            where PyAV is installed.
        sample_rate: of the result, in Hz.

    Raises:
        UnreadableError: the file is missing, not audio, empty, truncated or silent, or has values
            that are not finite.
    """
    _require_content(path)
    mixed = _Mixed()
    try:
        with opened(path) as source:
            parts = list(_resampled(source, sample_rate, mixed))
    except (
        soundfile.LibsndfileError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
        MemoryError,
    ) as error:
        words = str(error).rpartition(": ")[2].rstrip(".") or type(error).__name__
        raise UnreadableError(f"not readable as audio ({words})") from error
    mp3 = path.suffix.lower() == ".mp3"
    _check(path, mixed, 0 if mp3 else source.promised)
    parts = [part for part in parts if len(part)]
    if not parts:
        raise UnreadableError(f"too short ({mixed.frames} frames at {source.rate} Hz)")
    peak = max(max(float(part.max()), -float(part.min())) for part in parts)
    scale = 1.0 if peak <= 1.0 else 1.0 / peak
    samples = np.concatenate([_quantised(part, scale) for part in parts])
    lost = max(0, source.promised - mixed.frames) / source.rate if mp3 else 0.0
    return Decoded(samples, 20 * float(np.log10(scale)) if scale < 1 else 0.0, lost)


def file_status(path: Path) -> os.stat_result | None:
    """Status of a plain file; None where there is none, or where no file can have such a path."""
    try:
        status = path.stat()
    except (OSError, ValueError, RuntimeError):  # also a long name, a NUL in it, a loop of links
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def _require_content(path: Path) -> None:
    """Refuses a file that is missing or empty."""
    status = file_status(path)
    if status is None:
        raise UnreadableError("file not found")
    if status.st_size == 0:
        raise UnreadableError("file is empty (0 bytes)")


@dataclass
class _Mixed:
    """Statistics of the mono signal at the file's own rate.

    Attributes:
        frames: how many samples.
        peak: largest absolute sample.
        not_finite: how many samples are NaN or infinite.
    """

    frames: int = 0
    peak: float = 0.0
    not_finite: int = 0


def _resampled(source: Source, sample_rate: int, mixed: _Mixed) -> Iterator[NDArray[np.float32]]:
    """The mono signal at the store's rate, block by block.

    Bit for bit the same as resampling it as a whole.

    Args:
        source: the file.
        sample_rate: of the result, in Hz.
        mixed: statistics of the signal, which are filled in as it is read.
    """
    stream = soxr.ResampleStream(source.rate, sample_rate, 1, dtype="float32", quality="HQ")
    same = source.rate == sample_rate
    for block in source.blocks:
        mono = _mono(block)
        high, low = float(mono.max()), float(mono.min())
        if not (np.isfinite(high) and np.isfinite(low)):
            mixed.not_finite += int((~np.isfinite(mono)).sum())
        mixed.peak = max(mixed.peak, high, -low)
        mixed.frames += len(mono)
        if not mixed.not_finite:
            yield mono if same else stream.resample_chunk(mono)
    yield (
        np.zeros(0, np.float32)
        if same or mixed.not_finite
        else stream.resample_chunk(np.zeros(0, np.float32), True)
    )


def _quantised(part: NDArray[np.float32], scale: float) -> NDArray[np.int16]:
    """(samples,) times `scale`, in [-1, 1] -> int16; overwrites what it is given."""
    part *= scale * 32767
    return np.rint(part, out=part).astype(np.int16)


def _mono(block: NDArray[np.float32]) -> NDArray[np.float32]:
    """(frames, channels) -> (frames,) the mean of the channels."""
    if block.shape[1] == 1:
        return block[:, 0].copy()  # the next block overwrites this one
    if block.shape[1] == 2:  # the same bits as by numpy's mean, which takes forty times as long
        mixed = block[:, 0] + block[:, 1]
        mixed *= np.float32(0.5)
        return mixed
    mean: NDArray[np.float32] = block.mean(axis=1)
    return mean


def _check(path: Path, mixed: _Mixed, promised: int) -> None:
    """Refuses a signal that is empty, not finite, silent or shorter than its header says.

    Args:
        path: of the file.
        mixed: statistics of the signal.
        promised: frames by its header; 0 where the header cannot be believed.
    """
    if not mixed.frames:
        raise UnreadableError("holds no audio (0 frames)")
    if mixed.not_finite:
        raise UnreadableError(f"{mixed.not_finite} samples are NaN or infinite")
    if mixed.peak < _SILENT_PEAK:
        raise UnreadableError("silent")
    if mixed.frames < promised:
        raise UnreadableError(f"truncated ({mixed.frames} of {promised} frames)")
    if cut_off(path):
        raise UnreadableError("truncated (the file ends before its own end mark)")
