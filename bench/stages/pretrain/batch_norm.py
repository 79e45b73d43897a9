"""Batch normalisation by the statistics of a batch that several processes share."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def synchronise(network: nn.Module, device: torch.device) -> None:
    """Makes every batch normalisation of a network use the batch of all processes in training.

    Names and shapes of weights and buffers stay, so a checkpoint fits any number of processes. On a
    GPU it is torch's `SyncBatchNorm`; torch has none for the CPU.

    Args:
        network: changed in place.
        device: where the network is.
    """
    if device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        return
    for part in network.modules():
        if isinstance(part, _BatchNorm):
            # Nothing but the class changes: parameters and buffers stay under their names.
            part.__class__ = _Shared


class _Shared(_BatchNorm):
    """Computes what `BatchNorm1d` and its like do, from equal parts of a batch in each process."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalises (part of the batch, channels, ...)."""
        if not self.training:
            return super().forward(input)
        output, mean, variance = _Normalise.apply(input, self.weight, self.bias, self.eps)
        if (
            self.track_running_stats
            and self.running_mean is not None
            and self.running_var is not None
        ):
            assert self.num_batches_tracked is not None
            self.num_batches_tracked.add_(1)
            share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
            count = _count(input)
            self.running_mean.lerp_(mean.to(self.running_mean), share)
            self.running_var.lerp_(
                (variance * (count / max(1, count - 1))).to(self.running_var), share
            )
        result: Tensor = output
        return result

    def _check_input_dim(self, input: Tensor) -> None:
        """Accepts any number of dimensions, as this class stands for all kinds of BatchNorm."""


def _count(inputs: Tensor) -> int:
    """Number of values of each channel, over all processes."""
    return inputs.numel() // inputs.shape[1] * dist.get_world_size()


class _Normalise(torch.autograd.Function):
    """Normalises by the mean and the (biased) variance over all processes.

    The gradient is that of Ioffe and Szegedy (arXiv 1502.03167). Torch's kernels of the evaluation
    mode do what is done value by value, forwards and backwards; the two terms that flow back
    through mean and variance are added to what they give.
    """

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, weight: Tensor | None, bias: Tensor | None, epsilon: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        inputs = inputs.contiguous()
        wide = inputs.float() if inputs.dtype in (torch.float16, torch.bfloat16) else inputs
        # The biased variance, and four times as fast as `var_mean` over several dimensions.
        mean, variance = torch.batch_norm_update_stats(wide, None, None, 0.0)
        part = torch.stack([mean, variance])
        parts = [torch.empty_like(part) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, part)
        means, variances = torch.stack(parts).unbind(1)
        # The variance is the mean variance of the parts and the variance of their means. The mean
        # of squares less the square of the mean would lose digits where the mean is large.
        mean = means.mean(0)
        variance = variances.mean(0) + (means - mean).square().mean(0)
        ctx.save_for_backward(inputs, weight, mean, variance)
        ctx.epsilon = epsilon
        ctx.mark_non_differentiable(mean, variance)
        output = nn.functional.batch_norm(
            inputs, mean, variance, weight, bias, training=False, eps=epsilon
        )
        return output, mean, variance

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weight, mean, variance = ctx.saved_tensors
        scale = torch.ones_like(mean) if weight is None else weight
        # In evaluation mode (train=False) the kernel takes mean and variance for constants.
        direct, by_weight, by_bias = torch.ops.aten.native_batch_norm_backward(
            gradient.contiguous(), inputs, scale, mean, variance, None, None, False, ctx.epsilon,
            [True, True, True],
        )  # fmt: skip
        sums = torch.stack([by_weight, by_bias]).to(mean)
        dist.all_reduce(sums)
        spread, centre = (sums / _count(inputs)).unbind(0)
        # The gradient is direct - scale / deviation * (centre + normalised * spread), where the
        # second term is linear in the inputs: level + slope * inputs.
        inverse = (variance + ctx.epsilon).rsqrt()
        slope = scale * inverse.square() * spread
        level = scale * inverse * centre - slope * mean
        shape = (1, -1, *[1] * (inputs.ndim - 2))
        direct -= torch.addcmul(level.view(shape), inputs, slope.view(shape)).to(direct)
        given = weight is not None
        return direct, by_weight if given else None, by_bias if given else None, None
