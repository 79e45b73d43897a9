"""Training as each of several processes does it in `tests/stages/pretrain/test_processes.py`.

The tests start this file as several processes and compare what they write with the same done in one
process. Numbers are float64: in float32 a sum in another order differs by 1e-7, which Adam turns
into a whole step in directions that have no gradient (a bias before BatchNorm), and then a mistake
could not be told from rounding.
"""

import os
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn

from bench.core import progress
from bench.core.errors import DivergedError
from bench.core.progress import Stopped
from bench.core.randomness import generator
from bench.core.world import Part, World, end_process
from bench.data.frontend import LogMel
from bench.data.pcm import PcmStore, shard_name
from bench.data.views import ViewSampler
from bench.method import Batch, Method, Task
from bench.settings.augmentations import AugmentSpec, preset
from bench.settings.frontends import LogMelSpec
from bench.settings.specs import TrainSpec, ViewsSpec
from bench.stages.prepare.shards import lay_out
from bench.stages.pretrain import loop
from bench.stages.pretrain.batch_norm import synchronise
from bench.stages.pretrain.batches import Batches
from bench.stages.pretrain.loop import History
from bench.stages.pretrain.processes import Processes, joined

RATE, TRACKS, BATCH, STEPS = 4_000, 12, 8, 6
ITEMS = 8  # items in the batch that `normalised` normalises
BOTH = {**preset("byol_a"), **preset("log_mel"), "mixup": {"probability": 0.4}}
"""Augmentations of the waveform and of the spectrogram."""
# Every method, and between them every transform. The settings keep the heads small and have
# BatchNorm wherever it can be.
METHODS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "simclr": (BOTH, {"hidden": 16, "output": 8}),
    "barlow_twins": (preset("log_mel"), {"hidden": 16, "output": 8}),
    "vicreg": (preset("byol_a"), {"hidden": 16, "output": 8}),
    "clustering": (
        preset("clmr"),
        {"hidden": 16, "bottleneck": 8, "prototypes": 16, "normalise": False},
    ),
    "supervised": (BOTH, {}),
    "byol": (preset("clmr"), {"hidden": 16, "output": 8}),
}


