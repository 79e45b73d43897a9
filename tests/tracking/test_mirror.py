"""`bench track sync` on real stores of MLflow: databases, a server, and sweeps under way."""

import json
import os
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import results
from bench.cli import track
from bench.tracking import runs as mirrored
from bench.tracking.cells import TrackedCell
from tests.conftest import make_tones
from tests.sweeping import ROOT, Runner, write_sweep, write_trouble
from tests.synthetic_results import write_cells

STATUS = {
    "done": "FINISHED", "running": "RUNNING", "queued": "SCHEDULED", "failed": "FAILED", "stopped": "KILLED",
}  # fmt: skip
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}
Runs = dict[str, Any]


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of MLflow without experiments, which takes seconds to make."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    client(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def store(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an empty database, as the environment names it."""
    for name in [name for name in os.environ if name.startswith("MLFLOW")]:
        monkeypatch.delenv(name)
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    return f"sqlite:///{tmp_path}/mlflow.db"


def client(store: str) -> Any:
    os.environ.update(QUIET)
    from mlflow import MlflowClient

    return MlflowClient(store)


def shown(store: str) -> dict[str, list[Any]]:
    """The runs of every experiment that has some."""
    mlflow = client(store)
    found = {
        one.name: list(mlflow.search_runs([one.experiment_id]))
        for one in mlflow.search_experiments()
    }
    return {name: runs for name, runs in found.items() if runs}


def of_kind(runs: list[Any], kind: str = "cell") -> list[Any]:
    return [run for run in runs if run.data.tags["kind"] == kind]


def everything(store: str) -> dict[str, Any]:
    """All that the store holds, for comparisons: status, tags, parameters, and every point of every metric."""
    mlflow = client(store)
    found = {}
    for run in (run for runs in shown(store).values() for run in runs):
        points = {
            name: mlflow.get_metric_history(run.info.run_id, name) for name in run.data.metrics
        }
        history = {
            name: sorted((one.step, one.value, one.timestamp) for one in of)
            for name, of in points.items()
        }
        info = (run.info.status, run.info.start_time, run.info.end_time)
        files = [file.path for file in mlflow.list_artifacts(run.info.run_id)]
        found[run.info.run_id] = (info, run.data.tags, run.data.params, history, files)
    return found


def test_results_of_no_sweep_are_runs_below_their_pretraining(main, store, tmp_path):
    paths = write_cells(tmp_path / "results", methods=("simclr", "supervised"), seeds=2)
    (tmp_path / "results/runs/damaged.json").write_text("{")
    (tmp_path / "results/runs/older.json").write_text('{"schema_version": 2}')
    status, out, err = main("track", "sync")
    assert status == 0, err
    assert "pretext-bench: 12 cells in MLflow (12 done); 20 runs new, 0 changed" in out
    assert "damaged.json is no whole JSON" in err
    assert "older.json is a result of schema 2" in err
    before = everything(store)
    (name, runs), = shown(store).items()  # fmt: skip
    cells, above = of_kind(runs), {run.info.run_id: run for run in of_kind(runs, "pretraining")}
    assert (name, len(cells), len(above)) == ("pretext-bench", 12, 2 + 6)
    children = Counter(above[run.data.tags["mlflow.parentRunId"]].info.run_name for run in cells)
    encoder = results.read(paths[0]).spec.encoder.name
    assert children[f"simclr {encoder} s0"] == 3
    assert children[f"supervised {encoder} s1 f0.1 d1"] == 1
    for path in paths:
        result = results.read(path)
        (run,) = (run for run in cells if run.data.tags["cell"] == result.cell)
        score, parent = result.metrics["map_macro"], above[run.data.tags["mlflow.parentRunId"]]
        assert run.data.metrics["map_macro"] == score.value
        assert (run.data.metrics["map_macro_low"], run.data.metrics["map_macro_high"]) == (
            score.low,
            score.high,
        )
        assert (
            run.data.params["train.steps"]
            == parent.data.params["train.steps"]
            == str(result.spec.train.steps)
        )
        assert run.data.params["fraction"] == str(result.spec.fraction)
        assert not any(name.startswith("curve") for name in run.data.metrics)
        info, _, _, history, files = before[run.info.run_id]
        assert (info[0], files, len(history["map_macro"])) == ("FINISHED", [path.name], 1)
        _, _, _, history, _ = before[parent.info.run_id]
        assert len(history["curve_loss"]) == len(result.training["curve"])
        assert parent.data.metrics["seconds_pretrain"] in {
            results.read(one).seconds["pretrain"] for one in paths
        }
        assert "seconds_pretrain" not in run.data.metrics
    assert "12 cells in MLflow (12 done); 0 runs new, 0 changed" in main("track", "sync")[1]
    assert everything(store) == before


