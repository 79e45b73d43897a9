"""Sweep files, plans, leases, and launches on this machine."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.core.errors import InputError
from bench.sweep import lease, queue, snapshot, state
from bench.sweep.cells import cells
from bench.sweep.plan import Plan, make_plan
from bench.sweep.read import read_sweep, shipped, with_site
from tests.conftest import make_tones
from tests.sweeping import ROOT, Runner, write_prepared, write_sweep, write_trouble
from tests.troubles import write_troubles

WRONG = {
    "[axes]\nmethod = ['vicreg']": "line 2, column 10: unknown key in [axes] 'method'; did you mean 'methods'?",
    "[axis]\nmethods = ['vicreg']": "line 1, column 1: unknown section 'axis'; did you mean 'axes'?",
    "[axes]\nmethods = []": "line 2, column 11: axes.methods is empty: give at least one value, or leave it out",
    "[axes]\nmethods = ['vicreg']\n[site.parameters]\nexclusive = [1]": (
        "line 4, column 13: site.parameters.exclusive: [1]: give true, a number or a text"
    ),
    "[axes]\nmethods = ['vicreg']\nseeds = [0, 0]": "line 3, column 9: axes.seeds: a value stands twice",
    "[axes]\nmethods = ['vicrge']": "line 2, column 11: unknown method 'vicrge'; did you mean 'vicreg'?",
    "[axes]\nmethods = ['vicreg']\n\n[[exclude]]\nmethod = 'byol'": "line 4, column 1: this exclude meets no cell",
    "[axes]\nmethods = ['vicreg']\n[[exclude]]\nmethod = 'vicreg'": "line 3, column 1: the excludes leave no cell",
    "[axes]\nmethods = ['vicreg']\n[[exclude]]\nmetod = 'vicreg'": "'metod'; did you mean 'method'?",
    "[axes]\nmethods = ['vicreg']\n[[exclude]]": "names no axis, and so would leave every cell out",
    "[axes]\nmethods = ['vicreg']\n[settings.train]\nlr = 1": "line 4, column 6: unknown setting 'train.lr'",
    "[axes]\nmethods = ['vicreg']\n[resources.pretrain]\ngpus = -1": "line 4, column 8: resources.pretrain.gpus = -1",
    "[axes]\nmethods = ['vicreg']\ndatasets = ['no.csv']": "line 3, column 12: no such file: no.csv; looked for from",
    "[axes]\nrecipes = ['no.toml']": "line 2, column 11: no such file: no.toml; looked for from",
    "[axes\n": "not a readable TOML",
    "deep = "
    + 2000 * "["
    + 2000 * "]": "not a readable TOML: lists or tables stand too deep in each other",
    "include = ['other.toml']": "cannot read the sweep file",
}


@pytest.mark.parametrize("text", WRONG, ids=range(len(WRONG)))
def test_wrong_files_are_named_with_their_place(tmp_path, text):
    file = tmp_path / "wrong.toml"
    file.write_text(text)
    with pytest.raises(InputError) as raised:
        cells(read_sweep(str(file)))
    assert WRONG[text] in str(raised.value)


def test_settings_of_plug_ins_are_checked_before_anything_is_launched(tmp_path):
    file = tmp_path / "wrong.toml"
    file.write_text("[axes]\nmethods = ['vicreg']\n\n[settings.method]\nlayer = 2")
    said = Runner(tmp_path / "place")("sweep", file, "--dry-run", status=2)
    assert (
        "line 5, column 9: unknown setting of vicreg 'method.layer'; did you mean 'method.layers'?"
        in said
    )


def test_includes_lie_under_what_includes_them_and_make_no_circle(tmp_path):
    (tmp_path / "base.toml").write_text(
        "[axes]\nmethods = ['vicreg']\nseeds = [3]\n[site]\npartition = 'a'"
    )
    (tmp_path / "top.toml").write_text("include = ['base.toml']\n[axes]\nmethods = ['byol']")
    found = read_sweep(str(tmp_path / "top.toml"))
    assert [one.axes[0] for one in cells(found)] == ["byol"]
    assert cells(found)[0].spec.seed == 3
    (tmp_path / "site.toml").write_text("[site]\npartition = 'b'\n[resources.pretrain]\ngpus = 2")
    laid = with_site(found, tmp_path / "site.toml")
    assert (laid.spec.site.partition, laid.spec.resources.pretrain.gpus) == ("b", 2)
    assert laid.identity == found.identity
    (tmp_path / "base.toml").write_text("include = ['top.toml']")
    with pytest.raises(
        InputError, match=r"includes go in a circle: top.toml -> base.toml -> top.toml"
    ):
        read_sweep(str(tmp_path / "top.toml"))


@pytest.mark.parametrize(
    ("name", "number"), [("quick", 14), ("icassp2024", 119), ("clmr-limited-labels", 14)]
)
def test_shipped_sweeps_are_the_published_grids(name, number):
    found = cells(read_sweep(name))
    assert len(found) == number
    assert len({one.id for one in found}) == number


def test_every_shipped_sweep_resolves():
    assert set(shipped()) >= {"vicreg-thesis", "tune-transfer"}
    transfers = {(one.spec.encoder.name, one.axes[4]) for one in cells(read_sweep("tune-transfer"))}
    assert {("tune", "fma"), ("tune_plus", "gtzan"), ("sample_cnn", "same")} <= transfers
    assert {one.spec.probe.kind for one in cells(read_sweep("vicreg-thesis"))} == {"linear", "mlp"}


def test_a_look_at_a_sweep_needs_no_data(tmp_path):
    """The published grids are seen from a fresh home; only a launch asks where their data lie."""
    for name in shipped():
        found = read_sweep(name)
        made = make_plan(found, tmp_path / ".bench", tmp_path / "results", dry=True)
        assert {one.cell.id for one in made.cells} == {one.id for one in cells(found)}
        assert made.jobs
    why = made.cells[-1].why
    assert "`bench data prepare" in why
    with pytest.raises(InputError, match="where it lies is not known here"):
        make_plan(found, tmp_path / ".bench", tmp_path / "results")


def test_cells_are_those_of_bench_run_and_jobs_share_pretraining(tmp_path, monkeypatch):
    from bench.core.store import Store
    from bench.settings.resolve import Request, resolve
    from bench.stages.keys import Keys

    monkeypatch.chdir(tmp_path)
    tones = make_tones(tmp_path / "tones")
    file = write_sweep(
        tmp_path / "s.toml", tones, 'methods = ["vicreg", "supervised"]\nfractions = [0.5, 1.0]'
    )
    made = make_plan(read_sweep(str(file)), tmp_path / ".bench", tmp_path / "results")
    assert [job.kind for job in made.jobs] == ["prepare", "cells", "cells", "cells"]
    assert all(job.needs == [made.jobs[0].name] for job in made.jobs[1:])
    store = Store(tmp_path / ".bench")
    write_prepared(tmp_path / ".bench", made.jobs[0].groups[0].removeprefix("prepare-"))
    settings = read_sweep(str(file)).spec.settings
    for one in make_plan(read_sweep(str(file)), tmp_path / ".bench", tmp_path / "results").cells:
        at = one.cell.spec
        request = Request(
            at.method.name, at.fraction, at.draw, at.seed, dataset=str(tones), overrides=settings
        )
        keys = Keys(resolve(request), store)
        assert one.keys == (keys.pretrain, keys.embed, keys.probe, keys.cell)


def test_stages_are_jobs_where_they_ask_for_other_machines(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tones = make_tones(tmp_path / "tones")
    axes = 'methods = ["vicreg", "random_init"]\nfractions = [0.2, 0.5, 1.0]'

    def jobs(more: str) -> list[tuple[str, tuple[str, ...], int]]:
        file = write_sweep(tmp_path / "s.toml", tones, axes, more)
        file.write_text(
            file.read_text().replace("[resources.pretrain]", "[resources.pretrain]\ncpus = 2")
        )
        made = make_plan(read_sweep(str(file)), tmp_path / ".bench", tmp_path / "results").jobs
        assert [job.needs for job in made[1:]].count([made[0].name]) == 2, (
            "each chain begins when data are prepared"
        )
        return [(job.name.partition("-")[2], job.stages, len(job.cells)) for job in made[1:]]

    rest = [("", ("embed", "probe"), 3), ("", ("pretrain", "embed", "probe"), 3)]
    assert jobs("") == [("pretrain", ("pretrain",), 3), *rest]
    assert jobs('[site]\nstages = "together"') == [rest[1], rest[1]]
    chunks = [("1", ("probe",), 2), ("2", ("probe",), 1)]
    first, second = ("pretrain", ("pretrain",), 3), ("embed", ("embed",), 3)
    third = ("pretrain-embed", ("pretrain", "embed"), 3)
    assert jobs('[site]\nstages = "apart"\ncells_per_job = 2') == [
        first,
        second,
        *chunks,
        third,
        *chunks,
    ]


def test_a_job_keeps_its_name_when_nothing_but_probes_is_left(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    axes = 'methods = ["vicreg"]\nfractions = [0.2, 0.5, 1.0]'
    file = write_sweep(
        tmp_path / "s.toml", make_tones(tmp_path / "tones"), axes, "[site]\ncells_per_job = 2"
    )

    def made() -> Plan:
        return make_plan(read_sweep(str(file)), tmp_path / ".bench", tmp_path / "results")

    prepare, before = made().jobs
    write_prepared(tmp_path / ".bench", prepare.groups[0].removeprefix("prepare-"))
    for stage, key in zip(("pretrained", "embedded"), made().cells[0].keys, strict=False):
        (tmp_path / ".bench" / stage / key).mkdir(parents=True)
    assert [(job.name, job.stages) for job in made().jobs] == [(before.name, ("probe",))]


def test_very_many_short_groups_share_jobs_with_lasting_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tones = make_tones(tmp_path / "tones")
    file = write_sweep(
        tmp_path / "s.toml",
        tones,
        f'methods = ["random_init", "vicreg"]\nseeds = {list(range(200))}',
    )
    before = make_plan(read_sweep(str(file)), tmp_path / ".bench", tmp_path / "results").jobs
    assert before[0].kind == "prepare"
    assert 32 <= len(before[1:]) <= 36
    write_prepared(tmp_path / ".bench", before[0].groups[0].removeprefix("prepare-"))
    after = make_plan(read_sweep(str(file)), tmp_path / ".bench", tmp_path / "results").jobs
    assert [job.name for job in after] == [job.name for job in before[1:]]
    long = file.read_text().replace("steps = 6\n", "steps = 60\n", 1)
    file.write_text(long)
    assert (
        len(make_plan(read_sweep(str(file)), tmp_path / ".bench", tmp_path / "results").jobs) > 60
    )


def test_a_lease_is_held_by_one_and_taken_from_the_dead(tmp_path, monkeypatch):
    attempts = [tmp_path / f"jobs/j/attempts/{number}" for number in range(2)]
    for attempt in attempts:
        attempt.mkdir(parents=True)
        (attempt / "heartbeat").touch()
    me = state.this_process()
    first = lease.take(tmp_path, "group", attempts[0], me)
    assert isinstance(first, lease.Lease)
    assert first.held
    assert lease.take(tmp_path, "group", attempts[1], me)["attempt"] == str(attempts[0])  # type: ignore[index]
    os.utime(attempts[0] / "heartbeat", (0, 0))
    second = lease.take(tmp_path, "group", attempts[1], me)
    assert isinstance(second, lease.Lease)
    assert second.held
    assert not first.held
    first.release()  # of no effect: it is not the first one's any more
    assert second.held
    (attempts[0] / "heartbeat").touch()
    assert isinstance(lease.take(tmp_path, "group", attempts[0], me), dict)
    second.release()
    assert isinstance(lease.take(tmp_path, "group", attempts[0], me), lease.Lease)


def test_of_many_that_want_a_lease_one_gets_it(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    attempts = [tmp_path / f"jobs/{number}/attempts/1" for number in range(16)]
    for attempt in attempts:
        attempt.mkdir(parents=True)
        (attempt / "heartbeat").touch()
    with ThreadPoolExecutor(16) as pool:
        got = list(
            pool.map(lambda one: lease.take(tmp_path, "group", one, state.this_process()), attempts)
        )
    assert sum(isinstance(one, lease.Lease) for one in got) == 1


def test_frozen_code_that_was_changed_is_refused(tmp_path, monkeypatch):
    import bench

    copy = snapshot.take(tmp_path)
    assert snapshot.take(tmp_path) == copy
    assert (copy / "methods/vicreg.py").is_file()
    origin = json.loads((copy / "origin.json").read_text())
    assert origin["digest"] == copy.name
    assert "torch" in origin["packages"]
    with pytest.raises(InputError, match="was to run the code in"):
        snapshot.check(copy)
    monkeypatch.setattr(bench, "__file__", str(copy / "bench/__init__.py"))
    assert snapshot.check(copy)["python"]
    with open(copy / "methods/vicreg.py", "a") as file:
        file.write("# edited\n")
    with pytest.raises(InputError, match="was changed after the launch"):
        snapshot.check(copy)


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    found = Runner(tmp_path / "place")
    make_tones(found.folder / "tones")
    write_trouble(found.folder)
    return found


def test_killed_and_failed_jobs_are_named_and_completed(runner):
    """One cell is killed, one raises; the source of the third is edited while it waits."""
    files = {}
    for do in ("kill", "raise"):
        more = f'[settings.method]\ndo = "{do}"\nflag = "{runner.folder / do}.flag"\n'
        files[do] = write_sweep(
            runner.folder / f"{do}.toml",
            runner.folder / "tones/tracks.csv",
            "methods = ['trouble']",
            more,
        )
    plugins = ["--plugins", runner.folder / "plugins"]
    runner("sweep", files["kill"], "--cluster", "local", *plugins)
    source = runner.folder / "plugins/methods/trouble.py"
    text = source.read_text()
    source.write_text("raise RuntimeError('edited while the job waited')")
    runner.settled(files["kill"])
    deadline = time.monotonic() + 30
    # the scheduler looks at its jobs every now and then, and until then nobody knows what killed
    # this one
    while True:
        (cell,) = runner.status(files["kill"])["cells"]
        if "killed by SIGKILL" in cell["why"] or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    assert cell["state"] == "failed"
    assert "killed by SIGKILL" in cell["why"]
    source.write_text(text)
    runner("sweep", files["raise"], "--cluster", "inline", *plugins, status=1)
    (cell,) = runner.settled(files["raise"])["cells"]
    assert (cell["state"], cell["why"]) == ("failed", "RuntimeError: in trouble")
    assert "0 jobs started" in runner("sweep", files["kill"], "--only", "missing", *plugins)
    runner("sweep", files["kill"], "--only", "failed", "--cluster", "local", *plugins)
    assert runner.settled(files["kill"])["counts"] == {"done": 1}
    assert "mAP" in runner("logs", runner.status(files["kill"])["cells"][0]["id"])


def test_a_stage_that_failed_is_named_in_the_cells_that_need_it(runner):
    """Pretraining of one of two seeds raises; what waits for it says so, and goes on with it."""
    more = '[site]\nstages = "apart"\ncells_per_job = 1\n[settings.method]\ndo = "raise"\n'
    more += f'flag = "{runner.folder}/raise.flag"\n'
    axes = "methods = ['trouble']\nfractions = [0.5, 1.0]\nseeds = [0, 1]"
    file = write_sweep(runner.folder / "s.toml", runner.folder / "tones/tracks.csv", axes, more)
    runner("sweep", file, "--cluster", "local", "--plugins", runner.folder / "plugins")
    found = runner.settled(file)
    assert found["counts"] == {"done": 2, "failed": 2}
    failed = [cell for cell in found["cells"] if cell["state"] == "failed"]
    assert all(
        "-pretrain-embed, which it needs, failed: RuntimeError: in trouble" in cell["why"]
        for cell in failed
    )
    assert "RuntimeError: in trouble" in runner("logs", failed[1]["id"])
    said = runner(
        "sweep",
        file,
        "--cluster",
        "local",
        "--only",
        "missing",
        "--plugins",
        runner.folder / "plugins",
    )
    assert "0 jobs started, 2 left out by --only" in said.replace(" on local", "")
    said = runner(
        "sweep",
        file,
        "--cluster",
        "local",
        "--only",
        "failed",
        "--plugins",
        runner.folder / "plugins",
    )
    assert "3 jobs started" in said
    assert runner.settled(file)["counts"] == {"done": 4}
    together = Runner(runner.folder / "together")
    file.write_text(
        file.read_text().replace('"apart"', '"together"').replace("cells_per_job = 1\n", "")
    )
    together("sweep", file, "--cluster", "inline", "--plugins", runner.folder / "plugins")
    assert together.metrics() == runner.metrics()


def test_cancel_writes_a_checkpoint_and_the_next_launch_goes_on(runner, tmp_path):
    file = write_sweep(
        runner.folder / "s.toml", runner.folder / "tones/tracks.csv", "methods = ['trouble_held']"
    )
    file.write_text(
        file.read_text().replace("steps = 6\n", "steps = 12\ncheckpoint_seconds = 1000\n", 1)
    )
    plugins = ["--plugins", write_troubles(tmp_path, ["held"])]
    flags = runner.flagged()
    runner("sweep", file, "--cluster", "local", *plugins)
    deadline = time.monotonic() + 120
    while not (flags / "held").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert "1 jobs told to stop" in runner("cancel", file)
    (flags / "held-go").touch()
    (cell,) = runner.settled(file)["cells"]
    assert cell["state"] == "stopped", cell
    assert list(runner.home.glob("pretrained/*.part/state.pt")), (
        "no checkpoint, though none was due yet"
    )
    runner("sweep", file, "--cluster", "local", *plugins)
    assert runner.settled(file)["counts"] == {"done": 1}
    steps = [int(line.split()[1]) for line in (flags / "steps.txt").read_text().splitlines()]
    assert steps == list(range(12)), "each step is taken once"
    whole = Runner(tmp_path / "whole")
    whole("sweep", file, "--cluster", "inline", *plugins)
    assert whole.weights() == runner.weights()
    assert whole.metrics() == runner.metrics()


EVERYBODY = """
import os, signal, subprocess, sys, threading, time
from multiprocessing import get_context
from pathlib import Path
from bench.core import progress
from bench.sweep.signals import signals_of_a_job
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()  # as that of the heartbeat
with signals_of_a_job(Path("nowhere"), {"kind": "prepare"}):
    decoder = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    renderer = get_context("spawn").Process(target=time.sleep, args=(60,))
    renderer.start()
    for number in (signal.SIGUSR2, signal.SIGTERM):
        for pid in (decoder.pid, renderer.pid, os.getpid()):
            os.kill(pid, number)
    time.sleep(1)
    print(decoder.poll(), renderer.exitcode, progress.stopping())
    decoder.kill()
    renderer.kill()
"""


def test_of_signals_to_every_process_of_a_job_its_workers_do_not_die():
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("SLURM")
    }
    command = [sys.executable, "-c", EVERYBODY]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["None", "None", "TERM"]


def test_a_slurm_that_does_not_answer_is_told_of(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert queue.ask(tmp_path, ["bench-0"]) == {}
    assert queue.silence(tmp_path) == "squeue does not answer: it never has"
    squeue = tmp_path / "squeue"
    squeue.write_text("#!/bin/sh\necho '7|bench-0|PENDING|Resources|0'")
    squeue.chmod(0o755)
    assert queue.ask(tmp_path, ["bench-0"], max_age=0)["bench-0 7"]["state"] == "PENDING"
    assert not queue.silence(tmp_path)
    squeue.unlink()
    assert queue.ask(tmp_path, ["bench-0"], max_age=0)["bench-0 7"]["state"] == "PENDING"
    assert (
        queue.silence(tmp_path)
        == "squeue does not answer: what stands here of its jobs is 0 min old"
    )


def test_an_attempt_taken_for_dead_finishes_nothing(runner):
    """It is stopped for longer than a heartbeat may be old, another takes over, and then it wakes up."""
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
