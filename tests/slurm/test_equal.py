"""Sweeps on a real Slurm, which `tests/slurm/start-slurm.sh` starts on this machine; skipped where it cannot."""

from collections.abc import Iterator

import pytest

from tests.slurm.conftest import slurm
from tests.sweeping import Runner, write_sweep


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """Two pretend nodes, arrays of 3."""
    with slurm(nodes=2, maxarray=3):
        yield


def test_slurm_local_and_single_runs_are_equal_bit_for_bit(place, tmp_path):
    """More jobs than an array may have here (MaxArraySize = 3); two terminals launch at once."""
    tones = place.folder / "tones/tracks.csv"
    axes = 'methods = ["random_init", "vicreg", "supervised"]\nfractions = [0.5, 1.0]\nseeds = [0, 1]'
    exclude = '[[exclude]]\nmethod = ["supervised", "vicreg"]\nseed = 1\n[[exclude]]\nseed = 1\nfraction = 0.5\n'
    file = write_sweep(place.folder / "grid.toml", tones, axes, exclude)
    both = [place.start("sweep", file, "--cluster", "slurm") for _ in range(2)]
    said = [process.communicate(timeout=120)[0] for process in both]
    assert sorted("0 jobs started" in one for one in said) == [False, True], said
    assert place.settled(file)["counts"] == {"done": 7}
    assert all(len(list(job.glob("attempts/*"))) == 1 for job in place.home.glob("sweeps/grid-*/jobs/*"))
    local, single = Runner(tmp_path / "local"), Runner(tmp_path / "single")
    local("sweep", file, "--cluster", "local", "--jobs", 2)
    assert local.settled(file)["counts"] == {"done": 7}
    from tests.conftest import TINY

    flags = ["--dataset", tones, "--fraction", "0.5,1.0", *TINY, "--steps", 6]
    single("run", "--method", "random_init", "--seed", "0,1", *flags[:2], "--fraction", 1.0, *flags[4:])
    single("run", "--method", "random_init", "--fraction", 0.5, *flags[:2], *flags[4:])
    single("run", "--method", "vicreg,supervised", *flags)
    assert place.metrics() == local.metrics() == single.metrics()
    assert place.weights() == local.weights() == single.weights()
    assert "7 done" in place("status", file)
    assert "0 jobs started" in place("sweep", file, "--cluster", "slurm")
