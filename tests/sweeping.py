"""Small sweeps for tests: tones, a tiny encoder, and a method whose process dies once."""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = """
[settings.train]
steps = 6
batch_size = 8
diagnose_times = 2
[settings.probe]
steps = 20
[settings.score]
resamples = 50
[settings.encoder]
width = 4
embedding = 16
heads = 2
seconds = 1.0
[resources.prepare]
memory_gb = 1.5
[resources.pretrain]
memory_gb = 1.5
[resources.embed]
memory_gb = 1.5
[resources.probe]
memory_gb = 1.5
"""

TROUBLE = '''"""Random weights whose process gets into trouble the first time."""
import ctypes, os, signal, sys, time
from pathlib import Path
from bench import method
PAPER, COST = "nobody", "nothing"
TRAINS = False
class Settings(method.Settings):
    """What happens, unless the file `flag` is there."""
    do: str = ""
    flag: str = ""
class Method(method.Method):
    """The encoder alone."""
    def __init__(self, encoder, width, settings, task):
        super().__init__(encoder, width, settings, task)
        flag = Path(settings.flag)
        if not settings.do or flag.exists():
            return
        flag.touch()
        if settings.do == "raise":
            raise RuntimeError("in trouble")
        if settings.do == "exit":
            sys.exit(3)
        if settings.do == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if settings.do == "memory":
            hoard = [bytes(2**24).replace(b"\\0", b"x") for _ in range(400)]
        if settings.do == "sleep":
            time.sleep(600)
        if settings.do == "c":
            while True:
                ctypes.CDLL(None).sleep(600)
'''


def write_sweep(path: Path, tones: Path, axes: str, more: str = "") -> Path:
    """Writes a sweep file over tones.

    Args:
        path: the file.
        tones: CSV of the tones.
        axes: lines of [axes].
        more: further sections.
    """
    path.write_text(f'[axes]\ndatasets = ["{tones}"]\n{axes}\n{SETTINGS}\n{more}')
    return path


def write_trouble(folder: Path) -> Path:
    """Writes the method `trouble` into a folder of plug-ins, and returns that folder."""
    (folder / "plugins/methods").mkdir(parents=True)
    (folder / "plugins/methods/trouble.py").write_text(TROUBLE)
    return folder / "plugins"


def write_prepared(home: Path, key: str) -> None:
    """Writes as much of a prepared data set as a plan reads: its hash."""
    folder = home / "prepared" / key
    folder.mkdir(parents=True)
    (folder / "data.json").write_text('{"data_hash": "0"}')


class Runner:
    """Calls the command with a home and a results folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home, self.results = folder, folder / ".bench", folder / "results"
        self.environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        folder.mkdir(exist_ok=True)

    def flagged(self) -> Path:
        """Makes the folder in which the methods of `tests.troubles` write, and names it to them."""
        flags = self.folder / "flags"
        flags.mkdir()
        self.environment["TROUBLE_FLAGS"] = str(flags)
        return flags

    def start(self, *arguments: object) -> "subprocess.Popen[str]":
        places = ["--home", str(self.home)]
        places += ["--results", str(self.results)] if arguments[0] not in ("logs", "cancel") else []
        command = [sys.executable, "-m", "bench", *map(str, arguments), *places]
        return subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
        )

    def __call__(self, *arguments: object, status: int = 0) -> str:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=300)
        assert process.returncode == status, (arguments, out, err)
        return out + err if status else out

    def status(self, file: Path, fresh: bool = True) -> dict[str, Any]:
        """What `bench status --json` says; Slurm is asked anew if `fresh`."""
        if fresh:
            for answer in self.home.glob("sweeps/*/slurm.json"):
                answer.unlink(missing_ok=True)
        return dict(json.loads(self("status", file, "--json")))

    def wait(
        self, file: Path, until: Callable[[dict[str, int]], bool], seconds: float = 600
    ) -> dict[str, Any]:
        """Waits until the counts of states are as wanted; returns the status."""
        deadline = time.monotonic() + seconds
        while True:
            status = self.status(file)
            if until(status["counts"]):
                return status
            assert time.monotonic() < deadline, status
            time.sleep(0.5)

    def settled(self, file: Path, seconds: float = 600) -> dict[str, Any]:
        """Waits until nothing is under way; returns the status."""
        return self.wait(file, lambda counts: not ({"running", "queued"} & set(counts)), seconds)

    def metrics(self) -> dict[str, Any]:
        """Scores and training curve of every result, by file name."""
        scores = {}
        for path in self.results.glob("runs/*.json"):
            content = json.loads(path.read_text())
            scores[path.name] = content["metrics"], content["per_tag"], content["training"]["curve"]
        return scores

    def weights(self) -> dict[str, str]:
        """Digest of the weights of every pretrained encoder, by key."""
        files = self.home.glob("pretrained/*/weights.safetensors")
        return {path.parent.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
