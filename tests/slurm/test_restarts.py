"""One sweep of 48 cells, in arrays of at most 11 jobs, while the cluster is restarted and wiped."""

import subprocess
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.benchmarks.chaos_sweep import Chaos, prepare, verify
from tests.slurm.conftest import Slurm, slurm, until

CELLS, KILLS = 48, 8


@pytest.fixture(scope="module")
def cluster() -> Iterator[Slurm]:
    """One node that pretends to have 6 cores and 3 GPUs."""
    with slurm(nodes=1, cpus=6, gpus=3, maxarray=11) as made:
        yield made


def _done(chaos: Chaos) -> int:
    return len(chaos.runner.metrics())


def test_a_sweep_outlives_two_terminals_edits_restarts_a_wipe_and_kills(cluster, tmp_path):
    chaos = prepare(tmp_path, "slurm", CELLS, KILLS, resources="gpus = 1", share=4)
    plugins = ["--device", "cpu", "--plugins", chaos.runner.folder / "plugins"]
    both = [
        chaos.runner.start("sweep", chaos.file, "--cluster", "slurm", *plugins) for _ in range(2)
    ]
    said = [process.communicate(timeout=120) for process in both]
    assert sorted("0 jobs started" in out for out, _ in said) == [False, True], said
    asked = ["squeue", "--noheader", "--array", "--states=all", "-o", "%i"]
    ids = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()
    assert max(Counter(id_.partition("_")[0] for id_ in ids).values()) <= 11

    source = chaos.runner.folder / "plugins/methods/trouble_none.py"
    text = source.read_text()
    source.write_text("raise RuntimeError('edited while jobs wait')")
    until(lambda: _done(chaos) >= 2)
    cluster.kill("slurmctld")
    counts = chaos.runner.status(chaos.file)["counts"]  # nobody answers: from the files alone
    assert sum(counts.values()) == CELLS
    assert counts["queued"] > CELLS // 2, counts
    done = _done(chaos)
    cluster.start()
    until(lambda: _done(chaos) > done + 4)

    cluster.stop("--wipe")
    source.write_text(text)
    cluster.start()  # ids start again from 1
    after = chaos.runner.settled(chaos.file)
    assert set(after["counts"]) <= {"done", "stopped", "failed", "missing"}
    assert all(cell["why"] for cell in after["cells"] if cell["state"] != "done")
    other = ["sbatch", "--array=0-5", "-o", "/dev/null", "--wrap", "sleep 1"]  # takes ids of old
    subprocess.run(other, check=True, capture_output=True)
    assert chaos.runner.settled(chaos.file)["counts"] == after["counts"]

    chaos.hurried = True
    chaos.run(seconds=300)
    verify(chaos)
    lines = [
        line.split() for line in (chaos.runner.folder / "flags/steps.txt").read_text().splitlines()
    ]
    assert {line[4] for line in lines} == {"0", "1", "2"}
    assert sum(chaos.blows.values()) >= KILLS // 2
