"""A chain of augmentations: draws parameters for each item of a batch, and applies them."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.core.errors import InputError
from bench.core.threads import in_threads
from bench.core.world import Part
from bench.data.augment import filters, level, pitch, reverb, spectrogram
from bench.data.augment.draw import Draw, draw
from bench.settings.augmentations import SPECTROGRAM, WAVEFORM, AugmentSpec, Transform

_PIECE = 24  # crops that go through the whole chain together on a CPU


class Chain:
    """Applies the transforms of a spec, in its order, each to the items that it was drawn for.

    Every random number is a function of (seed, transform, view, step, index). So an item is changed
    in the same way in a batch of any size, on any device and after any restart; on a CPU to the
    last bit, with any number of threads. Only `mixup` looks at other items.

    Attributes:
        spec: the transforms.
        sample_rate: of the waveforms, in Hz.
    """

    def __init__(
        self,
        spec: AugmentSpec,
        sample_rate: int,
        scale_db: float | None = None,
        seed: int = 0,
        part: Part | None = None,
        gathered: Callable[[Tensor], Tensor] = lambda items: items,
    ) -> None:
        """Takes the settings.

        Args:
            spec: the transforms.
            sample_rate: of the waveforms, in Hz.
            scale_db: how many decibels are 1 in the log-mels; None where there are no log-mels.
            seed: of the run.
            part: which items of each batch this process has; None for all.
            gathered: for a part: collects the whole batch from all processes.

        Raises:
            InputError: a high-pass filter's cutoff may lie above half the sample rate.
        """
        if spec.filter.probability and spec.filter.high_highpass_hz >= sample_rate / 2:
            raise InputError(
                f"augment.filter.high_highpass_hz = {spec.filter.high_highpass_hz:g}: give less "
                f"than half the sample rate of {sample_rate} Hz, or nothing is left of a crop"
            )
        self.spec, self.sample_rate = spec, sample_rate
        self._scale_db, self._seed = scale_db, seed
        self._part, self._gathered = part, gathered

    def draws(self, batch: int, step: int, view: int) -> dict[str, Draw]:
        """What `waveform` does to a batch: name of each transform -> its items and parameters."""
        return {name: self._draw(name, batch, step, view) for name in WAVEFORM}

    def waveform(self, waveforms: Tensor, step: int, view: int) -> Tensor:
        """(batch, samples) float32 -> (batch, samples), changed."""
        if not self.spec.on_waveform:
            return waveforms
        part = self._part or Part(0, len(waveforms), len(waveforms))
        changed = waveforms.clone()
        draws = {
            name: drawn.within(part.first, part.end)
            for name, drawn in self.draws(part.batch, step, view).items()
        }
        if waveforms.device.type != "cpu":
            self._change(changed, draws)
            return changed
        # A few crops at a time stay in the cache through the whole chain, and no thread waits for
        # another before all is done.
        size = min(_PIECE, -(-len(waveforms) // torch.get_num_threads()))
        pieces = [
            (
                changed[first : first + size],
                {name: drawn.within(first, first + size) for name, drawn in draws.items()},
            )
            for first in range(0, len(waveforms), size)
        ]
        in_threads(lambda piece: self._change(*piece), pieces)
        return changed

    def _change(self, waveforms: Tensor, draws: dict[str, Draw]) -> None:
        """Changes (batch, samples) in place."""
        for name, drawn in draws.items():
            if len(drawn.rows):
                rows = _index(drawn.rows, waveforms)
                waveforms.index_copy_(
                    0, rows, self.transform(name, waveforms.index_select(0, rows), drawn)
                )

    def transform(self, name: str, waveforms: Tensor, drawn: Draw) -> Tensor:
        """One transform: (rows, samples), the items that were drawn -> (rows, samples)."""
        values, rate = drawn.values, self.sample_rate
        match name:
            case "polarity":
                return level.polarity(waveforms)
            case "noise":
                noise = (
                    level.level_noise if self.spec.noise.kind == "level" else level.relative_noise
                )
                return noise(waveforms, **values)
            case "gain":
                return level.gain(waveforms, **values)
            case "filter":
                spec = self.spec.filter
                lowest = min(spec.low_lowpass_hz, spec.low_highpass_hz)
                return filters.high_low_pass(
                    waveforms, **values, lowest_hz=lowest, sample_rate=rate
                )
            case "delay":
                return level.delay(
                    waveforms, **values, factor=self.spec.delay.factor, sample_rate=rate
                )
            case "pitch_shift":
                return pitch.pitch_shift(waveforms, **values, sample_rate=rate)
            case "reverb":
                return reverb.reverb(waveforms, **values, sample_rate=rate)
        raise ValueError(f"no transform of waveforms is called {name}")

    def log_mel(self, inputs: Tensor, step: int, view: int) -> Tensor:
        """(batch, 1, mels, frames) -> (batch, 1, mels, frames), changed."""
        if not self.spec.on_spectrogram:
            return inputs
        if self._scale_db is None:
            raise ValueError("this chain was made for inputs that are no log-mels")
        part, changed = self._part or Part(0, len(inputs), len(inputs)), inputs
        for name in SPECTROGRAM:
            whole = self._draw(name, part.batch, step, view)
            # Gathering needs every process, also those for whose items nothing was drawn.
            others = self._gathered(changed) if name == "mixup" and len(whole.rows) else changed
            drawn = whole.within(part.first, part.end)
            if len(drawn.rows) == len(inputs):
                changed = self._on_log_mel(name, changed, others, drawn, part, step, view)
            elif len(drawn.rows):
                rows = _index(drawn.rows, inputs)
                changed = changed.index_copy(
                    0, rows, self._on_log_mel(name, changed, others, drawn, part, step, view)
                )
        return changed

    def _on_log_mel(
        self,
        name: str,
        inputs: Tensor,
        others: Tensor,
        drawn: Draw,
        part: Part,
        step: int,
        view: int,
    ) -> Tensor:
        """One transform of log-mels.

        Args:
            name: of the transform.
            inputs: (items, 1, mels, frames), the items of this process.
            others: (batch, 1, mels, frames), the whole batch, where the transform is mixup.
            drawn: what was drawn for these items.
            part: which items of the batch they are.
            step: optimiser step.
            view: which view of the tracks this is.

        Returns:
            (rows, 1, mels, frames), the items that were drawn, changed.
        """
        assert self._scale_db is not None
        values, rows = drawn.values, _index(drawn.rows, inputs)
        if name == "log_mel":
            changed = spectrogram.log_mel(
                inputs, self._scale_db, self._seed, step, view, self.spec.log_mel, part.first
            )
            return changed if len(drawn.rows) == len(inputs) else changed[rows]
        if name == "mixup":
            places = spectrogram.partners_of(drawn.rows + part.first, values["partner"], part.batch)
            return spectrogram.mixup(
                inputs[rows], others[_index(places, inputs)], values["share"], self._scale_db
            )
        return spectrogram.resize_crop(inputs[rows], **values)

    def _draw(self, name: str, batch: int, step: int, view: int) -> Draw:
        spec: Transform = getattr(self.spec, name)
        return draw(name, spec, batch, self._seed, step, view)


def _index(rows: NDArray[np.int64], like: Tensor) -> Tensor:
    return torch.from_numpy(rows).to(like.device)
