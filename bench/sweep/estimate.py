"""What a sweep will cost, from the time that stored results say their stages took."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench import results
from bench.errors import InputError
from bench.sweep.plan import Plan, stored_names

_LOOKED_AT = 4  # results of a method and an encoder that are read


@dataclass(frozen=True)
class Estimate:
    """Seconds of computing that are left.

    Attributes:
        seconds: of the jobs that something is known of.
        gpu_seconds: of these, of jobs that need GPUs, times their GPUs.
        known: how many jobs something is known of.
        jobs: how many are left.
        longest: the longest job's seconds.
        source: what the figures come from.
    """

    seconds: float
    gpu_seconds: float
    known: int
    jobs: int
    longest: float
    source: str

    def in_words(self) -> str:
        """One line."""
        if not self.jobs:
            return "nothing is left to compute"
        if not self.known:
            return "time: not known, for no earlier run with these methods and encoders is stored"
        part = "" if self.known == self.jobs else f" for {self.known} of {self.jobs} jobs"
        gpu = f", {self.gpu_seconds / 3600:.2f} GPU-hours" if self.gpu_seconds else ""
        total, longest = _duration(self.seconds), _duration(self.longest)
        return f"time{part}: {total} of computing{gpu}, the longest job {longest}; {self.source}"


def _duration(seconds: float) -> str:
    return (
        f"{seconds / 3600:.1f} h"
        if seconds >= 3600
        else f"{seconds / 60:.1f} min"
        if seconds >= 60
        else f"{seconds:.0f} s"
    )


@dataclass(frozen=True)
class _Rates:
    """Median seconds: of a step of pretraining, of embedding a data set, of a cell's probe and scores."""

    step: float
    embed: float
    cell: float
    device: str


def estimate(plan: Plan, results_folder: Path) -> Estimate:
    """Estimates from a few stored results of the same methods and encoders; their devices are named."""
    by_kind: dict[str, list[str]] = {}
    for stem in sorted(stored_names(results_folder)):
        by_kind.setdefault("-".join(stem.split("-")[:2]), []).append(stem)
    rates: dict[str, _Rates | None] = {}
    total = gpu = longest = 0.0
    known, devices, left = 0, set[str](), [job for job in plan.jobs if job.kind == "cells" and not job.done]
    for job in left:
        spec = job.cells[0].cell.spec
        kind = f"{spec.method.name}-{spec.encoder.name}"
        if kind not in rates:
            rates[kind] = _rates(results_folder, by_kind.get(kind, []))
        rate = rates[kind]
        if rate is None:
            continue
        steps = 0 if "pretrain" not in job.stages else spec.train.budget(0) if not spec.train.epochs else 0
        seconds = len(job.groups) * (steps * rate.step + rate.embed) + rate.cell * sum(
            not one.done for one in job.cells
        )
        known += 1
        total += seconds
        gpu += seconds * job.resources.gpus
        longest = max(longest, seconds)
        devices.add(rate.device)
    source = f"from stored runs on {', '.join(sorted(devices))}"
    epochs = any(job.cells[0].cell.spec.train.epochs for job in left)
    source += "; budgets in epochs are not counted" if epochs else ""
    return Estimate(total, gpu, known, len(left), longest, source)


def _rates(folder: Path, stems: Iterable[str]) -> _Rates | None:
    steps, embeds, cells, device = [], [], [], ""
    for stem in list(stems)[-_LOOKED_AT:]:
        try:
            result = results.read(folder / "runs" / f"{stem}.json")
        except InputError:
            continue
        seconds, count = result.seconds, result.training["steps"]
        steps.append(seconds["pretrain"] / count if count else 0.0)
        embeds.append(seconds["embed"])
        cells.append(seconds["probe"])
        device = result.device
    return _Rates(median(steps), median(embeds), median(cells), device) if steps else None
