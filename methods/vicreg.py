"""Variance, invariance, covariance: views agree, dimensions keep their spread and decorrelate.

A. Bardes, J. Ponce and Y. LeCun, "VICReg: Variance-Invariance-Covariance Regularization for
Self-Supervised Learning", ICLR 2022, arXiv:2105.04906.

Numbers that differ from the paper: the projector is 2048 wide, not 8192, as is usual for small
encoders. Deezer's comparison (arXiv:2404.09177) is another loss: it weights the terms 1 : 1 : 1,
uses correlations in place of covariances and averages them over all entries, which decorrelates
about 160 times more weakly than the paper's 25 : 25 : 1.

Signs of collapse: "variance" near 1; of dimensional collapse: a rising "covariance".
"""

from lightly.loss.vicreg_loss import covariance_loss, invariance_loss, variance_loss
from pydantic import Field
from torch import Tensor, nn

from bench import heads, method

PAPER = "Bardes et al., ICLR 2022, arXiv:2105.04906"
COST = (
    "one encoder pass over two views, "
    "and two covariance matrices that grow with the square of the projection"
)


class Settings(method.Settings):
    """Settings of VICReg.

    Attributes:
        hidden: width of the projector's hidden layers.
        output: width of the projection.
        layers: number of linear layers of the projector.
        invariance_weight: weight of the invariance term, the paper's lambda.
        variance_weight: weight of the variance term, the paper's mu.
        covariance_weight: weight of the covariance term, the paper's nu.
        epsilon: added to the variance before its square root, which bounds the gradient near
            collapse.
    """

    hidden: int = Field(2048, ge=1)
    output: int = Field(2048, ge=2)
    layers: int = Field(3, ge=1, le=8)
    invariance_weight: float = Field(25.0, ge=0)
    variance_weight: float = Field(25.0, ge=0)
    covariance_weight: float = Field(1.0, ge=0)
    epsilon: float = Field(1e-4, gt=0, le=1)


@method.in_float32
def vicreg_loss(first: Tensor, second: Tensor, *, settings: Settings) -> method.Loss:
    """Computes the weighted sum of the three terms (equations 1 to 6).

    Args:
        first: (batch, dim) projections of one view.
        second: (batch, dim) projections of the other view; rows are the same tracks.
        settings: the weights and epsilon.

    Returns:
        Total = weighted sum of "invariance" (mean squared difference), "variance" (hinge of the
        standard deviation at 1, mean of both views) and "covariance" (squared covariances divided
        by dim, sum of both views).
    """
    epsilon = settings.epsilon
    invariance = invariance_loss(first, second)
    # The authors' code halves the sum of the two hinges but not that of the two covariances, and
    # their weights belong to that:
    # https://github.com/facebookresearch/vicreg/blob/main/main_vicreg.py
    variance = (variance_loss(first, eps=epsilon) + variance_loss(second, eps=epsilon)) / 2
    covariance = covariance_loss(first) + covariance_loss(second)
    total = (
        settings.invariance_weight * invariance
        + settings.variance_weight * variance
        + settings.covariance_weight * covariance
    )
    terms = {"invariance": invariance, "variance": variance, "covariance": covariance}
    return method.Loss(total=total, terms=terms)


class Method(method.Method):
    """VICReg: an encoder and a projector, shared by both views."""

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
        return vicreg_loss(first, second, settings=self.settings)
