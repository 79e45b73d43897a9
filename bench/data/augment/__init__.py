"""Augmentations of views, batched on the device, each item's own: a function of (seed, step, index) alone."""

from bench.data.augment.chain import Chain
from bench.data.augment.spectrogram import log_mel

__all__ = ["Chain", "log_mel"]
