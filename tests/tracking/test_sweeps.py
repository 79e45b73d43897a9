"""Sweeps in MLflow: launched, under way, changed, and computed without a launch."""

import json
import os
import signal
import time
from typing import Any

from bench.cli import track
from tests.conftest import make_tones
from tests.sweeping import Runner, write_sweep, write_trouble
from tests.synthetic_results import write_cells
from tests.tracking.stores import everything, of_kind, shown

STATUS = {
    "done": "FINISHED",
    "running": "RUNNING",
    "queued": "SCHEDULED",
    "failed": "FAILED",
    "stopped": "KILLED",
}


SHARED = """
[axes]
methods = ["simclr"]
fractions = [0.1, 1.0]
draws = {draws}
probes = ["linear"]
[settings.score]
resamples = 200
"""


def test_a_cell_of_two_sweeps_is_in_both_and_none_was_launched(main, store, tmp_path):
    write_cells(tmp_path / "results", methods=("simclr", "vicreg"))
    for name, draws in (("one", 1), ("two", 2)):
        (tmp_path / f"{name}.toml").write_text(SHARED.format(draws=draws))
    status, _, err = main("track", "sync", "one.toml", "two.toml")
    assert status == 0, err
    found = {
        name: {run.data.tags["cell"] for run in of_kind(runs)}
        for name, runs in shown(store).items()
    }
    assert {name: len(keys) for name, keys in found.items()} == {"one": 2, "two": 3}
    assert found["one"] < found["two"]
    (tmp_path / "three.toml").write_text(SHARED.format(draws=1).replace("200", "7"))
    status, _, err = main("track", "sync", "three.toml")
    assert status == 2
    assert "three.toml was not launched" in err


def test_an_earlier_result_of_a_sweep_stays_with_the_sweep(main, store, tmp_path):
    """After its code has changed and it was launched again, its earlier results stay shown."""
    paths = write_cells(tmp_path / "results", methods=("simclr", "vicreg"), fractions=(1.0,))
    stem = paths[0].stem
    cell = {
        "id": "c0",
        "label": "simclr",
        "job": "j0",
        "stem": stem,
        "keys": ["k0", "k1", "k2", stem[-16:]],
    }
    file = tmp_path / ".bench/sweeps/paper-0123456789/cells.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"file": "paper.toml", "cells": [cell]}))
    broken = tmp_path / ".bench/sweeps/broken-0123456789/cells.json"
    broken.parent.mkdir()
    broken.write_text("{")
    status, out, err = main("track", "sync")
    assert status == 0, err
    assert "broken-0123456789 cannot be read" in err
    assert "paper: 1 cells in MLflow (1 done); 2 runs new, 0 changed" in out
    assert "pretext-bench: 1 cells in MLflow (1 done); 2 runs new" in out
    file.write_text(
        json.dumps({"file": "paper.toml", "cells": [cell | {"stem": stem[:-4] + "beef"}]})
    )
    before = everything(store)
    status, out, err = main("track", "sync")
    assert status == 0, err
    assert "paper: 1 cells in MLflow (1 missing); 0 runs new, 0 changed" in out
    assert "pretext-bench: 1 cells in MLflow (1 done); 0 runs new" in out
    assert everything(store) == before


def test_a_cell_is_one_run_from_the_queue_to_its_end(main, store, tmp_path, monkeypatch):
    """The first of two jobs hangs and is killed while the second waits; then the sweep goes on."""
    runner = Runner(tmp_path)
    make_tones(tmp_path / "tones")
    write_trouble(tmp_path)
    more = f'[settings.method]\ndo = "sleep"\nflag = "{tmp_path}/sleep.flag"\n'
    file = write_sweep(
        tmp_path / "paper.toml",
        tmp_path / "tones/tracks.csv",
        "methods = ['trouble']\nseeds = [0, 1]",
        more,
    )
    plugins = ["--plugins", tmp_path / "plugins"]

    def sync(*arguments: object) -> dict[str, Any]:
        status, _, err = main("track", "sync", *arguments)
        assert status == 0, err
        (name, runs), = shown(store).items()  # fmt: skip
        assert (name, len(of_kind(runs)), len(of_kind(runs, "pretraining"))) == ("paper", 2, 2)
        return {run.data.tags["cell_id"]: run for run in of_kind(runs)}

    runner("sweep", file, "--cluster", "local", "--jobs", "1", *plugins)
    deadline = time.monotonic() + 120
    while not (tmp_path / "sleep.flag").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    begun = sync()
    assert sorted(run.info.status for run in begun.values()) == ["RUNNING", "SCHEDULED"]
    assert {run.data.params["method.name"] for run in begun.values()} == {"trouble"}
    said = {one["id"]: one for one in runner.status(file)["cells"]}
    assert {id_: run.data.tags["why"] for id_, run in begun.items()} == {
        id_: one["why"] for id_, one in said.items()
    }
    (job,) = {one["job"] for one in said.values() if one["state"] == "running"}
    (attempt,) = runner.home.glob(f"sweeps/*/jobs/{job}/attempts/*/status.json")
    os.kill(json.loads(attempt.read_text())["process"]["pid"], signal.SIGKILL)
    said = {one["id"]: one for one in runner.settled(file)["cells"]}
    ended = sync(file)
    assert {id_: run.info.status for id_, run in ended.items()} == {
        id_: STATUS[one["state"]] for id_, one in said.items()
    }
    (failed,) = (run for run in ended.values() if run.info.status == "FAILED")
    assert "SIGKILL" in failed.data.tags["why"]
    runner("sweep", file, "--cluster", "local", *plugins)
    monkeypatch.setattr(track, "_WATCH_SECONDS", 0.2)
    done = sync(file, "--watch")
    assert {id_: run.info.run_id for id_, run in done.items()} == {
        id_: run.info.run_id for id_, run in begun.items()
    }
    assert {run.info.status for run in done.values()} == {"FINISHED"}
    assert not any("why" in run.data.tags for run in done.values())
    before = everything(store)
    sync()
    assert everything(store) == before
