"""Killed and taken up again; two at once: the same weights, bit for bit, and nothing corrupted."""

import contextlib
import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.core.digests import NOTE
from bench.core.progress import interruptible, progress
from bench.core.stamp import STAMP
from tests.conftest import TINY

CHECKPOINTS = ["--train.checkpoint_seconds", "0.001"]


def command(method: str, data: Path, home: Path, *more: str, steps: int = 40) -> list[str]:
    places = ["--home", str(home), "--results", str(home / "results")]
    return [
        sys.executable,
        "-m",
        "bench",
        "run",
        "--method",
        method,
        "--dataset",
        str(data),
        *TINY,
        *CHECKPOINTS,
        "--steps",
        str(steps),
        *places,
        *more,
    ]


def weights(home: Path) -> str:
    (stored,) = home.glob("pretrained/*/weights.safetensors")
    return hashlib.sha256(stored.read_bytes()).hexdigest()


def run(*arguments: str) -> None:
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("method", ["vicreg", "clustering", "supervised"])
def test_kill_9_in_the_middle_of_pretraining_changes_nothing(tones, tmp_path, method):
    """Clustering has a slow copy, a centre and schedules.

    Supervised keeps the best step on the valid split.
    """
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    run(*command(method, tones, whole))
    kills = 0
    for _ in range(2):
        process = subprocess.Popen(
            command(method, tones, killed), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        before = {
            path: path.stat().st_mtime_ns for path in killed.glob("pretrained/*.part/state.pt")
        }
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            states = {
                path: path.stat().st_mtime_ns for path in killed.glob("pretrained/*.part/state.pt")
            }
            if states and states != before:
                time.sleep(0.05)
                os.kill(process.pid, signal.SIGKILL)
                break
            time.sleep(0.002)
        kills += process.wait() == -signal.SIGKILL
    assert kills, "the run was over before it could be killed: nothing was tested"
    run(*command(method, tones, killed))
    assert weights(killed) == weights(whole)
    assert not list(killed.glob("pretrained/*.part"))
    ours, theirs = (
        json.loads(next(home.glob("results/runs/*.json")).read_text()) for home in (killed, whole)
    )
    assert ours["metrics"] == theirs["metrics"]
    assert ours["training"]["curve"] == theirs["training"]["curve"]
    assert ours["training"]["diagnostics"] == theirs["training"]["diagnostics"]


def _stop_at(limit: int):
    def progress(done: int, total: int) -> None:
        if done >= limit:
            raise KeyboardInterrupt

    return progress


def test_two_at_once_both_end_well(tones, tmp_path):
    home = tmp_path / "home"
    both = [
        subprocess.Popen(
            command("vicreg", tones, home, "--json"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    ended = [process.communicate(timeout=240) for process in both]
    assert [process.returncode for process in both] == [0, 0], ended
    first, second = (json.loads(out) for out, _ in ended)
    assert first == second
    assert len(list(home.glob("results/runs/*.json"))) == 1
    assert not list(home.glob("*/*.part"))
    assert not list(home.glob("*/*.lock"))
    alone = tmp_path / "alone"
    run(*command("vicreg", tones, alone))
    assert weights(alone) == weights(home)


def test_interrupt_is_one_line_and_status_130(tones, tmp_path):
    home = tmp_path / "home"
    process = subprocess.Popen(
        command("vicreg", tones, home, steps=100_000), stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not list(home.glob("pretrained/*.part/state.pt")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "the same command goes on" in err.splitlines()[-1]
    assert "Traceback" not in err


def test_kill_9_in_the_middle_of_fine_tuning_takes_up_its_checkpoints(tones, tmp_path):
    tuning = [
        "--probe",
        "finetune",
        "--finetune.steps",
        "30",
        "--finetune.batch_size",
        "4",
        *CHECKPOINTS,
    ]
    whole = command("random_init", tones, tmp_path / "whole", *tuning)
    subprocess.run(whole, check=True, capture_output=True)
    home = tmp_path / "killed"
    again = command("random_init", tones, home, *tuning)
    process = subprocess.Popen(again, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(home.glob("probed/*.part/*/state.pt")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    for folder in home.glob("probed/*.part/learning_rate_0"):
        (folder / ".state.pt.host-1.tmp").write_bytes(b"cut off")
    subprocess.run(again, check=True, capture_output=True)
    one, other = (
        next(place.glob("probed/*/mean_embedding.npy")) for place in (tmp_path / "whole", home)
    )
    assert one.read_bytes() == other.read_bytes()
    assert sorted(path.name for path in other.parent.iterdir()) == [
        NOTE,
        STAMP,
        "mean_embedding.npy",
        "mean_probability.npy",
        "run.json",
    ]


def test_an_interrupt_that_a_callback_swallows_takes_effect_at_the_next_report():
    with interruptible(), progress("train", "steps") as report:
        report(1, 3)
        with contextlib.suppress(KeyboardInterrupt):  # as a C library's callback does
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.2)
        with pytest.raises(KeyboardInterrupt):
            report(2, 3)


def test_without_locks_each_builds_in_a_folder_of_its_own(tmp_path, monkeypatch):
    import fcntl

    from bench.core.store import Store

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", refuse)
    store = Store(tmp_path)
    folders: list[Path] = []

    def make(folder: Path) -> None:
        folders.append(folder)
        (folder / "content").write_text("half")
        if len(folders) == 1:  # meanwhile another process makes the same product, and is first
            monkeypatch.setattr("bench.core.store._this_process", lambda: "another-1")
            store.produce("stage", "key", make)
        (folder / "content").write_text("whole")

    final = store.produce("stage", "key", make)
    assert len(set(folders)) == 2
    assert (final / "content").read_text() == "whole"
