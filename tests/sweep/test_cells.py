"""The grids of the shipped sweeps."""

import pytest

from bench.sweep.cells import cells
from bench.sweep.read import read_sweep, shipped


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
