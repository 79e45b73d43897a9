"""Every way in which a job may end on Slurm has a name, and the same command completes the sweep; with slurmdbd and without."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slurm.conftest import slurm, until
from tests.sweeping import Runner, write_sweep
from tests.troubles import require_one_at_a_time, write_troubles

STEPS = 6
SELF = {
    "raise": ("failed", "RuntimeError: in trouble"),
    "exit": ("failed", "exited with code 3"),
    "kill": ("failed", "killed by signal 9"),
    "memory": ("failed", "out of memory"),
}
BY_HAND = {  # what is done to a job that stands still -> what becomes of it
    "scancel": (["scancel"], "stopped", "cancelled"),
    "usr2": (["scancel", "--signal=USR2"], "done", ""),
    "batch": (["scancel", "--batch", "--signal=USR2"], "failed", "signal 12"),
    "term": (["scancel", "--signal=TERM"], "done", ""),
    "requeue": (["scontrol", "requeue"], "done", ""),
}
NAMES = [*SELF, *BY_HAND, "deaf"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Runner, "subprocess.Popen[str]"]:
    """The same cells without trouble, in one process."""
    runner = Runner(tmp_path_factory.mktemp("undisturbed"))
    return runner


@pytest.fixture(scope="module", params=["none", "dbd"])
def cluster(request: pytest.FixtureRequest) -> Iterator[str]:
    """Two pretend nodes."""
    missing = [one for one in ("slurmdbd", "mariadbd") if not shutil.which(one)]
    if request.param == "dbd" and missing:
        pytest.skip(f"no accounting here: {', '.join(missing)} not found")
    with slurm(nodes=2, cpus=6, accounting=request.param):
        yield request.param


def test_every_death_is_named_and_the_same_command_completes_it(cluster, place, tmp_path):
    runner = Runner(tmp_path / "place")
    plugins = ["--plugins", write_troubles(runner.folder, NAMES)]
    flags = runner.folder / "flags"
    flags.mkdir()
    tones = place.folder / "tones/tracks.csv"
    methods = [f"trouble_{name}" for name in NAMES[:-1]]
    file = write_sweep(runner.folder / "deaths.toml", tones, f"methods = {json.dumps(methods)}")
    late = write_sweep(runner.folder / "late.toml", tones, 'methods = ["trouble_deaf"]')
    late.write_text(
        late.read_text().replace("memory_gb = 1", "memory_gb = 1\nhours = 0.005") + "[site]\nsignal_seconds = 5\n"
    )
    for one in (file, late):
        one.write_text(one.read_text().replace("steps = 6\n", "steps = 6\ncheckpoint_seconds = 0.001\n", 1))
    undisturbed = Runner(tmp_path / "undisturbed")
    runner.environment["TROUBLE_FLAGS"] = str(flags)
    started = [runner.start("sweep", one, "--cluster", "slurm", *plugins) for one in (late, file)]
    for process in started:
        assert not process.wait(120), process.communicate()
    reference = [undisturbed.start("sweep", one, "--cluster", "inline", *plugins) for one in (late, file)]
    for name, (command, _, _) in BY_HAND.items():
        until(lambda name=name: (flags / name).exists())
        subprocess.run([*command, (flags / name).read_text()], check=True)
        if name not in ("scancel", "batch"):
            (flags / f"{name}-go").touch()
    wanted = SELF | {name: words for name, (_, *words) in BY_HAND.items()}
    for cell in runner.settled(file)["cells"]:
        name = cell["label"].split()[0].removeprefix("trouble_")
        state, why = wanted[name]
        print(cell)
        assert cell["state"] == state, cell
        assert why in cell["why"], cell
    (cell,) = runner.settled(late)["cells"]
    print(cell)
    assert (cell["state"], cell["why"]) == ("failed", "over its time limit (Slurm: TIMEOUT)"), cell
    for one in (file, late):
        runner("sweep", one, "--cluster", "slurm", "--only", "missing,failed,stopped", *plugins)
    assert runner.settled(file)["counts"] == {"done": len(NAMES) - 1}
    assert runner.settled(late)["counts"] == {"done": 1}
    for process in reference:
        assert not process.wait(120), process.communicate()
    assert runner.weights() == undisturbed.weights()
    assert runner.metrics() == undisturbed.metrics()
    require_one_at_a_time(flags, STEPS)
