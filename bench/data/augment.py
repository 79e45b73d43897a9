"""Augmentations of log-mel views, batched on the device, each item's own: a function of (seed, step, index) alone."""

import numpy as np
import torch
from torch import Tensor

from bench.randomness import generator

_GAIN_DB = 6.0  # largest change of level, up or down
_CURVE_DB = 12.0  # largest gain of the equaliser at each of its nodes, up or down
_CURVE_NODES = 6
_NOISE_DB = 3.0  # largest deviation of the noise on each bin
_FLOOR_DB = 30.0  # highest noise floor, above the item's quietest bin
_MASKED = 0.25  # largest share of the bands, and of the frames, that one mask covers


def log_mel(views: Tensor, scale_db: float, seed: int, step: int, view: int) -> Tensor:
    """Level, equaliser, noise, noise floor, one band mask and one frame mask.

    What is changed is what a production changes, so that it cannot serve to tell tracks apart. The parts are CLMR's
    (gain, filter, noise) and SpecAugment's (masks; Park et al., Interspeech 2019); the ranges are this project's.

    Args:
        views: (batch, 1, mels, frames) log-mels in units of `scale_db` decibels.
        scale_db: decibels that are 1 in `views`.
        seed: of the run.
        step: optimiser step.
        view: which view of the tracks this is.

    Returns:
        (batch, 1, mels, frames)
    """
    batch, _, mels, frames = views.shape
    # A generator for each: noise drawn behind the parameters would depend on how many items there are.
    parameters = generator(seed, f"augment view {view}", step).random((batch, 7 + _CURVE_NODES))
    normal = generator(seed, f"noise of view {view}", step).standard_normal((batch, 1, mels, frames), dtype=np.float32)
    uniform = torch.from_numpy(parameters.astype(np.float32)).to(views.device)
    noise = torch.from_numpy(normal).to(views.device)
    gain = (2 * uniform[:, 0] - 1) * (_GAIN_DB / scale_db)
    nodes = (2 * uniform[:, 7:] - 1) * (_CURVE_DB / scale_db)
    curve = torch.nn.functional.interpolate(nodes[:, None], size=mels, mode="linear", align_corners=True)[:, 0]
    changed = views + gain[:, None, None, None] + curve[:, None, :, None]
    changed = changed + noise * (uniform[:, 1] * _NOISE_DB / scale_db)[:, None, None, None]
    quietest = changed.amin(dim=(2, 3), keepdim=True)
    changed = torch.maximum(changed, quietest + uniform[:, 2, None, None, None] * (_FLOOR_DB / scale_db))
    bands, times = _mask(uniform[:, 3], uniform[:, 4], mels), _mask(uniform[:, 5], uniform[:, 6], frames)
    # A mask takes the item's own mean: a constant of its own would tell level apart from silence.
    masked = bands[:, None, :, None] | times[:, None, None, :]
    return torch.where(masked, changed.mean(dim=(2, 3), keepdim=True), changed)


def _mask(width: Tensor, place: Tensor, size: int) -> Tensor:
    """(batch,) uniform numbers -> (batch, size) bool, True on one run of up to `_MASKED * size` places."""
    length = width * _MASKED * size
    start = place * (size - length)
    places = torch.arange(size, device=width.device)
    return (places >= start[:, None]) & (places < (start + length)[:, None])
