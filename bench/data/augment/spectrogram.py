"""Augmentations of log-mels: level, equaliser, noise and masks; mixup; resized crops."""

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
# Length of BYOL-A's canvas in spectrograms; it is as high as one (its `virtual_crop_scale`).
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
    """Changes level, equalisation, noise and noise floor, and masks one band and one time.

    These are what a recording's production changes, so that an encoder cannot tell tracks apart by
    them. The parts are CLMR's (gain, filter, noise) and SpecAugment's (masks; Park et al.,
    Interspeech 2019); the ranges are this project's.

    Args:
        views: (batch, 1, mels, frames) log-mels in units of `scale_db` decibels.
        scale_db: how many decibels are 1 in `views`.
        seed: of the run.
        step: optimiser step.
        view: which view of the tracks this is.
        spec: the ranges; its probability is ignored.
        first: index of the first item in its batch, of which these may be a part.

    Returns:
        (batch, 1, mels, frames)
    """
    items, _, mels, frames = views.shape
    # Numbers are drawn for the items before these, too, so that they are those of the whole batch.
    # Parameters and noise have a generator each: drawn from one, the noise would depend on how many
    # items there are.
    batch = first + items
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
    # Masked places get the item's own mean: with a constant, a mask would give the level away.
    masked = bands[:, None, :, None] | times[:, None, None, :]
    return torch.where(masked, changed.mean(dim=(2, 3), keepdim=True), changed)


def _mask(width: Tensor, place: Tensor, size: int, share: float) -> Tensor:
    """(batch, size) bool, True on one run of up to `share * size` places.

    Args:
        width: (batch,) uniform numbers, for the length of the run.
        place: (batch,) uniform numbers, for its start.
        size: number of places.
        share: longest run, as a share of the places.
    """
    length = width * share * size
    start = place * (size - length)
    places = torch.arange(size, device=width.device)
    return (places >= start[:, None]) & (places < (start + length)[:, None])


def mixup(views: Tensor, partners: Tensor, share: Numbers, scale_db: float) -> Tensor:
    """Mixes the power spectra of two items, in the proportions 1 - share and share.

    This is BYOL-A's log-mixup-exp (Niizumi et al., section III.B.1). The authors mix in an input of
    one of the last steps; here it is another item of the batch.

    Args:
        views: (batch, 1, mels, frames) log-mels in units of `scale_db` decibels.
        partners: (batch, 1, mels, frames), the item that is mixed into each.
        share: (batch,) share of the power that is the partner's.
        scale_db: how many decibels are 1 in `views`.

    Returns:
        (batch, 1, mels, frames)
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
    """Draws for each item another one of the batch; itself where it is the only one.

    Args:
        rows: (rows,) indices of the items.
        partner: (rows,) uniform numbers.
        batch: number of items of the batch.

    Returns:
        (rows,) indices.
    """
    if batch <= 1:
        return rows
    return (rows + 1 + np.floor(partner * (batch - 1)).astype(np.int64)) % batch


def resize_crop(
    views: Tensor, bands: Numbers, frames: Numbers, band_place: Numbers, frame_place: Numbers
) -> Tensor:
    """Crops a random part of each item and resizes it to the item's size (BYOL-A, III.B.2).

    The part is of a longer canvas that has the item in its middle. As in the authors' code
    (byol_a/augmentations.py, RandomResizeCrop), the canvas is 1.5 times as long, sizes are rounded
    down and limited to the canvas, and the interpolation is cubic convolution. The rest of the
    canvas is the item's mean; the authors' is 0, the mean of their normalised data.

    Args:
        views: (batch, 1, mels, frames).
        bands: (batch,) height of the part, as a share of the item's bands.
        frames: (batch,) length of the part, as a share of the item's frames.
        band_place: (batch,) uniform numbers, for where the part lies among the bands.
        frame_place: (batch,) uniform numbers, for where it lies among the frames.

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
    """(batch,) first places and (batch,) sizes of parts of one dimension of the canvas.

    Args:
        share: (batch,) size of the part, as a share of `full`.
        place: (batch,) uniform numbers, for where it lies.
        full: size of the item.
        canvas: size of the canvas.
    """
    size = np.clip(np.floor(share * full), 1, canvas)
    return np.floor(place * (canvas - size + 1)), size


def _resized(canvas: Tensor, first: Numbers, size: Numbers, full: int, dim: int) -> Tensor:
    """Resizes the places [first, first + size) of one dimension to `full` places.

    The first and the last place keep their values ("align corners").
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
    """Weights of the four nearest places in cubic convolution (Keys, 1981).

    Args:
        after: distance of the point from the second of the four places, 0 to 1.
    """

    def near(x: Numbers) -> Numbers:
        return ((_CUBIC + 2) * x - (_CUBIC + 3)) * x * x + 1

    def far(x: Numbers) -> Numbers:
        return ((x - 5) * x + 8) * x * _CUBIC - 4 * _CUBIC

    return far(after + 1), near(after), near(1 - after), far(2 - after)
