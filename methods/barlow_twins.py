"""Redundancy reduction: the correlation matrix of two views' projections becomes the identity.

J. Zbontar, L. Jing, I. Misra, Y. LeCun and S. Deny, "Barlow Twins: Self-Supervised Learning via
Redundancy Reduction", ICML 2021, arXiv:2103.03230.

Numbers that differ from the paper: the projector is 2048 wide, not 8192, as is usual for small
encoders. Deezer's comparison (arXiv:2404.09177) uses another weight: it averages each term, which
at width D equals a weight of 1 / (D - 1) in the paper's sums, 4.9e-4 at 2048, a tenth of the
paper's 5.1e-3.

Sign of collapse: "invariance" stays near the width of the projection, its value for uncorrelated
views.
"""

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from bench import heads, method

PAPER = "Zbontar et al., ICML 2021, arXiv:2103.03230"
COST = (
    "one encoder pass over two views, "
    "and a correlation matrix that grows with the square of the projection"
)


class Settings(method.Settings):
    """Settings of Barlow Twins.

    Attributes:
        hidden: width of the projector's hidden layers.
        output: width of the projection, which is the side of the correlation matrix.
        layers: number of linear layers of the projector.
        redundancy_weight: weight of the entries off the diagonal, the paper's lambda.
    """

    hidden: int = Field(2048, ge=1)
    output: int = Field(2048, ge=2)
    layers: int = Field(3, ge=1, le=8)
    redundancy_weight: float = Field(5.1e-3, ge=0)


@method.in_float32
def barlow_twins_loss(first: Tensor, second: Tensor, *, redundancy_weight: float) -> method.Loss:
    """Computes the squared distance of the correlation matrix from the identity (equation 1).

    Args:
        first: (batch, dim) projections of one view.
        second: (batch, dim) projections of the other view; rows are the same tracks.
        redundancy_weight: weight of the entries off the diagonal.

    Returns:
        Total = "invariance" (diagonal) + redundancy_weight * "redundancy" (off the diagonal). Both
        terms are sums over entries, not means.
    """
    # Batch normalisation without an affine part, as in the authors' code: biased variance and an
    # epsilon of 1e-5.
    first = functional.batch_norm(first, running_mean=None, running_var=None, training=True)
    second = functional.batch_norm(second, running_mean=None, running_var=None, training=True)
    correlation = first.T @ second / len(first)
    diagonal = correlation.diagonal()
    invariance = (diagonal - 1).square().sum()
    # The diagonal is subtracted before squaring: the difference of the two sums would lose digits.
    redundancy = (correlation - torch.diag(diagonal)).square().sum()
    total = invariance + redundancy_weight * redundancy
    return method.Loss(total=total, terms={"invariance": invariance, "redundancy": redundancy})


class Method(method.Method):
    """Barlow Twins: an encoder and a projector, shared by both views."""

    settings: Settings

    def __init__(
        self, encoder: nn.Module, width: int, settings: Settings, task: method.Task
    ) -> None:
        """Adds the projector; for the arguments see the base class."""
        super().__init__(encoder, width, settings, task)
        self.projector = heads.projector(
            width, hidden=settings.hidden, output=settings.output, layers=settings.layers
        )

    def forward(self, batch: method.Batch, step: int) -> method.Loss:
        """Computes the loss of two views over the tracks of all processes."""
        first, second = (heads.gathered(self.projector(self.encoder(view))) for view in batch.views)
        return barlow_twins_loss(first, second, redundancy_weight=self.settings.redundancy_weight)
