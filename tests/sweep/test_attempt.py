"""An attempt that another one has replaced."""

import json
import os
import signal
import time

from bench.sweep import state
from tests.sweeping import write_sweep


def test_an_attempt_taken_for_dead_finishes_nothing(runner):
    """Its process stands still until another attempt takes over, and then goes on."""
    runner.environment["BENCH_STALE_SECONDS"] = "2"
    more = f'[settings.method]\ndo = "sleep"\nflag = "{runner.folder}/sleep.flag"\n'
    axes = "methods = ['trouble']"
    file = write_sweep(runner.folder / "s.toml", runner.folder / "tones/tracks.csv", axes, more)
    plugins = ["--plugins", runner.folder / "plugins"]
    runner("sweep", file, "--cluster", "local", *plugins)
    deadline = time.monotonic() + 120
    while not (runner.folder / "sleep.flag").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    (status,) = (
        path
        for path in runner.home.glob("sweeps/s-*/jobs/*/attempts/0001/status.json")
        if "prepare" not in str(path)
    )
    process = json.loads(status.read_text())["process"]["pid"]
    os.kill(process, signal.SIGSTOP)
    try:
        time.sleep(3)
        assert runner.status(file)["counts"] == {"failed": 1}
        runner(
            "sweep", file, "--cluster", "inline", *plugins
        )  # while the frozen one holds the lock of a product
    finally:
        os.kill(process, signal.SIGCONT)
    while (
        state.process_start(process) is not None
    ):  # it ends by itself, though its sleep is of ten minutes
        assert time.monotonic() < deadline + 60
        time.sleep(0.1)
    assert "another attempt has taken over" in status.with_name("log.txt").read_text()
    assert runner.settled(file)["counts"] == {"done": 1}
    assert not list(runner.home.glob("*/*.part"))
