"""From int16 views in memory to encoder inputs on the device."""

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.data.augment import Chain
from bench.data.frontend import to_waveform
from bench.data.views import Views, ViewSampler
from bench.method import Batch
from bench.settings.augmentations import AugmentSpec
from bench.settings.frontends import LogMelSpec
from bench.stages.pretrain.processes import ALONE, Processes


class Batches:
    """Makes the batch of a step, or one process's part of it, on the device.

    While a batch is used, the next one is read from disk in a thread.
    """

    def __init__(
        self,
        sampler: ViewSampler,
        frontend: nn.Module,
        augment: AugmentSpec,
        seed: int,
        device: torch.device,
        labels: NDArray[np.float32] | NDArray[np.int64] | None = None,
        processes: Processes = ALONE,
    ) -> None:
        """Starts the reader.

        Args:
            sampler: cuts the views of a step from the audio.
            frontend: (batch, samples) -> encoder input.
            augment: the augmentations of the views.
            seed: of the run.
            device: where batches go.
            labels: (tracks of the data set, ...) targets, for methods that use labels.
            processes: the processes that share every batch.

        Raises:
            InputError: the batch cannot be shared equally by the processes.
        """
        self._sampler, self._frontend, self._device = sampler, frontend, device
        front = getattr(frontend, "spec", None)
        scale_db = front.scale_db if isinstance(front, LogMelSpec) else None
        self._part = processes.world.part(sampler.batch_size)
        self._chain = Chain(
            augment, sampler.sample_rate, scale_db, seed, self._part, processes.gathered
        )
        self._labels = labels
        self._pool = ThreadPoolExecutor(1)
        self._next: tuple[int, Future[Views]] | None = None

    def __call__(self, step: int) -> Batch:
        """Makes the batch of a step."""
        ready = self._next[1] if self._next and self._next[0] == step else self._read(step)
        views = ready.result()
        # Reading ahead is all that depends on the order of calls; a batch follows from its step.
        self._next = (step + 1, self._read(step + 1))
        inputs = tuple(
            self._input(waveforms, step, view) for view, waveforms in enumerate(views.waveforms)
        )
        labels = (
            None
            if self._labels is None
            else torch.from_numpy(self._labels[views.rows]).to(self._device)
        )
        return Batch(inputs, labels)

    def _read(self, step: int) -> Future[Views]:
        """Begins to read the views of a step."""
        return self._pool.submit(self._sampler.batch, step, self._part)

    def _input(self, waveforms: NDArray[np.int16], step: int, view: int) -> Tensor:
        """Augmented encoder input of one view of each track, from (batch, samples) int16."""
        samples = torch.from_numpy(waveforms).to(self._device, non_blocking=True)
        with torch.no_grad():
            inputs: Tensor = self._frontend(self._chain.waveform(to_waveform(samples), step, view))
            return self._chain.log_mel(inputs, step, view)

    def close(self) -> None:
        """Stops the reader."""
        self._pool.shutdown(cancel_futures=True)
