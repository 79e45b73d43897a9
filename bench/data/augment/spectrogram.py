"""Augmentations of log-mel spectrograms: change of level and masks, a resized part, and another item mixed in."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.core.randomness import generator
from bench.data.augment.level import column
from bench.settings.augmentations import LogMelChangeSpec

Numbers = NDArray[np.float64]

_CUBIC = -0.75  # the free parameter of cubic convolution, as in PyTorch's "bicubic"
# length of BYOL-A's canvas, in spectrograms; it is no higher than one (its `virtual_crop_scale`)
_CANVAS = 1.5


def log_mel(
    views: Tensor,
    scale_db: float,
    seed: int,
    step: int,
    view: int,
    spec: LogMelChangeSpec = LogMelChangeSpec(),  # noqa: B008 - frozen
    first: int = 0,
) -> Tensor:
    """Level, equaliser, noise, noise floor, one band mask and one frame mask.

    What is changed is what a production changes, so that it cannot serve to tell tracks apart. The
    parts are CLMR's (gain, filter, noise) and SpecAugment's (masks; Park et al., Interspeech 2019);
    the ranges are this project's.

    Args:
        views: (batch, 1, mels, frames) log-mels in units of `scale_db` decibels.
        scale_db: decibels that are 1 in `views`.
        seed: of the run.
        step: optimiser step.
        view: which view of the tracks this is.
        spec: the ranges; its probability is not looked at.
        first: place of the first item in its batch, of which these may be a part.

    Returns:
        (batch, 1, mels, frames)
    """
    items, _, mels, frames = views.shape
    batch = (
        first + items
    )  # what stands before is drawn in vain: the numbers are those of the whole batch
    # A generator for each: noise drawn behind the parameters would depend on how many items there
    # are.
    numbers = 7 + spec.equaliser_nodes
    parameters = generator(seed, f"augment view {view}", step).random((batch, numbers))
    normal = generator(seed, f"noise of view {view}", step).standard_normal(
        (batch, 1, mels, frames), dtype=np.float32
    )
    uniform = torch.from_numpy(parameters[first:].astype(np.float32)).to(views.device)
    noise = torch.from_numpy(normal[first:]).to(views.device)
    gain = (2 * uniform[:, 0] - 1) * (spec.gain_db / scale_db)
    nodes = (2 * uniform[:, 7:] - 1) * (spec.equaliser_db / scale_db)
    curve = torch.nn.functional.interpolate(
        nodes[:, None], size=mels, mode="linear", align_corners=True
    )[:, 0]
    changed = views + gain[:, None, None, None] + curve[:, None, :, None]
    changed = changed + noise * (uniform[:, 1] * spec.noise_db / scale_db)[:, None, None, None]
    quietest = changed.amin(dim=(2, 3), keepdim=True)
    changed = torch.maximum(
        changed, quietest + uniform[:, 2, None, None, None] * (spec.floor_db / scale_db)
    )
    bands = _mask(uniform[:, 3], uniform[:, 4], mels, spec.band_mask)
    times = _mask(uniform[:, 5], uniform[:, 6], frames, spec.frame_mask)
    # A mask takes the item's own mean: a constant of its own would tell level apart from silence.
    masked = bands[:, None, :, None] | times[:, None, None, :]
    return torch.where(masked, changed.mean(dim=(2, 3), keepdim=True), changed)


def _mask(width: Tensor, place: Tensor, size: int, share: float) -> Tensor:
    """(batch,) uniform numbers -> (batch, size) bool, True on one run of up to `share * size` places."""
    length = width * share * size
    start = place * (size - length)
    places = torch.arange(size, device=width.device)
    return (places >= start[:, None]) & (places < (start + length)[:, None])


def mixup(views: Tensor, partners: Tensor, share: Numbers, scale_db: float) -> Tensor:
    """Power spectra mixed, in the proportions 1 - share and share (BYOL-A's log-mixup-exp.

    Niizumi et al., III.B.1). The authors mix in an input of one of the last steps; here it is
    another item of the batch.

    Args:
        views: (batch, 1, mels, frames) log-mels in units of `scale_db` decibels.
        partners: likewise, the item that is mixed into each.
        share: (batch,) of the power that is the partner's.
        scale_db: decibels that are 1 in `views`.
    """
    nepers = scale_db * math.log(10) / 10  # decibels of power
    shares = column(share, views)[:, :, None, None]
    return (
        torch.logaddexp(
            views * nepers + torch.log1p(-shares), partners * nepers + torch.log(shares)
        )
        / nepers
    )


def partners_of(rows: NDArray[np.int64], partner: Numbers, batch: int) -> NDArray[np.int64]:
    """For each of the rows another item of the batch, from (rows,) uniform numbers.

    Itself where it is the only one.
    """
    return (
        (rows + 1 + np.floor(partner * (batch - 1)).astype(np.int64)) % batch if batch > 1 else rows
    )


def resize_crop(
    views: Tensor, bands: Numbers, frames: Numbers, band_place: Numbers, frame_place: Numbers
) -> Tensor:
    """A random part of a longer canvas on which the spectrogram lies in the middle, resized (BYOL-A, III.B.2).

    As in the authors' code (byol_a/augmentations.py, RandomResizeCrop): the canvas is 1.5 times as
    long, sizes are rounded down and cut to the canvas, and the interpolation is cubic convolution.
    The rest of the canvas is the item's mean; the authors' is 0, the mean of their normalised data.

    Args:
        views: (batch, 1, mels, frames).
        bands: (batch,) height of the part, as a share of the bands.
        frames: (batch,) length of the part, as a share of the frames.
        band_place: (batch,) uniform numbers: where the part lies among the bands.
        frame_place: (batch,) uniform numbers: likewise among the frames.

    Returns:
        (batch, 1, mels, frames)
    """
    mels, length = views.shape[2:]
    longer = int(length * _CANVAS)
    left = (longer - length) // 2
    canvas = views.mean(dim=(2, 3), keepdim=True).repeat(1, 1, mels, longer)
    canvas[..., left : left + length] = views
    first, size = _part(bands, band_place, mels, mels)
    canvas = _resized(canvas, first, size, mels, 2)
    first, size = _part(frames, frame_place, length, longer)
    return _resized(canvas, first, size, length, 3)


def _part(share: Numbers, place: Numbers, full: int, canvas: int) -> tuple[Numbers, Numbers]:
    """First place and size of a part of the canvas."""
    size = np.clip(np.floor(share * full), 1, canvas)
    return np.floor(place * (canvas - size + 1)), size


def _resized(canvas: Tensor, first: Numbers, size: Numbers, full: int, dim: int) -> Tensor:
    """The places first ..

    First + size - 1 of one dimension, spread over `full` places with the corners kept.
    """
    at = np.arange(full) * ((size - 1) / max(1, full - 1))[:, None]
    before = np.minimum(np.floor(at), np.maximum(size - 1, 0)[:, None])
    after = at - before
    shape = [len(first), 1, 1, 1]
    shape[dim] = full
    result = torch.zeros(())
    for number, weight in enumerate(_cubic(after)):
        index = first[:, None] + np.clip(before + number - 1, 0, (size - 1)[:, None])
        places = torch.from_numpy(index.astype(np.int64)).to(canvas.device).view(shape)
        wide = [canvas.shape[axis] if axis != dim else full for axis in range(4)]
        part = canvas.gather(dim, places.expand(wide))
        part = part * torch.from_numpy(weight.astype(np.float32)).to(canvas.device).view(shape)
        result = part if number == 0 else result + part
    return result


def _cubic(after: Numbers) -> tuple[Numbers, ...]:
    """Weights of the four nearest places in cubic convolution (Keys, 1981), from the distance to the second."""

    def near(x: Numbers) -> Numbers:
        return ((_CUBIC + 2) * x - (_CUBIC + 3)) * x * x + 1

    def far(x: Numbers) -> Numbers:
        return ((x - 5) * x + 8) * x * _CUBIC - 4 * _CUBIC

    return far(after + 1), near(after), near(1 - after), far(2 - after)
