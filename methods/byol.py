"""Bootstrap: predicts a momentum encoder's projection of the other view, without negatives.

J.-B. Grill, F. Strub, F. Altché, C. Tallec, P. H. Richemond, E. Buchatskaya, C. Doersch, B. A.
Pires, Z. D. Guo, M. G. Azar, B. Piot, K. Kavukcuoglu, R. Munos and M. Valko, "Bootstrap Your Own
Latent" (BYOL), NeurIPS 2020, arXiv:2006.07733.

Numbers that differ from the paper: `momentum` starts at 0.99, not 0.996. The authors'
configurations give 0.97, 0.99, 0.99 and 0.996 for 40, 100, 300 and 1000 epochs, and runs here
correspond to the shorter ones.

Sign of collapse: "alignment" reaches 1 while the standard deviation of the embedding falls to 0.
BatchNorm in the heads is part of what prevents it.
"""

from lightly.loss import NegativeCosineSimilarity
from pydantic import Field
from torch import Tensor, nn

from bench import heads, method

PAPER = "Grill et al., NeurIPS 2020, arXiv:2006.07733"
COST = (
    "one encoder pass over two views and one more without gradient (slow copy), "
    "about 4/3 of the time"
)


class Settings(method.Settings):
    """Settings of BYOL.

    Attributes:
        hidden: width of the hidden layer of projector and predictor.
        output: width of projection and prediction.
        momentum: share of its weights that the slow copy keeps in the first step; it rises to 1
            over the run.
    """

    hidden: int = Field(4096, ge=1)
    output: int = Field(256, ge=1)
    momentum: float = Field(0.99, ge=0, lt=1)


@method.in_float32
def byol_loss(
    first_prediction: Tensor, second_prediction: Tensor, first_target: Tensor, second_target: Tensor
) -> method.Loss:
    """Computes the distance between the prediction of each view and the target of the other.

    It is the squared distance of unit vectors, 2 - 2 cos, summed over both directions and averaged
    over the batch (equation 2).

    Args:
        first_prediction: (batch, dim) predictions of the online network for the first view.
        second_prediction: (batch, dim) predictions for the second view.
        first_target: (batch, dim) projections of the slow copy for the first view; they get no
            gradient.
        second_target: (batch, dim) projections for the second view.

    Returns:
        Total and term "distance", from 0 to 8; "alignment", the mean cosine, is a diagnostic.
    """
    negative_cosine = NegativeCosineSimilarity()
    forwards = negative_cosine(first_prediction, second_target.detach())
    backwards = negative_cosine(second_prediction, first_target.detach())
    distance = 4 + 2 * (forwards + backwards)
    return method.Loss(
        total=distance, terms={"distance": distance, "alignment": 1 - distance.detach() / 4}
    )


class Method(method.Method):
    """BYOL: encoder, projector and predictor, and a slow copy of encoder and projector."""

    settings: Settings

    def __init__(
        self, encoder: nn.Module, width: int, settings: Settings, task: method.Task
    ) -> None:
        """Adds the heads and the slow copy; for the arguments see the base class."""
        super().__init__(encoder, width, settings, task)
        hidden, output = settings.hidden, settings.output
        self.projector = heads.projector(width, hidden=hidden, output=output, layers=2)
        self.predictor = heads.projector(output, hidden=hidden, output=output, layers=2)
        self.teacher = heads.SlowCopy(encoder, self.projector)

    def forward(self, batch: method.Batch, step: int) -> method.Loss:
        """Computes the loss of two views in both directions."""
        first, second = (self.predictor(self.projector(self.encoder(view))) for view in batch.views)
        first_target, second_target = (self.teacher(view) for view in batch.views)
        return byol_loss(first, second, first_target, second_target)

    def after_step(self, step: int) -> None:
        """Moves the slow copy towards the trained networks."""
        momentum = heads.momentum_at(step, steps=self.task.steps, start=self.settings.momentum)
        self.teacher.follow(self.encoder, self.projector, momentum=momentum)
