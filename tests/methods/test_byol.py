"""BYOL's loss equals a slow reference written from the paper."""

from importlib import import_module

import pytest
from torch import Tensor

from tests.methods.losses import SHAPES, assert_same, projections, total

byol = import_module("bench.methods.byol")


def byol_reference(q_first: Tensor, q_second: Tensor, z_first: Tensor, z_second: Tensor) -> Tensor:
    """BYOL, equation 2 and its mirror image; targets are constants."""
    result = q_first.new_zeros(())
    for q, z in ((q_first, z_second.detach()), (q_second, z_first.detach())):
        for q_row, z_row in zip(q, z, strict=True):
            result = result + (q_row / q_row.norm() - z_row / z_row.norm()).square().sum() / len(q)
    return result


@pytest.mark.parametrize(("batch", "dim"), SHAPES)
def test_byol_is_the_papers(batch: int, dim: int) -> None:
    assert_same(total(byol.byol_loss), byol_reference, projections(batch, dim, count=4))
