"""VICReg's loss equals a slow reference written from the paper, and lightly's."""

from importlib import import_module

import pytest
import torch
from lightly.loss import VICRegLoss
from torch import Tensor

from tests.methods.losses import SHAPES, assert_same, projections, summed, total

vicreg = import_module("bench.methods.vicreg")


def vicreg_reference(
    first: Tensor, second: Tensor, weights: tuple[float, float, float], epsilon: float
) -> Tensor:
    """VICReg, equations 1 to 6, with the halves of the authors' code."""
    n, d = first.shape
    invariance = sum((a - b).square().sum() for a, b in zip(first, second, strict=True)) / (n * d)
    variance = covariance = first.new_zeros(())
    for z in (first, second):
        for j in range(d):
            s = torch.sqrt(((z[:, j] - z[:, j].mean()) ** 2).sum() / (n - 1) + epsilon)
            variance = variance + torch.clamp(1 - s, min=0) / d / 2
        c = summed(torch.outer(row - z.mean(0), row - z.mean(0)) for row in z) / (n - 1)
        off_diagonal = summed(c[i, j] ** 2 for i in range(d) for j in range(d) if i != j)
        covariance = covariance + off_diagonal / d
    return weights[0] * invariance + weights[1] * variance + weights[2] * covariance


@pytest.mark.parametrize(("batch", "dim"), SHAPES)
def test_vicreg_is_the_papers_and_lightlys(batch: int, dim: int) -> None:
    # Scaled so that some standard deviations lie on either side of the hinge at 1.
    inputs = [
        (value.detach() * torch.linspace(0.2, 1.5, dim)).requires_grad_()
        for value in projections(batch, dim)
    ]
    ours = total(vicreg.vicreg_loss, settings=vicreg.Settings())
    assert_same(
        ours, lambda first, second: vicreg_reference(first, second, (25, 25, 1), 1e-4), inputs
    )
    assert_same(ours, VICRegLoss(), inputs)
