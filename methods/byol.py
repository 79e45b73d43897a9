"""Bootstrap: predicts a slow copy's projection of the other view; no negatives.

J.-B. Grill, F. Strub, F. Altché, C. Tallec, P. H. Richemond, E. Buchatskaya, C. Doersch, B. A.
Pires, Z. D. Guo, M. G. Azar, B. Piot, K. Kavukcuoglu, R. Munos and M. Valko, "Bootstrap Your Own
Latent" (BYOL), NeurIPS 2020, arXiv:2006.07733.

Numbers that differ from the paper: `momentum` starts at 0.99, not 0.996. The authors'
configurations give 0.97, 0.99, 0.99 and 0.996 for 40, 100, 300 and 1000 epochs, and runs here are
of the shorter kinds.

Collapse: "alignment" reaches 1 while the embedding's standard deviation falls to 0. BatchNorm in
the heads is part of what prevents it.
"""

from lightly.loss import NegativeCosineSimilarity
from pydantic import Field
from torch import Tensor, nn

from bench import heads, method

PAPER = "Grill et al., NeurIPS 2020, arXiv:2006.07733"
COST = "one encoder pass over two views and one more without gradient (slow copy), about 4/3 of the time"


class Settings(method.Settings):
    """Settings of BYOL.

    Attributes:
        hidden: width of the hidden layer of projector and predictor.
        output: width of projection and prediction.
        momentum: share of its weights that the slow copy keeps at the first step; it rises to 1
            over the run.
    """

    hidden: int = Field(4096, ge=1)
    output: int = Field(256, ge=1)
    momentum: float = Field(0.99, ge=0, lt=1)


@method.in_float32
def byol_loss(
    first_prediction: Tensor, second_prediction: Tensor, first_target: Tensor, second_target: Tensor
) -> method.Loss:
    """Squared distance of unit vectors, 2 - 2 cos, prediction of each view to the target of the other (equation 2).

    Args:
        first_prediction: (batch, dim) of the online network, first view.
        second_prediction: (batch, dim), second view.
        first_target: (batch, dim) of the slow copy, first view; gets no gradient.
        second_target: (batch, dim), second view.

    Returns:
        Total and term "distance", the sum over both directions, from 0 to 8; "alignment", the mean
        cosine, is a sign.
    """
    negative_cosine = NegativeCosineSimilarity()
    forwards = negative_cosine(first_prediction, second_target.detach())
    backwards = negative_cosine(second_prediction, first_target.detach())
    distance = 4 + 2 * (forwards + backwards)
    return method.Loss(
        total=distance, terms={"distance": distance, "alignment": 1 - distance.detach() / 4}
    )


class Method(method.Method):
    """Online encoder, projector and predictor; slow copy of encoder and projector."""

    settings: Settings

    def __init__(
        self, encoder: nn.Module, width: int, settings: Settings, task: method.Task
    ) -> None:
        """Adds the heads and the slow copy; see the base."""
        super().__init__(encoder, width, settings, task)
        hidden, output = settings.hidden, settings.output
        self.projector = heads.projector(width, hidden=hidden, output=output, layers=2)
        self.predictor = heads.projector(output, hidden=hidden, output=output, layers=2)
        self.teacher = heads.SlowCopy(encoder, self.projector)

    def forward(self, batch: method.Batch, step: int) -> method.Loss:
        """The loss of two views, in both directions."""
        first, second = (self.predictor(self.projector(self.encoder(view))) for view in batch.views)
        first_target, second_target = (self.teacher(view) for view in batch.views)
        return byol_loss(first, second, first_target, second_target)

    def after_step(self, step: int) -> None:
        """Moves the slow copy."""
        momentum = heads.momentum_at(step, steps=self.task.steps, start=self.settings.momentum)
        self.teacher.follow(self.encoder, self.projector, momentum=momentum)