def test_a_result_made_anew_has_a_run_of_its_own(main, store, tmp_path):
    (path,) = write_cells(tmp_path / "results", methods=("simclr",), fractions=(1.0,))
    assert main("track", "sync")[0] == 0
    ((first,),) = (of_kind(runs) for runs in shown(store).values())
    content = json.loads(path.read_text())
    old, new = content["cell"], "0123456789abcdef"
    content |= {"cell": new, "created": "2090-01-01T00:00:00+00:00"}
    content["metrics"]["map_macro"]["value"] = 0.25
    path.with_name(path.name.replace(old, new)).write_text(json.dumps(content))
    shutil.copy(path.with_suffix(".npz"), path.with_name(path.stem.replace(old, new) + ".npz"))
    assert "1 runs new, 1 changed" in main("track", "sync")[1]
    (runs,) = shown(store).values()
    assert len(of_kind(runs, "pretraining")) == 1
    found = {run.data.tags["cell"]: run for run in of_kind(runs)}
    assert found[old].info.run_id == first.info.run_id
    assert found[old].data.metrics == first.data.metrics
    assert found[old].data.tags["superseded_by"] == found[new].info.run_id
    assert found[new].data.metrics["map_macro"] == 0.25
    assert "superseded_by" not in found[new].data.tags
    assert "0 runs new, 0 changed" in main("track", "sync")[1]


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
    """Its code has changed and it was launched again: what it awaits is not there yet, what it had is shown."""
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


def test_a_pretraining_runs_while_its_cells_wait_for_it(tmp_path):
    result = results.read(write_cells(tmp_path, methods=("simclr",), fractions=(1.0,))[0])
    cells = [
        TrackedCell(str(number), "", "queued", "waits", spec=result.spec, pretraining="g")
        for number in range(2)
    ]
    ((waiting,), below) = mirrored.runs(cells)
    assert (waiting.state, waiting.why, len(below)) == ("queued", "2 of 2 cells queued: waits", 2)
    ((running,), below) = mirrored.runs(
        [cells[0], replace(cells[1], shared="g-pretrain since noon")]
    )
    assert (running.state, running.why) == ("running", "g-pretrain since noon")
    assert {run.state for run in below} == {"queued"}
    done = replace(cells[0], state="done", result=result, key=result.cell)
    ((both,), below) = mirrored.runs([done, cells[1]])
    assert (both.state, both.key, both.result) == ("queued", result.products["pretrain"], result)
    assert {run.parent for run in below} == {("g", both.key)}


