"""Decoding in processes: files go in as lines of JSON, samples come back through a pipe.

Processes and not threads, since a damaged file may take a C library down: it costs that file and
not hours of work. What these libraries print goes to nowhere (their standard error is no terminal
of ours).
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

_AHEAD = 4  # files a process that may wait for the one before them
_HELD_BYTES = 2**28  # of samples that wait: files of hours are not decoded far ahead
_START = "import sys; sys.path[:] = {path!r}; from bench.data.decoders import serve; serve()"
# One thread each: there are as many processes as cores. Large arrays stay in the heap: giving each
# file's memory back to the system and taking it anew costs 7 % of the time.
_ENVIRONMENT = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    "MALLOC_MMAP_THRESHOLD_": str(2**25),  # the largest that glibc takes
    "MALLOC_TRIM_THRESHOLD_": str(2**27),
}
_FAULTS = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT}


@dataclass(frozen=True)
class Outcome:
    """What became of one file.

    Attributes:
        frames: samples in the store; 0 for a file that is left out.
        audio_hash: of its samples; "" where it is left out.
        bytes: size of the file when it was read; 0 where there is none.
        mtime_ns: its modification time then.
        reason: why it is left out, or "".
        remark: what is to be said of a file that is not left out, in lines of "what: why".
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
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def hash_of(samples: NDArray[np.int16]) -> str:
    """Names a track by its samples: BLAKE2, which is fast on every machine."""
    return hashlib.blake2b(np.ascontiguousarray(samples, "<i2").data, digest_size=8).hexdigest()


class Decoders:
    """Several decoding processes.

    They start with their first file; one that a file takes down is replaced.
    """

    def __init__(self, workers: int) -> None:
        """Starts nothing yet."""
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
            pool.shutdown(wait=False)  # a thread may wait for a long file; `close` ends that

    def _hand_over(self, future: Future[Reply]) -> Reply:
        head, samples = future.result()
        with self._lock:
            self._held -= samples.nbytes
        return head, samples

    def _ask(self, request: list[Any]) -> Reply:
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
        """A process that has nothing to do.

        A new one where there is none, which is once for each thread.
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
                with suppress(OSError):  # a request that was never read
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
    """What to say of the file that a process was at when it ended."""
    status = process.wait()
    if -status in _FAULTS:
        size = file_status(Path(path))
        reason = f"the decoder crashed on it ({signal.Signals(-status).name})"
        return asdict(
            Outcome(0, "", size.st_size if size else 0, size.st_mtime_ns if size else 0, reason)
        )
    # Not the file's fault, most likely: nobody may lose tracks for want of memory.
    how = f"killed (signal {-status}; out of memory?)" if status < 0 else f"ended (status {status})"
    raise InputError(
        f"{path}: the process that decoded it was {how}; what is finished is kept: run again, --workers 1"
    )


def serve() -> None:
    """The other side: answers until standard input ends, which it also does when the parent is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not mix with the answers
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
    status = file_status(path)  # before it is read: a change while it is read must show
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
    found = Outcome(
        len(decoded.samples), hash_of(decoded.samples), size, time, "", "\n".join(remarks)
    )
    return found, decoded.samples
