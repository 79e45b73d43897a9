"""Augmentations of log-mel views, batched on the device, each item's own: a function of (seed, step, index) alone."""

import numpy as np
import torch
from torch import Tensor

from bench.randomness import generator

_GAIN_DB = 6.0  # largest change of level, up or down
_NOISE_DB = 3.0  # largest deviation of the noise on each bin
_MASKED = 0.25  # largest share of the bands, and of the frames, that one mask covers
_FILTER_DB = 12.0  # largest tilt of the spectrum, from the lowest band to the highest


def log_mel(views: Tensor, scale_db: float, seed: int, step: int, view: int) -> Tensor:
    """Level, spectral tilt, noise, one band mask and one frame mask.

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
    random = generator(seed, f"augment view {view}", step)
    uniform = torch.from_numpy(random.random((batch, 7)).astype(np.float32)).to(views.device)
    noise = torch.from_numpy(random.standard_normal((batch, 1, mels, frames), dtype=np.float32)).to(views.device)
    gain = (2 * uniform[:, 0] - 1) * (_GAIN_DB / scale_db)
    tilt = (2 * uniform[:, 1] - 1) * (_FILTER_DB / scale_db)
    ramp = torch.linspace(-0.5, 0.5, mels, device=views.device)
    changed = views + gain[:, None, None, None] + (tilt[:, None] * ramp)[:, None, :, None]
    changed = changed + noise * (uniform[:, 2] * _NOISE_DB / scale_db)[:, None, None, None]
    masked = (
        _mask(uniform[:, 3], uniform[:, 4], mels)[:, None, :, None]
        | _mask(uniform[:, 5], uniform[:, 6], frames)[:, None, None, :]
    )
    # A mask takes the item's own mean: a constant of its own would tell level apart from silence.
    return torch.where(masked, changed.mean(dim=(2, 3), keepdim=True), changed)


def _mask(width: Tensor, place: Tensor, size: int) -> Tensor:
    """(batch,) uniform numbers -> (batch, size) bool, True on one run of up to `_MASKED * size` places."""
    length = width * _MASKED * size
    start = place * (size - length)
    places = torch.arange(size, device=width.device)
    return (places >= start[:, None]) & (places < (start + length)[:, None])
