"""Launches on this machine: jobs that are killed, fail or are cancelled, and go on."""

import time

from tests.sweeping import Runner, write_sweep
from tests.troubles import write_troubles


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