class Encoder(nn.Module):
    """(batch, 1, mels, frames) -> (batch, 12), with a bias that BatchNorm cancels."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv2d(1, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU()),
            *(nn.Conv2d(8, 12, 3, stride=2), nn.BatchNorm2d(12, momentum=None), nn.ReLU()),
        )

    def forward(self, log_mel: Tensor) -> Tensor:
        result: Tensor = self.layers(log_mel).mean(dim=(2, 3))
        return result


def audio(folder: Path) -> PcmStore:
    """A prepared store of tracks of 3 s, noise with a spectrum of its own each."""
    path = folder / shard_name(0)
    if not path.exists():
        noise = np.random.default_rng(0).normal(size=(TRACKS, 3 * RATE))
        tilted = np.stack([
            np.convolve(track, np.arange(1, 2 + number), "same")
            for number, track in enumerate(noise)
        ])  # fmt: skip
        (4_000 * tilted / tilted.std(axis=1, keepdims=True)).clip(-32_000, 32_000).astype(
            np.int16
        ).tofile(path)
    return PcmStore(folder, lay_out(np.full(TRACKS, 3 * RATE, np.int64)), sample_rate=RATE)


def trained(
    name: str, data: Path, folder: Path, processes: Processes, *, stop_at: int = -1,
    explode: bool = False, die: bool = False,
) -> tuple[Method, History]:  # fmt: skip
    """Trains a method for STEPS steps together with the other processes.

    Args:
        name: the method, one of METHODS.
        data: folder of the prepared store.
        folder: folder of the training's checkpoint.
        processes: the processes that train together.
        stop_at: step in which the last process is told to stop; -1 for none.
        explode: whether the last process sees views that are not finite.
        die: whether process 0 kills itself in step 2.

    Returns:
        The trained method, and the history of its training.
    """
    augment, settings = METHODS[name]
    module = import_module(f"bench.methods.{name}")
    torch.manual_seed(0)
    task = Task(STEPS, BATCH, 3 if name == "supervised" else 0)
    method: Method = module.Method(Encoder(), 12, module.Settings(**settings), task).double()
    frontend = LogMel(
        LogMelSpec(sample_rate=RATE, n_fft=256, hop=128, mels=24, f_max=RATE / 2, scale_db=20.0)
    )
    views = getattr(module, "VIEWS", 2)
    sampler = ViewSampler(audio(data), np.arange(TRACKS), 1.0, views, BATCH, ViewsSpec(), 0)
    labels = (generator(0, "labels").random((TRACKS, 3)) < 0.5).astype(np.float32)
    spec = AugmentSpec.model_validate(augment)
    batches = Batches(
        sampler, frontend, spec, 0, torch.device("cpu"), labels if views == 1 else None, processes
    )
    last = processes.world.rank == processes.size - 1

    def batch(step: int) -> Batch:
        whole = batches(step)
        if last and step == stop_at:
            progress.ask_to_stop("USR2")
        if die and processes.first and step == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        factor = float("nan") if explode and last and step == 2 else 1.0
        return Batch(tuple(view.double() * factor for view in whole.views), whole.labels)

    scores = iter([0.5, 0.4, 0.6])  # at the second score, patience is at its end

    def validate(_: nn.Module) -> float:
        assert processes.first
        return next(scores)

    probe = torch.randn(6, 1, 24, 32, generator=torch.Generator().manual_seed(1)).double()
    train_spec = TrainSpec(
        steps=STEPS, learning_rate=1e-3, diagnose_times=3, checkpoint_seconds=1e6,
        clip_norm=0.1 if name == "simclr" else 0.0,
        optimiser="lars" if name == "barlow_twins" else "adamw",
        patience=int(name == "supervised"),
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    judge = validate if name == "supervised" else None
    with patch.object(loop, "_CURVE_POINTS", 2):  # so that a checkpoint may lie between two points
        history = loop.train(
            method, batch, probe, train_spec, 0, folder, lambda *_: None, judge, processes
        )
    batches.close()
    return method, history


NORMALISATIONS: dict[str, Callable[[], nn.Module]] = {
    "plain": lambda: nn.BatchNorm1d(5),
    "without weights": lambda: nn.BatchNorm1d(5, affine=False),
    "without running statistics": lambda: nn.BatchNorm1d(5, track_running_stats=False),
    "of half precision": lambda: nn.BatchNorm1d(5),
}


def normalised(part: Part) -> dict[str, dict[str, Tensor]]:
    """Passes this process's part of a batch through each kind of batch normalisation.

    Args:
        part: which items of the batch this process has.

    Returns:
        By kind: output, gradients, buffers afterwards, and the output in evaluation.
    """
    tensors = {}
    for kind, make in NORMALISATIONS.items():
        torch.manual_seed(0)
        network = nn.Sequential(make())
        batch, weights = torch.randn(ITEMS, 5, 7) * 3 + 40, torch.randn(ITEMS, 5, 7)
        if kind == "of half precision":
            batch, weights = batch.bfloat16(), weights.bfloat16()
        if part.end - part.first < part.batch:
            synchronise(network, torch.device("cpu"))
        inputs = batch[part.first : part.end].requires_grad_()
        output = network(inputs)
        assert output.dtype == inputs.dtype
        (output.square() * weights[part.first : part.end]).sum().backward()
        assert inputs.grad is not None
        tensors[kind] = {"output": output.detach(), "gradient": inputs.grad, **network.state_dict()}
        for name, value in network.named_parameters():
            assert value.grad is not None
            tensors[kind][f"gradient of {name}"] = value.grad
        tensors[kind]["evaluated"] = network.eval()(batch).detach()
    return tensors


def everything(data: Path, out: Path, processes: Processes, names: list[str]) -> None:
    """Does all that the tests compare, and writes it into files that name the process's rank.

    Args:
        data: folder of the prepared store.
        out: folder for what is written.
        processes: the processes that train together.
        names: the methods to train undisturbed; the last of them is also stopped in the middle and
            resumed, and trained with a loss that is not finite.
    """
    rank, trainings = processes.world.rank, {}
    for name in names:
        method, history = trained(name, data, out / name, processes)
        trainings[name] = {
            "weights": method.state_dict(),
            "curve": history.curve,
            "looks": history.diagnostics,
        }
    torch.save(trainings, out / f"{rank}.pt")
    why = []
    for name in names[-1:]:
        for stop_at in (3, -1):
            progress.ask_to_stop("")
            try:
                method, history = trained(
                    name, data, out / "stopped" / name, processes, stop_at=stop_at
                )
                resumed = {"weights": method.state_dict(), "curve": history.curve}
                torch.save(resumed, out / f"resumed-{rank}.pt")
            except Stopped as stopped:
                why.append(str(stopped))
            if stop_at > 0 and processes.first:
                (out / "stopped" / name / "copy.pt").write_bytes(
                    (out / "stopped" / name / "state.pt").read_bytes()
                )
        try:
            trained(name, data, out / "exploded", processes, explode=True)
        except DivergedError as error:
            why.append(str(error))
    torch.save(normalised(processes.world.part(ITEMS)), out / f"normalised-{rank}.pt")
    (out / f"why-{rank}.txt").write_text("\n".join(why))


if __name__ == "__main__":
    torch.set_num_threads(1)
    world = World.from_environment()
    with joined(world, "cpu") as together, together.training():
        everything(Path(sys.argv[1]), Path(sys.argv[2]), together, sys.argv[3].split(","))
        if "die" in sys.argv:
            trained("byol", Path(sys.argv[1]), Path(sys.argv[2]) / "dead", together, die=True)
    end_process(0)
