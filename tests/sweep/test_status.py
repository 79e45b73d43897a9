"""What is said of a job that ends while its state is read."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.sweep import launch, state, status
from bench.sweep.plan import Plan, make_plan
from bench.sweep.read import read_sweep
from bench.sweep.state import Tree
from tests.conftest import make_tones
from tests.sweeping import write_prepared, write_sweep


class Job:
    """The only job of a sweep of one cell, with a real process.

    It ends as soon as it is told to, and only once.
    """

    def __init__(self, folder: Path) -> None:
        make_tones(folder / "tones")
        self.file = write_sweep(
            folder / "s.toml", folder / "tones/tracks.csv", "methods = ['random_init']"
        )
        self.home, self.results = folder / ".bench", folder / "results"
        write_prepared(self.home, self.plan().jobs[0].groups[0].removeprefix("prepare-"))
        plan = self.plan()
        self.folder, (self.cell,), (job,) = plan.folder, plan.cells, plan.jobs
        self.folder.write_job(job.name, {"needs": []})
        (self.folder.path / "cells.json").write_text(json.dumps(plan.record()))
        self.process = subprocess.Popen(["sleep", "600"])
        process = {
            **state.this_process(),
            "pid": self.process.pid,
            "start": state.process_start(self.process.pid),
        }
        place = self.folder.new_launch()
        record = {
            "cluster": "local",
            "created": 0.0,
            "jobs": [job.name],
            "ids": {},
            "name": "",
            "process": process,
        }
        (place / "launch.json").write_text(json.dumps(record))
        attempt = self.folder.new_attempt(job.name)
        (attempt / "heartbeat").touch()
        self._status = attempt / "status.json"
        self._says: Tree = {
            "state": "running",
            "process": process,
            "launch": place.name,
            "started": "",
            "done": [],
        }
        self._status.write_text(json.dumps({**self._says, "note": ""}))

    def plan(self) -> Plan:
        return make_plan(read_sweep(str(self.file)), self.home, self.results)

    def end(self) -> None:
        """As an attempt ends: its result, its last word, its process."""
        if self.process.poll() is None:
            (self.results / "runs").mkdir(parents=True)
            for ending in ("json", "npz"):
                (self.results / "runs" / f"{self.cell.stem}.{ending}").touch()
            self._status.write_text(json.dumps({**self._says, "state": "done", "note": ""}))
            self.process.kill()
            self.process.wait()

    def before(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function, before which the job ends."""

        def ended(*arguments: Any, **named: Any) -> Any:
            self.end()
            return function(*arguments, **named)

        return ended


@pytest.fixture
def job(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = Job(tmp_path)
    yield found
    found.process.kill()
    found.process.wait()


def test_after_a_look_at_the_results(job, monkeypatch):
    """Its result was not stored yet, and then the job says that it is done: nothing is gone."""
    assert status.read_status(job.folder, job.results).counts == {"running": 1}
    monkeypatch.setattr(status, "job_states", job.before(status.job_states))
    assert status.read_status(job.folder, job.results).counts == {"done": 1}
    (job.results / "runs" / f"{job.cell.stem}.npz").unlink()
    (cell,) = status.read_status(job.folder, job.results).cells
    assert (cell.state, cell.why) == ("missing", "its result is gone")


def test_after_a_look_at_its_files(job, monkeypatch):
    """Its files said that it is at work, and then its process is gone: it has not died."""
    for module in (state, status):
        monkeypatch.setattr(module, "lives", job.before(state.lives))
    assert status.read_status(job.folder, job.results).counts == {"done": 1}


def test_after_a_look_at_what_is_left_to_do(job, monkeypatch):
    """It is not started again."""
    monkeypatch.setattr(launch, "job_states", job.before(status.job_states))
    done = launch.launch(read_sweep(str(job.file)), job.home, job.results, "local")
    assert (done.jobs, done.active, done.left) == ([], 0, 0)
    assert all(one.done for one in done.plan.cells)
