"""Barlow Twins' loss equals a slow reference written from the paper, and lightly's."""

from importlib import import_module

import pytest
import torch
from lightly.loss import BarlowTwinsLoss
from torch import Tensor

from tests.methods.losses import SHAPES, assert_same, projections, total

barlow_twins = import_module("bench.methods.barlow_twins")


def barlow_twins_reference(first: Tensor, second: Tensor, weight: float) -> Tensor:
    """Barlow Twins, equations 1 and 2, with the authors' epsilon of 1e-5 in the variance."""
    (n, d), result = first.shape, first.new_zeros(())

    def column(z: Tensor, i: int) -> Tensor:
        centred = z[:, i] - z[:, i].mean()
        return centred / torch.sqrt(centred.square().mean() + 1e-5)

    for i in range(d):
        for j in range(d):
            c = (column(first, i) * column(second, j)).sum() / n
            result = result + ((1 - c) ** 2 if i == j else weight * c**2)
    return result


@pytest.mark.parametrize(("batch", "dim"), SHAPES)
def test_barlow_twins_is_the_papers_and_lightlys(batch: int, dim: int) -> None:
    inputs, weight = projections(batch, dim), 5.1e-3
    ours = total(barlow_twins.barlow_twins_loss, redundancy_weight=weight)
    assert_same(ours, lambda first, second: barlow_twins_reference(first, second, weight), inputs)
    assert_same(ours, BarlowTwinsLoss(lambda_param=weight), inputs)
