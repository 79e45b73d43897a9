"""SimCLR's loss equals a slow reference written from the paper, and lightly's."""

from importlib import import_module

import pytest
import torch
from lightly.loss import NTXentLoss
from torch import Tensor

from tests.methods.losses import SHAPES, assert_same, projections, summed, total

simclr = import_module("bench.methods.simclr")


def nt_xent_reference(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """SimCLR, algorithm 1: views 2k - 1 and 2k are a pair."""
    z = [row / row.norm() for pair in zip(first, second, strict=True) for row in pair]
    s = [[z_i @ z_j for z_j in z] for z_i in z]
    n = len(z)

    def ell(i: int, j: int) -> Tensor:
        denominator = summed(torch.exp(s[i][k] / temperature) for k in range(n) if k != i)
        return -torch.log(torch.exp(s[i][j] / temperature) / denominator)

    return summed(ell(2 * k, 2 * k + 1) + ell(2 * k + 1, 2 * k) for k in range(n // 2)) / n


@pytest.mark.parametrize(("batch", "dim"), SHAPES)
@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_simclr_is_the_papers_and_lightlys(batch: int, dim: int, temperature: float) -> None:
    inputs = projections(batch, dim)
    ours = total(simclr.simclr_loss, temperature=temperature)
    assert_same(ours, lambda first, second: nt_xent_reference(first, second, temperature), inputs)
    assert_same(ours, NTXentLoss(temperature=temperature), inputs)
