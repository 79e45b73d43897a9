"""Stores of MLflow: two processes at once, servers, and stores that fail."""

import os
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
from pathlib import Path

import pytest

from tests.sweeping import ROOT
from tests.synthetic_results import write_cells
from tests.tracking.stores import QUIET, client, everything, of_kind, shown


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
