"""Projectors, momentum encoders and other parts that several methods share.

They are built on lightly where lightly has them. Schedules are functions of (step, steps) and
nothing keeps a hidden counter, so that a resumed run is the same as one that was not interrupted.
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
    """Builds a projector: linear-BatchNorm-ReLU blocks, and a plain linear layer at the end.

    Args:
        width: width of the input.
        hidden: width of every layer but the last.
        output: width of the output.
        layers: number of linear layers; 1 gives a single linear map.
        bias: whether the last layer has a bias; the others never do, since BatchNorm follows them.

    Returns:
        A network (batch, width) -> (batch, output).
    """
    widths = [width, *[hidden] * (layers - 1)]
    blocks = [
        (before, after, nn.BatchNorm1d(after), nn.ReLU(), False)
        for before, after in pairwise(widths)
    ]
    return cast(nn.Module, ProjectionHead([*blocks, (widths[-1], output, None, None, bias)]))


class PrototypeHead(nn.Module):
    """A head that ends in prototypes: (batch, width) -> (batch, prototypes) logits.

    With `normalise`, it is DINO's head: GELU, an L2-normalised bottleneck and prototypes of unit
    length, so that logits are cosines. It computes the same as
    `lightly.models.modules.heads.DINOProjectionHead`, as a test checks. lightly's is not used
    because it is built on `torch.nn.utils.weight_norm`, which is deprecated and cannot be
    deep-copied; with a gain fixed to 1, weight normalisation only normalises the rows. Without
    `normalise`, it is the head of Deezer's comparison: BatchNorm and ReLU after every layer, and a
    plain linear map at the end.
    """

    def __init__(
        self, width: int, *, hidden: int, bottleneck: int, prototypes: int, normalise: bool = True
    ) -> None:
        """Builds the network with freshly drawn weights.

        Args:
            width: width of the input.
            hidden: width of the two hidden layers.
            bottleneck: width of the layer before the prototypes.
            prototypes: number of prototypes, which is the width of the output.
            normalise: whether to build DINO's head (True) or Deezer's (False).
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
        """Computes the logits of the prototypes.

        Args:
            embedding: (batch, width).
            freeze: whether to give the prototypes a gradient of zero, so that they do not learn. A
                gradient is still needed, since distributed training expects the same parameters to
                take part in every step.

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
    """Initialises a linear layer as DINO does: truncated normal weights (0.02), biases of zero."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)


class SlowCopy(nn.Module):
    """A momentum encoder: its weights follow those of its sources as a moving average.

    It is the teacher of BYOL and DINO, a copy of one or several networks that are applied in
    sequence. While training, its BatchNorm uses the statistics of the batch, as in the authors'
    code of both.
    """

    def __init__(self, *sources: nn.Module) -> None:
        """Copies the networks.

        Args:
            sources: networks to be applied one after the other.
        """
        super().__init__()
        # The sources are not stored: as submodules they would be counted and saved a second time.
        self.networks = nn.Sequential(*copy.deepcopy(sources))
        deactivate_requires_grad(self.networks)

    @torch.no_grad()
    def forward(self, view: Tensor) -> Tensor:
        """Returns the output of the copied networks for a view, without gradient."""
        return cast(Tensor, self.networks(view))

    @torch.no_grad()
    def follow(self, *sources: nn.Module, momentum: float) -> None:
        """Moves the weights towards those of the sources, and copies the buffers of the sources.

        lightly's `update_momentum` leaves buffers out. Running means and variances and input
        statistics would then never match the weights that they belong to, and evaluating the copy
        would silently give wrong results.

        Args:
            sources: the networks that were given at construction, in the same order.
            momentum: share of its old weights that the copy keeps, from 0 to 1.
        """
        for source, network in zip(sources, self.networks, strict=True):
            update_momentum(source, network, m=momentum)
            for target, buffer in zip(network.buffers(), source.buffers(), strict=True):
                target.copy_(buffer)


def momentum_at(step: int, *, steps: int, start: float) -> float:
    """Computes the momentum of a slow copy, a half cosine from `start` to 1 over the run.

    This is the schedule of BYOL, section 3.2.

    Args:
        step: number of the optimiser step, from 0.
        steps: length of the run in steps.
        start: momentum at the first step.
    """
    return float(cosine_schedule(step, max_steps=steps, start_value=start, end_value=1.0))


def gathered(projection: Tensor) -> Tensor:
    """Collects the projections of all processes, with gradient, so that items can be compared.

    Every process then computes the loss of the whole batch. The backward pass sums the gradients
    over the processes and distributed training averages them, which together gives the gradient
    that one process with the whole batch would compute.

    Args:
        projection: (batch, dim) projections of this process.

    Returns:
        (processes * batch, dim); with one process the argument itself.
    """
    if dist.world_size() == 1:
        return projection
    return torch.cat(dist.gather(projection))


def averaged(sign: Tensor) -> Tensor:
    """Averages a tensor over the processes, without gradient; with one process it is unchanged."""
    sign = sign.detach()
    return sign if dist.world_size() == 1 else torch.stack(dist.gather(sign)).mean(dim=0)


def mean_cosine(first: Tensor, second: Tensor) -> Tensor:
    """Computes the mean cosine between matching rows, a diagnostic without gradient.

    Args:
        first: (batch, dim).
        second: (batch, dim).

    Returns:
        A scalar from -1 to 1.
    """
    return functional.cosine_similarity(first.detach(), second.detach(), dim=-1).mean()
