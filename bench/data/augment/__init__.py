"""Augmentations of batches of views, on the device; each item gets its own.

What happens to an item is a function of (seed, step, view, index) alone.
"""

from bench.data.augment.chain import Chain
from bench.data.augment.spectrogram import log_mel

__all__ = ["Chain", "log_mel"]
