"""One audio file to mono int16 samples at the store's rate, or the reason why not."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

_SILENT_PEAK = 2.0**-15  # below one step of 16 bits nothing is left of the signal
_OPEN_ENDED = 0xFFFFFFFF  # the length that a streamed WAV carries in place of a true one


class UnreadableError(Exception):
    """The file is left out; the message is the reason, in a few words."""


@dataclass(frozen=True)
class Decoded:
    """A decoded file.

    Attributes:
        samples: (frames,) int16, mono.
        gain_db: what the level was lowered by so that no sample clips; 0 for almost every file.
    """

    samples: NDArray[np.int16]
    gain_db: float


def decode(path: Path, sample_rate: int) -> Decoded:
    """Reads, mixes to mono (mean of the channels), resamples (soxr, HQ) and quantises to 16 bits.

    Args:
        path: any file that libsndfile reads (wav, flac, ogg, opus, mp3, aiff, au).
        sample_rate: of the result, in Hz.

    Raises:
        UnreadableError: not there, not audio, empty, truncated, silent, or holds values that are not finite.
    """
    status = file_status(path)
    if status is None:
        raise UnreadableError("file not found")
    if status.st_size == 0:
        raise UnreadableError("file is empty (0 bytes)")
    try:
        with soundfile.SoundFile(path) as file:
            promised, rate = file.frames, file.samplerate
            channels = file.read(dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise UnreadableError(f"not readable as audio ({str(error).rpartition(': ')[2].rstrip('.')})") from error
    mono = channels.mean(axis=1) if len(channels) else np.zeros(0, np.float32)
    _check(path, mono, promised)
    resampled = soxr.resample(mono, rate, sample_rate, quality="HQ") if rate != sample_rate else mono
    if not len(resampled):
        raise UnreadableError(f"too short ({len(mono)} frames at {rate} Hz)")
    peak = float(np.abs(resampled).max())
    scale = 1.0 if peak <= 1.0 else 1.0 / peak
    samples = np.round(resampled * (scale * 32767)).astype(np.int16)
    return Decoded(samples, 20 * float(np.log10(scale)) if scale < 1 else 0.0)


def file_status(path: Path) -> os.stat_result | None:
    """Size and time of a file; None where there is none, or where the path can be no file's."""
    try:
        status = path.stat()
    except (OSError, ValueError, RuntimeError):  # too long a name, a NUL in it, a loop of links
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def _check(path: Path, mono: NDArray[np.float32], promised: int) -> None:
    if not len(mono):
        raise UnreadableError("holds no audio (0 frames)")
    if not np.isfinite(mono).all():
        raise UnreadableError(f"{int((~np.isfinite(mono)).sum())} samples are NaN or infinite")
    if np.abs(mono).max() < _SILENT_PEAK:
        raise UnreadableError("silent")
    if len(mono) < promised and path.suffix.lower() != ".mp3":  # headers of VBR mp3s often promise too much
        raise UnreadableError(f"truncated ({len(mono)} of {promised} frames)")
    if _cut_off(path):
        raise UnreadableError("truncated (the file ends before its own end mark)")


def _cut_off(path: Path) -> bool:
    """Whether a WAV, AIFF, AU or Ogg file ends early. libsndfile reads such files without a word."""
    with open(path, "rb") as file:
        head = file.read(12)
        size = path.stat().st_size
        if head[:4] == b"RIFF" and head[8:] == b"WAVE":
            while len(chunk := file.read(8)) == 8:
                length = int.from_bytes(chunk[4:], "little")
                if chunk[:4] == b"data":
                    return length not in (0, _OPEN_ENDED) and file.tell() + length > size
                file.seek(length + length % 2, 1)
        if head[:4] == b"FORM":
            return int.from_bytes(head[4:8], "big") + 8 > size
        if head[:4] == b".snd":
            length = int.from_bytes(head[8:12], "big")
            return length != _OPEN_ENDED and int.from_bytes(head[4:8], "big") + length > size
        if head[:4] == b"OggS":
            # RFC 3533: a page is at most 65 307 bytes; bit 2 of the sixth byte marks the last page of a stream.
            file.seek(max(0, size - 65_307))
            tail = file.read()
            page = tail.rfind(b"OggS")
            return page < 0 or not _whole_last_page(tail[page:])
    return False


def _whole_last_page(page: bytes) -> bool:
    if len(page) < 27 or not page[5] & 4:
        return False
    segments = page[26]
    return len(page) >= 27 + segments + sum(page[27 : 27 + segments])
