"""Decodes files in several processes: requests go in as lines of JSON, samples come back by a pipe.

They are processes and not threads because a damaged file may crash a C library: that then costs the
file and not hours of work. What these libraries print is discarded.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import InputError
from bench.data.audio_files import UnreadableError, promised_seconds
from bench.data.decode import decode, file_status

_AHEAD = 4  # files for each process that may be decoded before they are asked for
_HELD_BYTES = 2**28  # of samples decoded ahead; less is decoded ahead of files that last hours
_START = "import sys; sys.path[:] = {path!r}; from bench.data.decoders import serve; serve()"
# One thread each, since there are as many processes as cores. Large arrays stay in the heap: to
# return the memory of each file to the system and ask for it again costs 7 % of the time.
_ENVIRONMENT = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    "MALLOC_MMAP_THRESHOLD_": str(2**25),  # the largest that glibc takes
    "MALLOC_TRIM_THRESHOLD_": str(2**27),
}
# Signals that end a process because of its own fault, as damaged data may cause one.
_FAULTS = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT}


@dataclass(frozen=True)
class Outcome:
    """What became of one file.

    Attributes:
        frames: number of samples; 0 for a file that is left out.
        audio_hash: hash of the samples; "" for a file that is left out.
        bytes: size of the file when it was read; 0 where there is no file.
        mtime_ns: its modification time when it was read.
        reason: why the file is left out; "" where it is not.
        remark: what a user should know of a file that is not left out, in lines of "what: why".
    """

    frames: int
    audio_hash: str
    bytes: int
    mtime_ns: int
    reason: str = ""
    remark: str = ""


Answer = tuple[Outcome, NDArray[np.int16]]
Reply = tuple[dict[str, Any], NDArray[np.int16]]


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def hash_of(samples: NDArray[np.int16]) -> str:
    """A name for a track by its samples: BLAKE2, which is fast on every machine."""
    return hashlib.blake2b(np.ascontiguousarray(samples, "<i2").data, digest_size=8).hexdigest()


class Decoders:
    """Several decoding processes.

    Each is started when it is first needed; one that a file crashes is replaced.
    """

    def __init__(self, workers: int) -> None:
        """Takes the number of processes; none is started yet."""
        self._workers = workers
        self._processes: list[subprocess.Popen[bytes]] = []
        self._idle: list[subprocess.Popen[bytes]] = []
        self._held = 0  # bytes of samples that nobody has taken yet
        self._lock, self._closed = threading.Lock(), False

    def decode(self, paths: Iterator[Path], sample_rate: int) -> Generator[Answer, None, None]:
        """Yields (outcome, samples) of each file, in order; a few files are decoded ahead."""
        with closing(
            self._in_order(["decode", os.fspath(path), sample_rate] for path in paths)
        ) as answers:
            for head, samples in answers:
                yield Outcome(**head), samples

    def seconds(self, paths: Sequence[Path]) -> list[float | None]:
        """Length of each file by its header, in seconds; None where it is not known."""
        heads = self._in_order(["seconds", os.fspath(path), 0] for path in paths)
        return [head.get("seconds") for head, _ in heads]

    def _in_order(self, requests: Iterator[list[Any]]) -> Generator[Reply, None, None]:
        """Yields the reply to each request, in order, while later ones are already worked on."""
        pool = ThreadPoolExecutor(self._workers)  # each thread waits for one process
        waiting: deque[Future[Reply]] = deque()
        try:
            for request in requests:
                waiting.append(pool.submit(self._ask, request))
                while len(waiting) > _AHEAD * self._workers or (
                    waiting and self._held > _HELD_BYTES
                ):
                    yield self._hand_over(waiting.popleft())
            while waiting:
                yield self._hand_over(waiting.popleft())
        finally:
            for future in waiting:
                future.cancel()
            pool.shutdown(wait=False)  # `close` ends a thread that still waits for a long file

    def _hand_over(self, future: Future[Reply]) -> Reply:
        """The reply of a request; its samples no longer count as decoded ahead."""
        head, samples = future.result()
        with self._lock:
            self._held -= samples.nbytes
        return head, samples

    def _ask(self, request: list[Any]) -> Reply:
        """Sends a request to a process and waits for the reply; runs in a thread."""
        process = self._take()
        assert process.stdin
        assert process.stdout
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            head = json.loads(process.stdout.readline())
            samples = np.empty(head.get("frames", 0), "<i2")
            if len(samples) and process.stdout.readinto(samples.data.cast("B")) < samples.nbytes:  # type: ignore[attr-defined]
                raise EOFError
        except (OSError, EOFError, ValueError):  # the pipe is closed: the process is dead or dying
            return _died(process, request[1]), np.empty(0, np.int16)
        with self._lock:
            self._idle.append(process)
            self._held += samples.nbytes
        return head, samples

    def _take(self) -> subprocess.Popen[bytes]:
        """A process that has nothing to do, started where there is none.

        There are never more processes than threads, unless one has crashed.

        Raises:
            InputError: the processes have been ended.
        """
        with self._lock:
            if self._closed:
                raise InputError("decoding was ended")
            if self._idle:
                return self._idle.pop()
            process = subprocess.Popen(
                [sys.executable, "-c", _START.format(path=sys.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **_ENVIRONMENT},
            )
            self._processes.append(process)
            return process

    def close(self) -> None:
        """Ends the processes."""
        with self._lock:
            self._closed = True
        for process in self._processes:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with suppress(OSError):  # a request in the pipe that was never read
                    assert pipe
                    pipe.close()


@contextmanager
def decoders(workers: int) -> Iterator[Decoders]:
    """Several decoding processes, ended when the block is left."""
    pool = Decoders(workers)
    try:
        yield pool
    finally:
        pool.close()


def _died(process: subprocess.Popen[bytes], path: str) -> dict[str, Any]:
    """The outcome of a file whose process ended while decoding it.

    Raises:
        InputError: most likely it was not the file's fault.
    """
    status = process.wait()
    if -status in _FAULTS:
        size = file_status(Path(path))
        reason = f"the decoder crashed on it ({signal.Signals(-status).name})"
        return asdict(
            Outcome(0, "", size.st_size if size else 0, size.st_mtime_ns if size else 0, reason)
        )
    # Most likely there was no memory left: no track may be left out for that.
    how = f"killed (signal {-status}; out of memory?)" if status < 0 else f"ended (status {status})"
    raise InputError(
        f"{path}: the process that decoded it was {how}; what is finished is kept: run again, "
        "--workers 1"
    )


def serve() -> None:
    """Runs in a decoding process: answers requests until standard input ends.

    It also ends when the parent is killed.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # after Ctrl-C the parent ends this process
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not mix with the answers
    for line in sys.stdin.buffer:
        kind, path, sample_rate = json.loads(line)
        samples = np.empty(0, np.int16)
        if kind == "seconds":
            head: dict[str, Any] = {"seconds": promised_seconds(Path(path))}
        else:
            outcome, samples = _attempt(Path(path), sample_rate)
            head = asdict(outcome)
        answers.write(json.dumps(head).encode() + b"\n")
        answers.write(samples.astype("<i2", copy=False).data)
        answers.flush()


def _attempt(path: Path, sample_rate: int) -> Answer:
    """Decodes a file, or says why it is left out."""
    status = file_status(path)  # before the file is read, so that a change meanwhile is noticed
    size, time = (status.st_size, status.st_mtime_ns) if status else (0, 0)
    try:
        decoded = decode(path, sample_rate)
    except UnreadableError as reason:
        return Outcome(0, "", size, time, str(reason)), np.empty(0, np.int16)
    remarks = []
    if decoded.gain_db:
        remarks.append(f"lowered: by {-decoded.gain_db:.2f} dB, so that no sample clips")
    if decoded.lost_seconds > 1:  # less is an encoder's padding
        remarks.append(
            f"shorter: its header promises {decoded.lost_seconds:.1f} s more than could be read"
        )
    samples, remark = decoded.samples, "\n".join(remarks)
    return Outcome(len(samples), hash_of(samples), size, time, "", remark), samples
