"""The training loop: the same for every method, and the same weights whether or not it was killed on the way.

Several processes go through it together, each with its part of every batch: up to the rounding of
sums the weights are those of one process, except that dropout differs. Process 0 alone looks, reads
and writes.
"""

import io
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.core.errors import DivergedError
from bench.core.progress import Report, Stopped
from bench.core.randomness import seed_for
from bench.core.store import write_atomically
from bench.encoders import encode
from bench.heads import LARS
from bench.method import Batch, Method
from bench.settings.specs import TrainSpec
from bench.stages.pretrain.batch_norm import synchronise
from bench.stages.pretrain.diagnostics import collapse_warning, effective_rank, embedding_deviation
from bench.stages.pretrain.processes import ALONE, Processes
from bench.stages.pretrain.schedule import learning_rate, weight_decay

_CURVE_POINTS = 200  # loss terms kept for the training curve


@dataclass
class History:
    """What a run leaves beside its weights.

    Attributes:
        curve: loss terms, averaged over a few steps each: {"step", "loss", term: value, ...}.
        diagnostics: {"step", "deviation", "effective_rank"} and, with labels, {"valid_map"}.
        seconds: time spent in the loop, over all attempts.
        best: the best validation score so far and its step; empty without validation.
    """

    curve: list[dict[str, float]] = field(default_factory=list)
    diagnostics: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    best: dict[str, float] = field(default_factory=dict)


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """The dtype of autocast: bfloat16 where asked for or where a GPU has it, else None."""
    fast = device.type == "cuda" and torch.cuda.is_bf16_supported()
    return torch.bfloat16 if precision == "bfloat16" or (precision == "auto" and fast) else None


