"""Projectors, slow copies and what else several methods share.

Built on lightly where lightly has it. Everything here is a function of its inputs and of (step,
steps). No counter is hidden, so a resumed run stays the same.
"""

import copy
from itertools import pairwise
from typing import cast

import torch
from lightly.models.modules.heads import ProjectionHead
from lightly.models.utils import deactivate_requires_grad, update_momentum
from lightly.utils import dist
from lightly.utils.lars import LARS as LARS
from lightly.utils.scheduler import cosine_schedule
from torch import Tensor, nn
from torch.nn import functional


def projector(
    width: int, *, hidden: int, output: int, layers: int = 3, bias: bool = False
) -> nn.Module:
    """Linear-BatchNorm-ReLU blocks and a last plain linear layer: (batch, width) -> (batch, output).

    Args:
        width: width of the input.
        hidden: width of every layer but the last.
        output: width of the output.
        layers: number of linear layers; 1 is a single linear map.
        bias: whether the last layer has one; the others never do, as BatchNorm follows them.
    """
    widths = [width, *[hidden] * (layers - 1)]
    blocks = [
        (before, after, nn.BatchNorm1d(after), nn.ReLU(), False)
        for before, after in pairwise(widths)
    ]
    return cast(nn.Module, ProjectionHead([*blocks, (widths[-1], output, None, None, bias)]))


class PrototypeHead(nn.Module):
    """A network that ends in prototypes: (batch, width) -> (batch, prototypes) logits.

    Normalised, it is DINO's: GELU, an L2-normalised bottleneck and unit-length prototypes, so that
    logits are cosines. It computes what `lightly.models.modules.heads.DINOProjectionHead` does (a
    test compares them). That one is not used because it is built on `torch.nn.utils.weight_norm`,
    which is deprecated and cannot be deep-copied; with a gain fixed to 1, weight normalisation is a
    normalisation of the rows. Not normalised, it is the head of Deezer's comparison: BatchNorm and
    ReLU after every layer, and a plain linear map.
    """

    def __init__(
        self, width: int, *, hidden: int, bottleneck: int, prototypes: int, normalise: bool = True
    ) -> None:
        """Draws the weights.

        Args:
            width: width of the input.
            hidden: width of the two hidden layers.
            bottleneck: width of the layer before the prototypes.
            prototypes: number of prototypes, the width of the output.
            normalise: DINO's head (True) or Deezer's (False).
        """
        super().__init__()
        self.normalise = normalise
        if normalise:
            blocks = [(width, hidden, None, nn.GELU()), (hidden, hidden, None, nn.GELU())]
            self.layers = nn.Sequential(ProjectionHead([*blocks, (hidden, bottleneck, None, None)]))
            self.layers.apply(_draw_like_dino)
        else:
            layers = projector(width, hidden=hidden, output=bottleneck, layers=3)
            self.layers = nn.Sequential(layers, nn.BatchNorm1d(bottleneck), nn.ReLU())
        self.prototypes = nn.Parameter(
            nn.Linear(bottleneck, prototypes, bias=False).weight.detach().clone()
        )

    def forward(self, embedding: Tensor, *, freeze: bool = False) -> Tensor:
        """Logits of the prototypes.

        Args:
            embedding: (batch, width).
            freeze: gives the prototypes a gradient of zero. They keep a gradient because
                distributed training needs the same parameters to take part in every step.

        Returns:
            (batch, prototypes).
        """
        prototypes = self.prototypes.detach() + 0 * self.prototypes if freeze else self.prototypes
        bottleneck = self.layers(embedding)
        if self.normalise:
            bottleneck, prototypes = (
                functional.normalize(bottleneck, dim=-1),
                functional.normalize(prototypes, dim=-1),
            )
        return functional.linear(bottleneck, prototypes)


def _draw_like_dino(module: nn.Module) -> None:
    """Weights of a linear layer from a truncated normal of standard deviation 0.02, biases zero."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)


class SlowCopy(nn.Module):
    """The teacher: a copy of some networks in a row, whose weights follow theirs as an exponential moving average.

    It normalises with the statistics of its own batch while training, as in the authors' codes of
    BYOL and DINO.
    """

    def __init__(self, *sources: nn.Module) -> None:
        """Copies the networks as they are.

        Args:
            sources: networks to be applied one after the other.
        """
        super().__init__()
        # The sources are not kept: they would be registered, counted and saved a second time.
        self.networks = nn.Sequential(*copy.deepcopy(sources))
        deactivate_requires_grad(self.networks)

    @torch.no_grad()
    def forward(self, view: Tensor) -> Tensor:
        """The networks' output, without a graph."""
        return cast(Tensor, self.networks(view))

    @torch.no_grad()
    def follow(self, *sources: nn.Module, momentum: float) -> None:
        """Moves the weights towards the sources' and takes over their buffers.

        Buffers are copied on purpose: lightly's `update_momentum` leaves them out, so running
        means, running variances and input statistics would otherwise never match the weights that
        they belong to, and a teacher that is evaluated would be wrong without a sign of it.

        Args:
            sources: the networks that were given at construction.
            momentum: share of the old weights that is kept, from 0 to 1.
        """
        for source, network in zip(sources, self.networks, strict=True):
            update_momentum(source, network, m=momentum)
            for target, buffer in zip(network.buffers(), source.buffers(), strict=True):
                target.copy_(buffer)


def momentum_at(step: int, *, steps: int, start: float) -> float:
    """Momentum of a slow copy at a step: a half cosine from `start` to 1 over the run (BYOL, section 3.2)."""
    return float(cosine_schedule(step, max_steps=steps, start_value=start, end_value=1.0))


def gathered(projection: Tensor) -> Tensor:
    """The projections of every process, (processes * batch, dim), with gradient.

    As it is where there is one process. Every process then computes the loss of the whole batch.
    The backward pass sums the processes' gradients and distributed training averages them, which
    together is the gradient of one process with the whole batch.
    """
    if dist.world_size() == 1:
        return projection
    return torch.cat(dist.gather(projection))


def averaged(sign: Tensor) -> Tensor:
    """A tensor's mean over the processes, without gradient; as it is where there is one process."""
    sign = sign.detach()
    return sign if dist.world_size() == 1 else torch.stack(dist.gather(sign)).mean(dim=0)


def mean_cosine(first: Tensor, second: Tensor) -> Tensor:
    """Mean cosine between rows of (batch, dim) and (batch, dim), without gradient: a sign to watch, not a loss."""
    return functional.cosine_similarity(first.detach(), second.detach(), dim=-1).mean()
