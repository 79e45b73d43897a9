"""What a sweep will cost in time and disk: what is left of it, times what such work took in stored runs or takes here.

Times are those of one attempt without interruption. What nothing is known of is not counted, and
said.
"""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bench.core.store import Store
from bench.settings.specs import RunSpec
from bench.stages.embed.neighbours import RECALL_AT
from bench.stages.prepare.estimate import free_bytes
from bench.sweep.cost.costs import Estimate
from bench.sweep.cost.rates import (
    Rate,
    Rates,
    embed_kind,
    prepare_kind,
    pretrain_kind,
    probe_kind,
    score_kind,
    stored_rates,
    whole_kind,  # fmt: skip
)
from bench.sweep.cost.work import DataSets, Piece, Pieces, training_steps
from bench.sweep.jobs import Job
from bench.sweep.plan import Plan

_SCORE_SECONDS = 3.3e-9
"""Of a resample, a test track and a tag: 5 conventions and metrics of 1000 x 5000 x 50
(`bench_bootstrap.py`).
"""
_CHECKPOINT = 4
"""A checkpoint's size over that of the weights: the method with its heads, and two moments of
Adam.
"""
_TRACK_BYTES = 120  # of a prepared track's index, labels and row
_DISK = "disk of"  # begins what is unknown of bytes alone
_RUN_BYTES = 2_000  # of a product's run.json


def free_on(home: Path, results_folder: Path) -> dict[str, int]:
    """What is free on the disks of both folders, which need not be there yet.

    One number where it is one disk.
    """
    there = {"home": _existing(home), "results": _existing(results_folder)}
    if there["home"].stat().st_dev == there["results"].stat().st_dev:
        del there["results"]
    return {name: free_bytes(folder) for name, folder in there.items()}


def _existing(folder: Path) -> Path:
    folder = folder.resolve()
    return next(one for one in (folder, *folder.parents) if one.is_dir())


def missing(plan: Plan, rates: Rates, data: DataSets) -> list[RunSpec]:
    """A cell of each combination, left to compute, that some rate of is not known."""
    found: dict[str, RunSpec] = {}
    for one in plan.cells:
        if not one.done and one.cell.base not in found:
            spec = one.cell.spec
            about = data.traits(spec.method.name)
            known = (
                embed_kind(spec) in rates.embed
                and probe_kind(spec, about.uses_labels) in rates.probe
            )
            if not known or (about.trains and pretrain_kind(spec) not in rates.pretrain):
                found[one.cell.base] = spec
    return list(found.values())


def estimate(
    plan: Plan, home: Path, results_folder: Path, *, rates: Rates | None = None, at_once: int = 0,
    free: Mapping[str, int] | None = None,
) -> Estimate:  # fmt: skip
    """Adds up what is left of a plan.

    Args:
        plan: of the sweep.
        home: of products.
        results_folder: with stored results.
        rates: of the work; those of stored results where not given.
        at_once: jobs that run at the same time; 0 for as many as there are.
        free: "home" and, where it is another disk, "results" -> bytes; looked at where not given.
    """
    store, data = Store(home), DataSets(Store(home))
    if rates is None:
        rates = stored_rates(left_specs(plan), store, results_folder)
    sums = _Sums(rates, data, Estimate(at_once=at_once, free=free or free_on(home, results_folder)))
    pieces = Pieces(store)
    for job in plan.jobs:
        if not job.done:
            sums.add(job, list(pieces.of(job)))
    return sums.total()


def left_specs(plan: Plan) -> list[RunSpec]:
    """A cell of each combination that is left to compute."""
    return list(
        {one.cell.base: one.cell.spec for one in reversed(plan.cells) if not one.done}.values()
    )


