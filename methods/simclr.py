"""Contrastive: two views of a track attract each other and repel those of all other tracks.

T. Chen, S. Kornblith, M. Norouzi and G. Hinton, "A Simple Framework for Contrastive Learning of
Visual Representations" (SimCLR), ICML 2020, arXiv:2002.05709. In music: J. Spijkervet and J. A.
Burgoyne, "Contrastive Learning of Musical Representations" (CLMR), ISMIR 2021, arXiv:2103.09410.

Numbers that differ from the paper: `hidden` is 1024, not 2048 (the paper takes the encoder's
width). Each view goes through the encoder on its own, so that BatchNorm sees one view at a time, as
in the other methods here; the authors' code concatenates the views first. CLMR uses `temperature`
0.5, `hidden` 512, `output` 64 and `batch_norm` off.

The loss at chance is ln(2 * batch_size - 1); if it stays there, nothing has been learnt.
"""

from lightly.loss import NTXentLoss
from lightly.models.modules.heads import SimCLRProjectionHead
from pydantic import Field
from torch import Tensor, nn

from bench import heads, method

PAPER = "Chen et al., ICML 2020, arXiv:2002.05709"
COST = "one encoder pass over two views, and similarities that grow with the square of the batch"


class Settings(method.Settings):
    """Settings of SimCLR.

    Attributes:
        temperature: divisor of the cosines; the smaller it is, the more the hardest negatives
            count.
        hidden: width of the projector's hidden layers.
        output: width of the projection, in which views are compared.
        layers: number of linear layers of the projector: 2 in SimCLR, 3 in SimCLR v2.
        batch_norm: whether BatchNorm follows every layer of the projector, including the last, as
            in the authors' code.
    """

    temperature: float = Field(0.1, gt=0, le=10)
    hidden: int = Field(1024, ge=1)
    output: int = Field(128, ge=1)
    layers: int = Field(2, ge=2, le=8)
    batch_norm: bool = True


@method.in_float32
def simclr_loss(first: Tensor, second: Tensor, *, temperature: float) -> method.Loss:
    """Computes NT-Xent, the cross-entropy of finding a view's partner among 2N - 1 other views.

    This is equation 1, for a batch of N tracks.

    Args:
        first: (batch, dim) projections of one view.
        second: (batch, dim) projections of the other; row i is the same track as row i of `first`.
        temperature: divisor of the cosines.

    Returns:
        Total and term "nt_xent"; "alignment", the mean cosine of the pairs, is a diagnostic and no
        part of the total.
    """
    nt_xent = NTXentLoss(temperature=temperature)(first, second)
    return method.Loss(
        total=nt_xent, terms={"nt_xent": nt_xent, "alignment": heads.mean_cosine(first, second)}
    )


class Method(method.Method):
    """SimCLR: an encoder and a projector, shared by both views."""

    settings: Settings

    def __init__(
        self, encoder: nn.Module, width: int, settings: Settings, task: method.Task
    ) -> None:
        """Adds the projector; for the arguments see the base class."""
        super().__init__(encoder, width, settings, task)
        self.projector: nn.Module = SimCLRProjectionHead(
            input_dim=width,
            hidden_dim=settings.hidden,
            output_dim=settings.output,
            num_layers=settings.layers,
            batch_norm=settings.batch_norm,
        )

    def forward(self, batch: method.Batch, step: int) -> method.Loss:
        """Computes the loss of two views, with the tracks of all processes as negatives."""
        first, second = (heads.gathered(self.projector(self.encoder(view))) for view in batch.views)
        return simclr_loss(first, second, temperature=self.settings.temperature)