def train(
    method: Method,
    batches: Callable[[int], Batch],
    probe_inputs: Tensor,
    spec: TrainSpec,
    seed: int,
    folder: Path,
    report: Report,
    validate: Callable[[nn.Module], float] | None = None,
    processes: Processes = ALONE,
) -> History:
    """Trains a method for `spec.steps` steps, from the checkpoint in `folder` if one is there.

    Args:
        method: the method, on its device.
        batches: the batch of a step, or this process's part of it.
        probe_inputs: (items, ...) fixed encoder inputs on which collapse is measured.
        spec: optimisation and budget.
        seed: of the run.
        folder: holds `state.pt`; of process 0.
        report: progress.
        validate: score of the method on the valid split, higher is better; the best step's weights
            are kept.
        processes: that train together.

    Raises:
        DivergedError: the loss is not finite.
        Stopped: a process was told to stop; a checkpoint of this very step is written.
    """
    device = probe_inputs.device
    if processes.size > 1:
        synchronise(method, device)
    optimiser = _optimiser(method, spec)
    pending = _Pending(every=max(1, spec.steps // _CURVE_POINTS))
    loop = _Loop(method, optimiser, History(), pending, {})
    start = _load(folder / "state.pt", loop, device, processes)
    dtype = autocast_dtype(spec.precision, device)
    looks = {
        round(spec.steps * (look + 1) / spec.diagnose_times) for look in range(spec.diagnose_times)
    }
    began = saved = time.monotonic()
    before = loop.history.seconds
    for step in range(start, spec.steps):
        batch = batches(step)
        terms = _step(loop, batch, step, spec, seed, dtype, processes)
        pending.add(step, terms, loop.history.curve, processes)
        now = time.monotonic()
        loop.history.seconds = before + now - began
        look = partial(_look, loop, probe_inputs, step + 1, validate, spec.patience)
        if step + 1 in looks and processes.alone(look):
            report(
                spec.steps, spec.steps, f"no better on the valid split: stopped at step {step + 1}"
            )
            break
        why, save = processes.stop_or_save(
            due=processes.first and now - saved >= spec.checkpoint_seconds
        )
        if why or save:
            _save(folder / "state.pt", loop, step + 1, processes)
            saved = time.monotonic()
        if why:
            raise Stopped(why)
        items = len(batch.views) * len(batch.views[0]) * processes.size
        views = (step + 1 - start) * items / max(now - began, 1e-9)
        losses = "  ".join(f"{name} {value:.3f}" for name, value in pending.latest.items())
        report(step + 1, spec.steps, f"{losses}  {views:.0f} views/s")
    if loop.best_state:
        method.load_state_dict(loop.best_state)
    return loop.history


@dataclass
class _Loop:
    """All that changes as training goes on."""

    method: Method
    optimiser: torch.optim.Optimizer
    history: History
    pending: "_Pending"
    best_state: dict[str, Tensor]


class _Pending:
    """Averages loss terms over a few steps into one point of the curve."""

    def __init__(self, every: int) -> None:
        self.every = every
        self.sums: dict[str, Tensor] = {}
        self.count = 0
        self.latest: dict[str, float] = {}

    def add(
        self,
        step: int,
        terms: dict[str, Tensor],
        curve: list[dict[str, float]],
        processes: Processes,
    ) -> None:
        for name, value in terms.items():
            self.sums[name] = self.sums[name] + value if self.count else value
        self.count += 1
        if self.count == self.every:
            # The only wait for the device: once a point, not once a step.
            self.latest = {
                name: value / self.count for name, value in self._means(processes).items()
            }
            if not all(map(math.isfinite, self.latest.values())):
                raise DivergedError(
                    f"the loss is not finite at step {step + 1} ({self.latest}); "
                    "try a lower --train.learning_rate or --train.precision float32"
                )
            curve.append({"step": step + 1, **self.latest})
            self.sums, self.count = {}, 0

    def share(self, processes: Processes) -> None:
        """Gives every process the mean of all, so that each can go on from what process 0 saves."""
        if processes.size > 1 and self.count:
            for name, mean in self._means(processes).items():
                self.sums[name] = torch.full_like(self.sums[name], mean)

    def _means(self, processes: Processes) -> dict[str, float]:
        means = processes.mean([float(value) for value in self.sums.values()])
        return dict(zip(self.sums, means, strict=True))


def _optimiser(method: Method, spec: TrainSpec) -> torch.optim.Optimizer:
    trained = [parameter for parameter in method.parameters() if parameter.requires_grad]
    # Biases and normalisation have one dimension; they are not decayed (Goyal et al. 2017, arXiv
    # 1706.02677, sec. 5.3).
    groups = [
        {
            "params": [parameter for parameter in trained if parameter.ndim > 1],
            "weight_decay": spec.weight_decay,
        },
        {
            "params": [parameter for parameter in trained if parameter.ndim <= 1],
            "weight_decay": 0.0,
        },
    ]
    if spec.optimiser == "lars":
        lars: torch.optim.Optimizer = LARS(groups, lr=spec.learning_rate, momentum=0.9)
        return lars
    adam = torch.optim.AdamW if spec.optimiser == "adamw" else torch.optim.Adam
    return adam(groups, lr=spec.learning_rate, betas=spec.betas)


def _step(
    loop: _Loop,
    batch: Batch,
    step: int,
    spec: TrainSpec,
    seed: int,
    dtype: torch.dtype | None,
    processes: Processes,
) -> dict[str, Tensor]:
    # Dropout and the like draw from the global generator: its state is a function of the step too,
    # and of the process, whose items would else be given what those of the others are.
    rank = processes.world.rank
    torch.manual_seed(seed_for(seed, f"train in process {rank}" if rank else "train", step))
    loop.method.train()
    decayed, undecayed = loop.optimiser.param_groups
    decayed["lr"] = undecayed["lr"] = learning_rate(step, spec)
    decayed["weight_decay"] = weight_decay(step, spec)
    with torch.autocast(batch.views[0].device.type, dtype=dtype, enabled=dtype is not None):
        loss = loop.method(batch, step)
    loop.optimiser.zero_grad(set_to_none=True)
    loss.total.backward()
    processes.average_gradients(
        [one for group in loop.optimiser.param_groups for one in group["params"]]
    )
    if spec.clip_norm:
        torch.nn.utils.clip_grad_norm_(loop.method.parameters(), spec.clip_norm)
    loop.optimiser.step()
    loop.method.after_step(step)
    return {
        "loss": loss.total.detach(),
        **{name: value.detach() for name, value in loss.terms.items()},
    }


@torch.no_grad()
def _look(
    loop: _Loop,
    probe_inputs: Tensor,
    step: int,
    validate: Callable[[nn.Module], float] | None,
    patience: int,
) -> bool:
    """Measures the signs of collapse, and the validation score where there is one.

    Returns whether to stop for it.
    """
    loop.method.eval()
    embeddings = encode(loop.method.encoder, probe_inputs).float().cpu()
    point = {
        "step": float(step),
        "deviation": embedding_deviation(embeddings),
        "effective_rank": effective_rank(embeddings),
    }
    if validate is not None:
        point["valid_map"] = validate(loop.method)
        if point["valid_map"] > loop.history.best.get("valid_map", -math.inf):
            loop.history.best = {"step": float(step), "valid_map": point["valid_map"]}
            loop.best_state = {
                name: value.clone() for name, value in loop.method.state_dict().items()
            }
    loop.history.diagnostics.append(point)
    return _out_of_patience(loop.history, patience)


def _out_of_patience(history: History, patience: int) -> bool:
    """Whether the best of the last `patience` looks is no better than what came before them."""
    scores = [point["valid_map"] for point in history.diagnostics if "valid_map" in point]
    return (
        bool(patience)
        and len(scores) > patience
        and max(scores[-patience:]) <= max(scores[:-patience])
    )


def warning(history: History) -> str | None:
    """What the last look says of collapse, as a sentence; None when all is well."""
    last = history.diagnostics[-1] if history.diagnostics else None
    return collapse_warning(last["deviation"], last["effective_rank"]) if last else None


def _save(path: Path, loop: _Loop, step: int, processes: Processes) -> None:
    loop.pending.share(processes)
    if processes.first:
        write_atomically(path, _content(loop, step))


def _content(loop: _Loop, step: int) -> bytes:
    """All that a training goes on from, as the bytes of a file."""
    state: dict[str, Any] = {
        "step": step,
        "method": loop.method.state_dict(),
        "optimiser": loop.optimiser.state_dict(),
        "history": vars(loop.history),
        "pending": {"sums": loop.pending.sums, "count": loop.pending.count},
        "best_state": loop.best_state,
    }
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def _load(path: Path, loop: _Loop, device: torch.device, processes: Processes) -> int:
    """Takes up a checkpoint; returns the next step.

    Several processes go on, or begin, from what process 0 has.
    """
    content = path.read_bytes() if processes.first and path.exists() else b""
    if processes.size > 1:
        content = processes.of_first(content or (_content(loop, 0) if processes.first else b""))
    if not content:
        return 0
    state = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
    loop.method.load_state_dict(state["method"])
    loop.optimiser.load_state_dict(state["optimiser"])
    loop.history = History(**state["history"])
    loop.pending.sums, loop.pending.count = state["pending"]["sums"], state["pending"]["count"]
    loop.best_state = state["best_state"]
    return int(state["step"])
