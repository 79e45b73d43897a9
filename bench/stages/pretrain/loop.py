"""The training loop of every method: killed and resumed, it ends with the same weights.

Several processes go through it together, each with its part of every batch: up to the rounding of
sums the weights are those of one process, except that dropout differs. Process 0 alone measures
collapse, scores the valid split, and reads and writes checkpoints.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from bench.core.errors import DivergedError
from bench.core.progress import Report, Stopped
from bench.core.randomness import seed_for
from bench.encoders import encode
from bench.heads import LARS
from bench.method import Batch, Method
from bench.settings.specs import TrainSpec
from bench.stages.pretrain import checkpoint
from bench.stages.pretrain.batch_norm import synchronise
from bench.stages.pretrain.diagnostics import collapse_warning, effective_rank, embedding_deviation
from bench.stages.pretrain.processes import ALONE, Processes
from bench.stages.pretrain.schedule import learning_rate, weight_decay

_CURVE_POINTS = 200
"""Points of the training curve, about."""


@dataclass
class History:
    """What was measured in the course of a training.

    Attributes:
        curve: points of the training curve, the loss and its terms averaged over a few steps:
            {"step", "loss", term: value, ...}.
        diagnostics: signs of collapse every so many steps: {"step", "deviation", "effective_rank"}
            and, with validation, {"valid_map"}.
        seconds: time spent in the loop, over all attempts.
        best: "valid_map", the best score of the valid split so far, and its "step"; empty without
            validation.
    """

    curve: list[dict[str, float]] = field(default_factory=list)
    diagnostics: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    best: dict[str, float] = field(default_factory=dict)


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """Chooses the dtype of autocast.

    Args:
        precision: "bfloat16", "float32", or "auto", which is bfloat16 on a GPU that has it.
        device: where the training runs.

    Returns:
        bfloat16, or None for float32 without autocast.
    """
    fast = device.type == "cuda" and torch.cuda.is_bf16_supported()
    return torch.bfloat16 if precision == "bfloat16" or (precision == "auto" and fast) else None


def train(
    method: Method,
    batches: Callable[[int], Batch],
    inspected: Tensor,
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
        batches: gives the batch of a step, or this process's part of it.
        inspected: (items, ...) fixed encoder inputs, on whose embeddings collapse is measured.
        spec: optimisation and budget.
        seed: of the run.
        folder: holds the checkpoint `state.pt`, which process 0 reads and writes.
        report: shows progress.
        validate: scores the method on the valid split; the weights of the highest score are kept.
        processes: the processes that train together.

    Raises:
        DivergedError: the loss is not finite.
        Stopped: a process was told to stop; a checkpoint of this very step is written.
    """
    if processes.size > 1:
        synchronise(method, inspected.device)
    pending = _Pending(every=max(1, spec.steps // _CURVE_POINTS))
    loop = _Loop(method, _optimiser(method, spec), History(), pending, {})
    start = _load(folder / "state.pt", loop, inspected.device, processes)
    dtype, looks = autocast_dtype(spec.precision, inspected.device), _look_steps(spec)
    began = saved = time.monotonic()
    before = loop.history.seconds
    for step in range(start, spec.steps):
        batch = batches(step)
        terms = _step(loop, batch, step, spec, seed, dtype, processes)
        pending.add(step, terms, loop.history.curve, processes)
        now = time.monotonic()
        loop.history.seconds = before + now - began
        look = partial(_look, loop, inspected, step + 1, validate, spec.patience)
        if step + 1 in looks and processes.alone(look):
            ended = f"no better on the valid split: stopped at step {step + 1}"
            report(spec.steps, spec.steps, ended)
            break
        due = processes.first and now - saved >= spec.checkpoint_seconds
        reason, save = processes.stop_or_save(due)
        if reason or save:
            _save(folder / "state.pt", loop, step + 1, processes)
            saved = time.monotonic()
        if reason:
            raise Stopped(reason)
        views = (step + 1 - start) * len(batch.views) * len(batch.views[0]) * processes.size
        speed = f"{views / max(now - began, 1e-9):.0f} views/s"
        report(step + 1, spec.steps, f"{pending.words()}  {speed}")
    if loop.best_state:
        method.load_state_dict(loop.best_state)
    return loop.history


def _look_steps(spec: TrainSpec) -> set[int]:
    """Steps after which collapse is measured and the valid split is scored, evenly spread."""
    times = spec.diagnose_times
    return {round(spec.steps * (look + 1) / times) for look in range(times)}


@dataclass
class _Loop:
    """All that changes as training goes on, and so all that a checkpoint holds.

    Attributes:
        method: the method with its encoder and heads.
        optimiser: of the method's parameters.
        history: what was measured so far.
        pending: loss terms of the steps since the last point of the training curve.
        best_state: the method's state at the step that scored best on the valid split; empty
            without validation.
    """

    method: Method
    optimiser: torch.optim.Optimizer
    history: History
    pending: "_Pending"
    best_state: dict[str, Tensor]


class _Pending:
    """Averages loss terms over a few steps into one point of the training curve.

    Attributes:
        sums: sum of each loss term since the last point, on the device.
        count: number of steps since then.
        latest: the loss terms of the last point.
    """

    def __init__(self, every: int) -> None:
        """Takes the number of steps that make a point."""
        self._every = every
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
        """Adds the terms of a step, and a point to the curve where enough steps are there.

        Raises:
            DivergedError: a term of the point is not finite.
        """
        for name, value in terms.items():
            self.sums[name] = self.sums[name] + value if self.count else value
        self.count += 1
        if self.count == self._every:
            # The only wait for the device: once a point, not once a step.
            sums = self._means(processes)
            self.latest = {name: value / self.count for name, value in sums.items()}
            if not all(map(math.isfinite, self.latest.values())):
                raise DivergedError(
                    f"the loss is not finite at step {step + 1} ({self.latest}); "
                    "try a lower --train.learning_rate or --train.precision float32"
                )
            curve.append({"step": step + 1, **self.latest})
            self.sums, self.count = {}, 0

    def words(self) -> str:
        """The loss terms of the last point, for the line of progress."""
        return "  ".join(f"{name} {value:.3f}" for name, value in self.latest.items())

    def share(self, processes: Processes) -> None:
        """Gives every process the mean of all, so that each can go on from what process 0 saves."""
        if processes.size > 1 and self.count:
            for name, mean in self._means(processes).items():
                self.sums[name] = torch.full_like(self.sums[name], mean)

    def _means(self, processes: Processes) -> dict[str, float]:
        """The mean of each sum over the processes."""
        means = processes.mean([float(value) for value in self.sums.values()])
        return dict(zip(self.sums, means, strict=True))


def _optimiser(method: Method, spec: TrainSpec) -> torch.optim.Optimizer:
    """Makes the optimiser, with a group of parameters that are decayed and one of the others."""
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
    """Makes one step of optimisation; returns the loss and its terms, on the device."""
    # Dropout and the like draw from the global generator. Seeding it by the step lets a resumed run
    # repeat what a run without interruption draws; seeding it by the process keeps two processes
    # from dropping the same units of different items.
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
        [parameter for group in loop.optimiser.param_groups for parameter in group["params"]]
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
    inspected: Tensor,
    step: int,
    validate: Callable[[nn.Module], float] | None,
    patience: int,
) -> bool:
    """Measures the signs of collapse, and scores the valid split where there is validation.

    Returns:
        Whether to stop, as the score has not risen for so many looks.
    """
    loop.method.eval()
    embeddings = encode(loop.method.encoder, inspected).float().cpu()
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
    """Says in a sentence whether the encoder looks collapsed at the last look; None if not."""
    last = history.diagnostics[-1] if history.diagnostics else None
    return collapse_warning(last["deviation"], last["effective_rank"]) if last else None


def _save(path: Path, loop: _Loop, step: int, processes: Processes) -> None:
    """Writes a checkpoint, from which the training goes on with the given step."""
    loop.pending.share(processes)
    checkpoint.save(path, _state(loop, step), processes)


def _state(loop: _Loop, step: int) -> checkpoint.State:
    return {
        "step": step,
        "method": loop.method.state_dict(),
        "optimiser": loop.optimiser.state_dict(),
        "history": vars(loop.history),
        "pending": {"sums": loop.pending.sums, "count": loop.pending.count},
        "best_state": loop.best_state,
    }


def _load(path: Path, loop: _Loop, device: torch.device, processes: Processes) -> int:
    """Goes on from a checkpoint where there is one; returns the next step."""
    state = checkpoint.load(path, _state(loop, 0), device, processes)
    if state is None:
        return 0
    loop.method.load_state_dict(state["method"])
    loop.optimiser.load_state_dict(state["optimiser"])
    loop.history = History(**state["history"])
    loop.pending.sums, loop.pending.count = state["pending"]["sums"], state["pending"]["count"]
    loop.best_state = state["best_state"]
    return int(state["step"])
