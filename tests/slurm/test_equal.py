"""A sweep has the same results on a real Slurm, on this machine and by single runs, bit for bit."""

from collections.abc import Iterator

import pytest

from tests.conftest import TINY
from tests.slurm.conftest import slurm
from tests.sweeping import Runner, write_sweep


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """Two pretend nodes, arrays of 2."""
    with slurm(nodes=2, maxarray=2):
        yield


def test_slurm_local_and_single_runs_are_equal_bit_for_bit(place, tmp_path):
    """More jobs than an array may have here; two terminals launch at once."""
    tones = place.folder / "tones/tracks.csv"
    axes = 'methods = ["random_init", "vicreg", "supervised"]\nfractions = [0.5, 1.0]'
    file = write_sweep(place.folder / "grid.toml", tones, axes, "[site]\ngroups_per_job = 1\n")
    both = [place.start("sweep", file, "--cluster", "slurm") for _ in range(2)]
    local, single = Runner(tmp_path / "local"), Runner(tmp_path / "single")
    methods = ["--method", "random_init,vicreg,supervised", "--fraction", "0.5,1.0"]
    alone = single.start("run", *methods, "--dataset", tones, *TINY, "--steps", 6)
    said = [process.communicate(timeout=120)[0] for process in both]
    assert sorted("0 jobs started" in text for text in said) == [False, True], said
    assert place.settled(file)["counts"] == {"done": 6}
    assert all(
        len(list(job.glob("attempts/*"))) == 1 for job in place.home.glob("sweeps/grid-*/jobs/*")
    )
    local("sweep", file, "--cluster", "local", "--jobs", 2)
    assert local.settled(file)["counts"] == {"done": 6}
    assert not alone.wait(120), alone.communicate()
    assert place.metrics() == local.metrics() == single.metrics()
    assert place.weights() == local.weights() == single.weights()
    assert "6 done" in place("status", file)
    assert "0 jobs started" in place("sweep", file, "--cluster", "slurm")