class _Sums:
    """Adds jobs up."""

    def __init__(self, rates: Rates, data: DataSets, found: Estimate) -> None:
        self._rates, self._data, self._found = rates, data, found
        self._kinds: dict[str, dict[str, str]] = {}
        self._jobs: list[tuple[Job, float]] = []
        self._sources: dict[str, None] = {}
        self._checkpoints: list[float] = []
        self._unknown: set[str] = set()

    def add(self, job: Job, pieces: Iterable[Piece]) -> None:
        """One job."""
        found = self._found
        self._unknown = set()
        seconds = 0.0
        for piece in pieces:
            if piece.stage == "prepare":
                took = self._prepare(piece)
            elif piece.stage == "pretrain":
                took = self._pretrain(piece.spec, self._kind(piece), job.resources.processes)
            else:
                took = getattr(self, f"_{piece.stage}")(piece, piece.spec, self._kind(piece))
            stage = "probe" if piece.stage == "score" else piece.stage
            found.seconds[stage] += took
            seconds += took
        seconds += self._rates.start
        found.jobs += 1
        found.starting += self._rates.start
        found.unknown.update(self._unknown)
        found.known += all(reason.startswith(_DISK) for reason in self._unknown)
        found.gpu_hours += seconds * job.resources.gpus * job.resources.nodes / 3600
        found.reserved["gpu_hours"] += (
            job.resources.hours * job.resources.gpus * job.resources.nodes
        )
        found.reserved["cpu_hours"] += (
            job.resources.hours * job.resources.cpus * job.resources.nodes
        )
        if seconds > 3600 * job.resources.hours:
            found.short.append(job.name)
        self._jobs.append((job, seconds))

    def total(self) -> Estimate:
        """All of them."""
        found = self._found
        if self._checkpoints:
            at_once = found.at_once or len(self._jobs)
            found.home["checkpoints"] = sum(sorted(self._checkpoints, reverse=True)[:at_once])
        found.longest = max((seconds for _, seconds in self._jobs), default=0.0)
        found.completion = completion(
            [(job.name, job.needs, seconds) for job, seconds in self._jobs],
            found.at_once or len(self._jobs),
        )
        found.sources = sorted(self._sources)
        return found

    def _kind(self, piece: Piece) -> dict[str, str]:
        """The kinds of work of a combination, told once."""
        if piece.base not in self._kinds:
            spec = piece.spec
            assert spec is not None
            self._kinds[piece.base] = {
                "pretrain": pretrain_kind(spec), "embed": embed_kind(spec), "whole": whole_kind(spec),
                "probe": probe_kind(spec, self._data.traits(spec.method.name).uses_labels), "score": score_kind(spec),
            }  # fmt: skip
        return self._kinds[piece.base]

    def _rate(self, stage: str, kind: str, what: str) -> Rate | None:
        """A rate, noted as a source; None, noted as unknown."""
        rate: Rate | None = getattr(self._rates, stage).get(kind)
        if rate is None:
            self._unknown.add(f"{what}: no like run is stored")
        else:
            self._sources[rate.source] = None
        return rate

    def _use(self, kind: str, size: float | None, what: str) -> None:
        if size is None:
            self._unknown.add(f"{_DISK} {what}")
        else:
            self._found.home[kind] = self._found.home.get(kind, 0.0) + size

    def _prepare(self, piece: Piece) -> float:
        assert piece.dataset is not None
        data, name = self._data.find(piece.dataset, piece.rate), f"preparing {piece.dataset.name}"
        self._use(
            "prepared",
            None if data is None else (data.bytes or 0) + _TRACK_BYTES * data.tracks["all"],
            name,
        )
        rate = self._rates.prepare.get(prepare_kind(piece.dataset, piece.rate))
        if data is not None and data.bytes and rate:
            self._sources[rate.source] = None
            return rate.fixed + rate.each * data.bytes / 2 / piece.rate
        if data is None or data.seconds is None:
            self._unknown.add(name)
            return 0.0
        self._sources["preparing it at another sample rate"] = None
        return data.seconds

    def _pretrain(self, spec: RunSpec | None, kinds: Mapping[str, str], processes: int) -> float:
        assert spec is not None
        name = f"{spec.method.name} on {spec.encoder.name}"
        rate = self._rate("pretrain", kinds["pretrain"], f"pretraining {name}")
        size = rate.bytes if rate else None
        self._use(
            "pretrained", None if size is None else size + _RUN_BYTES, f"the weights of {name}"
        )
        steps = training_steps(spec, self._data)
        if steps is None:
            self._unknown.add(f"pretraining {name}: epochs over tracks that are not prepared")
        if not rate or not steps:
            return 0.0
        self._checkpoints.append(_CHECKPOINT * (size or 0.0))
        looks = (
            self._looks(spec, kinds, spec.train.diagnose_times) if self._own_labels(spec) else 0.0
        )
        # What comes before the first step is, but for a moment, the one look for collapse.
        took = spec.train.diagnose_times * rate.fixed + steps * rate.each + looks
        if processes != rate.processes:
            self._sources[f"{rate.source}, as if {processes} processes shared it without loss"] = (
                None
            )
        return took * rate.processes / processes

    def _own_labels(self, spec: RunSpec) -> bool:
        return self._data.traits(spec.method.name).uses_labels

    def _looks(self, spec: RunSpec, kinds: Mapping[str, str], times: int) -> float:
        """Seconds of looking at the valid split; those of stored steps hold them already."""
        rate, data = self._rates.embed.get(kinds["embed"]), self._data.of(spec)
        pretrain = self._rates.pretrain.get(kinds["pretrain"])
        if (
            not rate
            or not data
            or data.frames is None
            or not pretrain
            or pretrain.source.startswith("stored")
        ):
            return 0.0
        segments = data.segments(rate.view_seconds, spec.embed.max_seconds)
        return times * rate.each * segments * data.tracks["valid"] / data.tracks["all"]

    def _embed(self, piece: Piece, spec: RunSpec, kinds: Mapping[str, str]) -> float:
        data, name = self._data.of(spec), f"embedding {spec.dataset.name} by {spec.encoder.name}"
        if whole := self._rates.whole.get(kinds["whole"]):
            self._sources[whole.source] = None
            if whole.bytes is not None:
                self._use("embedded", whole.bytes, name)
                return whole.each
        rate = self._rates.embed.get(kinds["embed"])
        known = rate is not None and data is not None and data.frames is not None
        size = seconds = None
        if known and rate and data:
            segments = data.segments(rate.view_seconds, spec.embed.max_seconds)
            self._sources[rate.source] = None
            seconds = rate.fixed + segments * rate.each
            if rate.bytes is not None:
                neighbours = 8 * max(RECALL_AT) * data.tracks["test"]
                size = (
                    rate.bytes * (segments + data.tracks["all"])
                    + 8 * data.tracks["all"]
                    + neighbours
                )
        self._use("embedded", size, name)
        if seconds is None and whole is None:
            self._unknown.add(name if rate is None else f"{name}: it is not prepared")
        return whole.each if whole else seconds or 0.0

    def _probe(self, piece: Piece, spec: RunSpec, kinds: Mapping[str, str]) -> float:
        name = f"{spec.probe.kind} probes on {spec.encoder.name} and {spec.dataset.name}"
        rate, data = self._rate("probe", kinds["probe"], name), self._data.of(spec)
        logits = 2 * 4 * data.tracks["test"] * data.tags if data else rate.bytes if rate else None
        self._use("probed", None if logits is None else piece.count * (logits + _RUN_BYTES), name)
        took = piece.count * rate.each + rate.fixed if rate else 0.0
        return took + self._score(piece, spec, kinds)

    def _score(self, piece: Piece, spec: RunSpec, kinds: Mapping[str, str]) -> float:
        """Seconds of the scores of cells; their results' bytes."""
        data, sizes = self._data.of(spec), self._rates.result
        size = sizes.get(kinds["score"]) or (sum(sizes.values()) / len(sizes) if sizes else None)
        if size is None:
            self._unknown.add(f"{_DISK} results")
        else:
            self._found.results += piece.count * size
        if rate := self._rates.score.get(kinds["score"]):
            return piece.count * rate.each
        return (
            piece.count * _SCORE_SECONDS * spec.score.resamples * data.tracks["test"] * data.tags
            if data
            else 0.0
        )


def completion(jobs: Sequence[tuple[str, Sequence[str], float]], at_once: int) -> float:
    """Seconds until the last of jobs, each (name, names that it waits for, seconds), has ended."""
    names = {name for name, _, _ in jobs}
    left = {name: names.intersection(needs) for name, needs, _ in jobs}
    ready = [place for place, (name, _, _) in enumerate(jobs) if not left[name]]
    needed_by: dict[str, list[int]] = {}
    for place, (name, _, _) in enumerate(jobs):
        for one in left[name]:
            needed_by.setdefault(one, []).append(place)
    now, running = 0.0, list[tuple[float, int]]()
    heapq.heapify(ready)
    while ready or running:
        while ready and len(running) < at_once:
            place = heapq.heappop(ready)
            heapq.heappush(running, (now + jobs[place][2], place))
        now, ended = heapq.heappop(running)
        for place in needed_by.get(jobs[ended][0], ()):
            waits_for = left[jobs[place][0]]
            waits_for.discard(jobs[ended][0])
            if not waits_for:
                heapq.heappush(ready, place)
    return now
