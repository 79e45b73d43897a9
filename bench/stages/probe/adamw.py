"""AdamW for a stack of probes: each grid point has its own learning rate and weight decay."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from bench.stages.probe.network import STATISTICS, Weights

_DECAYED = ("hidden", "output")
_BETAS, _EPSILON = (0.9, 0.999), 1e-8  # those of torch.optim.AdamW


class StackedAdamW:
    """AdamW (Loshchilov and Hutter, ICLR 2019, algorithm 2) for each point of a stack.

    Equal to `torch.optim.AdamW` point by point; biases and batch normalisation are not decayed.

    Attributes:
        weights: those of the points that are still in the stack; `step` changes them in place.
    """

    def __init__(self, weights: Weights, points: Sequence[tuple[float, float]]) -> None:
        """Takes the weights, and the learning rate and weight decay of each point."""
        self.weights = weights
        self._names = [name for name in weights if name not in STATISTICS]
        self._means = {name: torch.zeros_like(weights[name]) for name in self._names}
        self._squares = {name: torch.zeros_like(weights[name]) for name in self._names}
        self._count, self._points = 0, list(points)
        self._arrange()

    def keep(self, subsets: NDArray[np.int64], points: NDArray[np.int64]) -> None:
        """Drops all subsets and points but those at these places of the stack."""
        for tensors in self._state():
            for name in tensors:
                rows, columns = (
                    torch.from_numpy(kept).to(tensors[name].device) for kept in (subsets, points)
                )
                tensors[name] = tensors[name].index_select(0, rows).index_select(1, columns)
        self._points = [self._points[point] for point in points]
        self._arrange()

    def step(self, slopes: Weights) -> None:
        """Updates the weights in place by their gradients."""
        self._count += 1
        for name in _DECAYED:
            if name in self.weights:
                self.weights[name].mul_(self._shrinkage)
        if self.weights["output"].is_cpu and len(self.weights["output"]) == 1:
            self._fused(slopes)
            return
        first, second = _BETAS
        for name in self._names:
            mean, square = self._means[name].lerp_(slopes[name], 1 - first), self._squares[name]
            square.mul_(second).addcmul_(slopes[name], slopes[name], value=1 - second)
            scale = (square / (1 - second**self._count)).sqrt_().add_(_EPSILON)
            self.weights[name].sub_(self._rates / (1 - first**self._count) * mean / scale)

    def _fused(self, slopes: Weights) -> None:
        """Updates the weights of a single subset by the kernel of torch.optim.AdamW.

        It passes over memory once, but knows one learning rate a call: one call a run of points.
        """
        steps = [torch.tensor(float(self._count))] * len(self._names)
        for start, stop, (weights, means, squares) in self._runs:
            gradients = [slopes[name][0, start:stop] for name in self._names]
            # The weights are decayed already, by each point's own factor.
            torch._fused_adamw_(
                weights, gradients, means, squares, [], steps, amsgrad=False, maximize=False,
                weight_decay=0.0, lr=self._points[start][0], beta1=_BETAS[0], beta2=_BETAS[1],
                eps=_EPSILON,
            )  # fmt: skip

    def _state(self) -> tuple[Weights, Weights, Weights]:
        return self.weights, self._means, self._squares

    def _arrange(self) -> None:
        """Computes what depends on which points are in the stack.

        These are the rates and factors of decay as tensors, and the runs of neighbouring points of
        one rate, each with views of the weights and moments of the first subset.
        """
        device = self.weights["output"].device
        rates = [rate for rate, _ in self._points]
        self._rates = torch.tensor(rates, device=device).view(1, -1, 1, 1)
        # Computed in float64 and then rounded, as torch does it.
        shrinkage = [1 - rate * decay for rate, decay in self._points]
        self._shrinkage = torch.tensor(shrinkage, device=device).view(1, -1, 1, 1)
        starts = [
            place for place in range(len(rates)) if place == 0 or rates[place] != rates[place - 1]
        ]
        self._runs = [
            (
                start,
                stop,
                [
                    [tensors[name][0, start:stop] for name in self._names]
                    for tensors in self._state()
                ],
            )
            for start, stop in pairwise([*starts, len(rates)])
        ]