def test_two_at_once_and_one_that_was_killed_leave_every_run_once(store, tmp_path):
    write_cells(tmp_path / "results", methods=("simclr", "vicreg", "byol"), draws=4, seeds=3)
    command = [
        sys.executable,
        "-m",
        "bench",
        "track",
        "sync",
        "--results",
        str(tmp_path / "results"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def start() -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    killed = start()
    deadline = time.monotonic() + 60
    with closing(sqlite3.connect(tmp_path / "mlflow.db", timeout=30)) as database:
        while database.execute("SELECT COUNT(*) FROM runs").fetchone()[0] < 15:
            assert killed.poll() is None, killed.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
    killed.kill()
    killed.communicate()
    assert Counter(run.info.status for run in shown(store)["pretext-bench"])["FINISHED"] < 45 + 9
    for process in [start(), start()]:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    (runs,) = shown(store).values()
    cells = of_kind(runs)
    assert len(cells) == len({run.data.tags["cell"] for run in cells}) == 45
    assert len(of_kind(runs, "pretraining")) == 9
    assert {run.info.status for run in runs} == {"FINISHED"}
    mlflow = client(store)
    for run in of_kind(runs, "pretraining"):
        steps = [one.step for one in mlflow.get_metric_history(run.info.run_id, "curve_loss")]
        assert len(steps) == len(set(steps))
    assert {len(mlflow.list_artifacts(run.info.run_id)) for run in cells} == {1}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """A real tracking server on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path / "server"
    folder.mkdir()
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder}/server.db",
        "--artifacts-destination",
        str(folder / "files"),
    ]
    with open(folder / "log.txt", "wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **QUIET},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 90
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, (folder / "log.txt").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}", process
    finally:
        end(process)


def end(process: "subprocess.Popen[bytes]") -> None:
    """Ends a server with the workers that it started; returns when all of them are gone."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        deadline = time.monotonic() + 60
        while (
            subprocess.run(
                ["pgrep", "-g", str(process.pid)], capture_output=True, check=False
            ).returncode
            == 0
        ):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_tracking_server_and_one_that_does_not_answer(main, server, tmp_path, monkeypatch):
    address, process = server
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    paths = write_cells(tmp_path / "results", methods=("simclr",))
    status, out, err = main("track", "sync")
    assert status == 0, err
    assert out == f"mine: 3 cells in MLflow (3 done); 4 runs new, 0 changed\nlook: {address}\n"
    before = everything(address)
    assert sorted(file for run in before.values() for file in run[-1]) == sorted(
        path.name for path in paths
    )
    assert "0 runs new, 0 changed" in main("track", "sync")[1]
    assert everything(address) == before
    end(process)
    status, out, err = main("track", "sync")
    assert (status, out) == (2, "")
    assert err.startswith(f"bench: MLflow at {address} does not answer (connection refused)")
    assert err.count("\n") == 1
    assert [path.is_file() for path in paths] == [True] * 3


@pytest.mark.parametrize(
    ("abruptly", "reason"),
    [(1, "connection reset by peer"), (0, "remote end closed connection without response")],
)
def test_a_tracking_server_that_ends_while_it_is_asked(
    main, tmp_path, monkeypatch, abruptly, reason
):
    write_cells(tmp_path / "results", methods=("simclr",), fractions=(1.0,))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"

        def hang_up() -> None:
            while not over.is_set():
                with listening.accept()[0] as asked:
                    asked.recv(2**16)
                    asked.setsockopt(
                        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", abruptly, 0)
                    )

        over, thread = threading.Event(), threading.Thread(target=hang_up, daemon=True)
        thread.start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        status, out, err = main("track", "sync")
        over.set()
        socket.create_connection(listening.getsockname()).close()
        thread.join()
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(
        f"bench: MLflow at {address} does not answer ({reason}); the same command goes on"
    )


def test_a_store_that_cannot_be_is_one_line(main, tmp_path, monkeypatch):
    write_cells(tmp_path / "results", methods=("simclr",), fractions=(1.0,))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/nowhere/mlflow.db")
    status, _, err = main("track", "sync")
    assert status == 2
    assert "nowhere/mlflow.db.lock (no such file or directory)" in err
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    status, _, err = main("track", "sync", "--results", "empty")
    assert not (tmp_path / "mlflow.db").exists()
    assert (status, err.count("\n")) == (2, 1)
    assert "nothing to mirror: no result in empty/runs" in err


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
