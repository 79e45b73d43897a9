"""The processes that decode end with those that started them."""

import os
import signal
import time
from pathlib import Path

from bench.data import decoders
from tests.conftest import RATE
from tests.stages.prepare.tracks import write_tracks


def test_decoding_processes_end_with_a_parent_that_is_killed(tmp_path):
    manifest = write_tracks(tmp_path / "in", 40)
    child = os.fork()
    if not child:
        with decoders.decoders(2) as pool:
            answers = pool.decode(
                (tmp_path / "in" / path for path in manifest.tracks["path"]), RATE
            )
            next(answers)
            (tmp_path / "new").write_text(" ".join(str(process.pid) for process in pool._processes))
            (tmp_path / "new").rename(tmp_path / "ids")
            time.sleep(60)
    while not (tmp_path / "ids").exists():
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    until = time.monotonic() + 10
    started = [int(number) for number in (tmp_path / "ids").read_text().split()]
    while any(map(_alive, started)) and time.monotonic() < until:
        time.sleep(0.01)
    assert not any(map(_alive, started))


def _alive(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_no_process_outlives_a_preparation_that_fails(tmp_path):
    manifest = write_tracks(tmp_path / "in", 12)
    with decoders.decoders(3) as pool:
        next(pool.decode((tmp_path / "in" / path for path in manifest.tracks["path"]), RATE))
        started = list(pool._processes)
    assert started
    assert all(process.poll() is not None for process in started)
