"""Views: segments of tracks that are drawn as a function of (seed, step, index) alone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.core.randomness import generator
from bench.core.world import Part
from bench.data.pcm import PcmStore
from bench.settings.specs import ViewsSpec


@dataclass(frozen=True)
class Views:
    """The waveforms of one batch.

    Attributes:
        waveforms: (views, items, samples) int16.
        rows: (items,) place in the data set of the track of each item.
    """

    waveforms: NDArray[np.int16]
    rows: NDArray[np.int64]


class ViewSampler:
    """Cuts views from the tracks of a store.

    Attributes:
        batch_size: items of a batch.
        sample_rate: in Hz.
        short: how many tracks are shorter than one view; they are repeated to its length.
        tight: how many tracks are too short for two segments that keep the gap; their segments lie
            as far apart as possible.
    """

    def __init__(
        self,
        store: PcmStore,
        rows: NDArray[np.int64],
        seconds: float,
        views: int,
        batch_size: int,
        spec: ViewsSpec,
        seed: int,
    ) -> None:
        """Takes the settings; reads no audio.

        Args:
            store: the audio.
            rows: places of the tracks to draw from.
            seconds: length of a view.
            views: number of views of each track, 1 or 2.
            batch_size: items of a batch; no track is twice in one batch unless there are fewer
                tracks than items.
            spec: how segments are placed.
            seed: of everything that is drawn.
        """
        self._store, self._seed, self._spec = store, seed, spec
        # A labelled subset may hold fewer tracks than a batch: then each gives several items.
        self._rows = np.tile(rows, -(-batch_size // len(rows)))
        self._samples = round(seconds * store.sample_rate)
        self._gap = round(spec.min_gap_seconds * store.sample_rate)
        self._views = views
        self.batch_size, self.sample_rate = batch_size, store.sample_rate
        frames = store.frames[rows]
        self.short = int((frames < self._samples).sum())
        apart = 2 * self._samples + self._gap
        self.tight = int((frames < apart).sum()) if views == 2 and spec.mode == "segments" else 0

    def batch(self, step: int, part: Part | None = None) -> Views:
        """Draws and reads the batch of one step.

        In an epoch every track comes once at most; tracks that do not fill a batch are dropped.

        Args:
            step: optimiser step, from 0.
            part: which items of the batch are read; None for all.
        """
        first, end = (part.first, part.end) if part else (0, self.batch_size)
        per_epoch = len(self._rows) // self.batch_size
        epoch, place = divmod(step, per_epoch)
        order = generator(self._seed, "track order", epoch).permutation(len(self._rows))
        rows = self._rows[order[place * self.batch_size :][first:end]]
        uniform = generator(self._seed, "segments", step).random((self.batch_size, 3))[first:end]
        waveforms = np.empty((self._views, end - first, self._samples), np.int16)
        for item, (row, numbers) in enumerate(zip(rows, uniform, strict=True)):
            for view, start in enumerate(self._starts(int(self._store.frames[row]), numbers)):
                waveforms[view, item] = self._store.read(int(row), start, self._samples)
        return Views(waveforms, rows)

    def _starts(self, frames: int, uniform: NDArray[np.float64]) -> list[int]:
        """First samples of the views in a track of `frames`, from three uniform numbers."""
        slack = frames - self._samples
        if slack < 0:  # a track shorter than a view is repeated, so it may begin anywhere
            starts = [int(number * frames) for number in uniform[:2]]
        elif self._views == 1 or self._spec.mode != "segments":
            starts = [int(number * (slack + 1)) for number in uniform[:2]]
        else:
            # Uniform over all ordered pairs of starts that keep the distance; in a short track, the
            # largest distance that it has room for.
            apart = min(self._samples + self._gap, slack)
            low, high = sorted(int(number * (slack - apart + 1)) for number in uniform[:2])
            starts = [low, high + apart]
            if uniform[2] < 0.5:
                starts.reverse()
        if self._spec.mode == "same":
            starts = [starts[0]] * 2
        return starts[: self._views]


def segment_starts(frames: int, samples: int) -> list[int]:
    """First samples of the non-overlapping segments of a track, in order; at least one.

    What is left at the end and is shorter than a segment is not embedded. A track shorter than a
    segment is to be repeated to its length.

    Args:
        frames: length of the track, in samples.
        samples: length of a segment, in samples.
    """
    return [place * samples for place in range(max(1, frames // samples))]
