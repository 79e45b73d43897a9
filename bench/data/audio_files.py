"""Reads audio files as blocks of float32: libsndfile's formats, and AAC where PyAV is installed."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

# Frames read at once: they stay in the cache, and a long recording is never in memory as a whole at
# its own sample rate and number of channels.
_BLOCK = 2**16
_PADDING_SECONDS = 0.5  # the most that an encoder's padding in an MP4 takes
_TAIL_BYTES = 2**16  # at the end of an mp3, where tags may lie
_UNKNOWN = 2**62  # frames; libsndfile gives this or more for a stream of unknown length
_BY_AV = (".m4a", ".aac", ".mp4", ".m4b")


class UnreadableError(Exception):
    """A file that cannot be used and is left out; the message is the reason, in a few words."""


@dataclass(frozen=True)
class Source:
    """An opened audio file.

    Attributes:
        promised: how many frames its header says it has; 0 where the header says nothing.
        rate: sample rate in Hz.
        blocks: its content, in blocks of (frames, channels); the next block overwrites the last.
    """

    promised: int
    rate: int
    blocks: Iterator[NDArray[np.float32]]


def promised_seconds(path: Path) -> float | None:
    """A file's length in seconds, by its header; None where only decoding could tell."""
    try:
        if path.suffix.lower() in _BY_AV:
            with _opened_by_av(path) as source:
                return source.promised / source.rate
        about = soundfile.info(path)
        return float(about.frames / about.samplerate)
    except (
        UnreadableError,
        soundfile.LibsndfileError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
    ):
        return None


@contextmanager
def opened(path: Path) -> Iterator[Source]:
    """Opens a file to be read from beginning to end.

    Raises:
        UnreadableError: it is of a format that needs PyAV, which is not installed or cannot read
            it. Files of other formats raise libsndfile's own errors.
    """
    if path.suffix.lower() in _BY_AV:
        with _opened_by_av(path) as source:
            yield source
        return
    with _Forward(path) as file:
        if file.format != "MP3":
            yield Source(_promised(file), file.samplerate, _blocks(file))
            return
    with _opened_mp3(path) as source:
        yield source


@contextmanager
def _opened_mp3(path: Path) -> Iterator[Source]:
    """Opens an mp3 so that all of it is read.

    For one without a header, libsndfile guesses the length from the file's size and first frame,
    and stops there: with a variable bit rate that can be half of the file.
    """
    with open(path, "rb") as raw:
        try:
            file = _Forward(raw.fileno(), closefd=False)
        except soundfile.LibsndfileError:
            # Its content does not begin like an mp3; by its name libsndfile knows that it is one.
            file = _Forward(path)
        with file:
            promised = _promised(file) if _tells_length(path) else 0
            yield Source(promised, file.samplerate, _mp3_blocks(file, raw.fileno(), path))


def _tells_length(path: Path) -> bool:
    """Whether an mp3's first frame, after any ID3 tag, is the header that counts its frames."""
    with open(path, "rb") as file:
        head = file.read(10)
        if head[:3] == b"ID3":  # its size is written in bytes of seven bits
            size = int.from_bytes(head[6:10], "big")
            file.seek(10 + sum((size >> 8 * place & 127) << 7 * place for place in range(4)))
        else:
            file.seek(0)
        first = file.read(64)
    return any(name in first for name in (b"Xing", b"Info", b"VBRI"))


def _mp3_blocks(file: Any, descriptor: int, path: Path) -> Iterator[NDArray[np.float32]]:
    """The blocks of an mp3, and those after the point where libsndfile stopped too early."""
    frames = 0
    for block in _blocks(file):
        frames += len(block)
        yield block
    if 0 < os.lseek(descriptor, 0, os.SEEK_CUR) < os.fstat(descriptor).st_size - _TAIL_BYTES:
        yield from _beyond(path, frames)


def _beyond(path: Path, frames: int) -> Iterator[NDArray[np.float32]]:
    """The blocks of an mp3 after its first `frames`.

    It is read through a pipe, whose size libsndfile does not know, so that it does not guess the
    length.
    """
    out, into = os.pipe()
    failed: list[OSError] = []
    feeder = Thread(target=_feed, args=(path, into, failed))
    feeder.start()
    try:
        with suppress(soundfile.LibsndfileError), _Forward(out, closefd=False) as file:
            for block in _blocks(file) if file.frames >= _UNKNOWN else ():
                if len(block) > frames:
                    yield block[frames:]
                frames = max(0, frames - len(block))
    finally:
        os.close(out)  # ends a feeder that is still writing, with a BrokenPipeError
        feeder.join()
    if failed:
        raise failed[0]


def _promised(file: Any) -> int:
    """Frames of a file by its header; 0 where they are not known."""
    return int(file.frames) if file.frames < _UNKNOWN else 0


def _feed(path: Path, into: int, failed: list[OSError]) -> None:
    """Copies a file into a pipe, in its own thread; an error of the disk goes into `failed`."""
    try:
        with suppress(BrokenPipeError), open(into, "wb") as pipe, open(path, "rb") as file:
            shutil.copyfileobj(file, pipe, 2**16)
    except OSError as error:  # a disk that cannot be read must not look like the end of the file
        failed.append(error)


class _Forward(soundfile.SoundFile):  # type: ignore[misc]
    """A file that is read from beginning to end only.

    Where a file is seekable, soundfile seeks after each read, which changes the samples of an mp3.
    """

    def seekable(self) -> bool:
        return False


def _blocks(file: Any) -> Iterator[NDArray[np.float32]]:
    # No more than the file's own length, so that a short file costs little memory.
    buffer = np.empty((max(1, min(_BLOCK, file.frames)), file.channels), np.float32)
    while len(block := file.read(out=buffer)):
        yield block


@contextmanager
def _opened_by_av(path: Path) -> Iterator[Source]:
    """Opens a file of a format that libsndfile cannot read (AAC)."""
    try:
        import av  # type: ignore[import-not-found, unused-ignore]
    except ImportError as error:
        raise UnreadableError(
            f"{path.suffix.lower()} needs PyAV: pip install 'pretext-bench[m4a]'"
        ) from error
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            if not container.streams.audio:
                raise UnreadableError("holds no audio stream")
            stream = container.streams.audio[0]
            to_float = av.AudioResampler(format="fltp")
            frames = (
                part for frame in container.decode(stream) for part in to_float.resample(frame)
            )
            yield Source(
                _tabled(path, stream), stream.rate, (frame.to_ndarray().T for frame in frames)
            )
    except av.FFmpegError as error:
        raise UnreadableError(f"not readable as audio ({error.strerror or error})") from error


def _tabled(path: Path, stream: Any) -> int:
    """Frames that the table of an MP4 lists, less what an encoder's padding may take.

    0 for ADTS (.aac), which has no table.
    """
    if path.suffix.lower() == ".aac" or not stream.duration:
        return 0
    return max(0, int((float(stream.duration * stream.time_base) - _PADDING_SECONDS) * stream.rate))
