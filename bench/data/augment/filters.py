"""Low-pass and high-pass filters of waveforms, every item with its own kind and cutoff."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.augment import fourier

_BLOCK = 4096  # the fewest samples that are transformed at once
_ZEROS = 8  # zero crossings of the sinc that are kept, half of them on each side


def high_low_pass(
    waveforms: Tensor,
    low_pass: NDArray[np.float64],
    cutoff_hz: NDArray[np.float64],
    lowest_hz: float,
    sample_rate: int,
) -> Tensor:
    """Windowed-sinc filters without delay; 6 dB down at the cutoff.

    CLMR's library calls julius (augmentations/filter.py): `lowpass_filter` with its 8 zero
    crossings under a Hann window; its high-pass filter is the signal less what the low-pass filter
    passes. As in later versions of julius, the kernel's sum is 1, so that the high-pass filter
    removes a constant. Beyond the ends of an item there is silence. (The library's first versions
    called Essentia's filters of first order, which fall by 6 dB an octave.)

    Args:
        waveforms: (batch, samples).
        low_pass: (batch,) 1 for a low-pass filter, 0 for a high-pass one.
        cutoff_hz: (batch,) cutoffs in Hz.
        lowest_hz: a lower bound of all cutoffs of the run. All kernels are as long as one for this
            cutoff, so that an item does not depend on the other items of its batch.
        sample_rate: in Hz.

    Returns:
        (batch, samples)
    """
    samples, device = waveforms.shape[1], waveforms.device
    reach = int(min(_ZEROS * sample_rate / lowest_hz / 2, samples))
    kernels = torch.from_numpy(_kernels(cutoff_hz / sample_rate, low_pass, reach)).to(device)
    # Overlap-save: blocks overlap, and of each filtered block the part is kept that the circular
    # convolution's wrap-around does not reach.
    size = fourier.fast_size(max(_BLOCK, 4 * reach))
    hop = size - 2 * reach
    blocks = -(-samples // hop)
    padded = torch.nn.functional.pad(waveforms, (reach, blocks * hop + reach - samples)).unfold(
        1, size, hop
    )
    bins = torch.fft.rfft(padded).mul_(torch.fft.rfft(kernels, size)[:, None])
    filtered: Tensor = torch.fft.irfft(bins, size)[:, :, 2 * reach :].flatten(1)
    return filtered[:, :samples]


def _kernels(
    cutoff: NDArray[np.float64], low_pass: NDArray[np.float64], reach: int
) -> NDArray[np.float32]:
    """(batch, 2 * reach + 1) symmetric kernels.

    Args:
        cutoff: (batch,) in cycles a sample.
        low_pass: (batch,) 1 for a low-pass filter, 0 for a high-pass one.
        reach: samples of a kernel on either side of its middle.
    """
    cutoff = np.minimum(cutoff, 0.5)[:, None]
    half = np.minimum(np.floor(_ZEROS / cutoff / 2), reach)
    place = np.arange(-reach, reach + 1)
    window = np.where(np.abs(place) <= half, 0.5 + 0.5 * np.cos(np.pi * place / half), 0.0)
    kernels = window * np.sinc(2 * cutoff * place)
    kernels /= kernels.sum(axis=1, keepdims=True)
    kernels[low_pass == 0] *= -1  # a high-pass filter is an impulse less the low-pass filter
    kernels[low_pass == 0, reach] += 1
    return kernels.astype(np.float32)
