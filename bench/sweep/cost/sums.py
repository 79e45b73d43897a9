"""Adds up what the jobs of a sweep will take, and finds when the last of them will have ended."""

import heapq
from collections.abc import Iterable, Mapping, Sequence

from bench.settings.specs import RunSpec
from bench.stages.embed.neighbours import RECALL_AT
from bench.sweep.cost.costs import Estimate
from bench.sweep.cost.rates import (
    Rate,
    Rates,
    embed_kind,
    prepare_kind,
    pretrain_kind,
    probe_kind,
    score_kind,
    whole_kind,
)
from bench.sweep.cost.work import DataSets, Piece, training_steps
from bench.sweep.jobs import Job

_SCORE_SECONDS = 3.3e-9
"""Seconds of scoring for each resample, test track and tag, where no rate is known.

Measured by `tests/benchmarks/bench_bootstrap.py` with 5 conventions and metrics, 1000 resamples,
5000 tracks and 50 tags.
"""
_CHECKPOINT = 4
"""Size of a checkpoint over that of the weights: the method with its heads, and Adam's moments."""
_TRACK_BYTES = 120  # a prepared track's index, labels and row of the manifest
_DISK = "disk of"  # begins what is unknown where the time is known
_RUN_BYTES = 3_000  # a product's run.json, its stamp (made.json) and the note of its digests


class Sums:
    """Adds jobs up, one by one."""

    def __init__(self, rates: Rates, data: DataSets, estimate: Estimate) -> None:
        """Starts with no job.

        Args:
            rates: rates of the work.
            data: what is known of data sets.
            estimate: the estimate that the jobs are added to.
        """
        self._rates, self._data, self._estimate = rates, data, estimate
        self._kinds: dict[str, dict[str, str]] = {}
        self._jobs: list[tuple[Job, float]] = []
        self._sources: dict[str, None] = {}
        self._checkpoints: list[float] = []
        self._unknown: set[str] = set()

    def add(self, job: Job, pieces: Iterable[Piece]) -> None:
        """Adds a job.

        Args:
            job: the job.
            pieces: what is left of it.
        """
        estimate = self._estimate
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
            estimate.seconds[stage] += took
            seconds += took
        seconds += self._rates.start
        estimate.jobs += 1
        estimate.starting += self._rates.start
        estimate.unknown.update(self._unknown)
        estimate.known += all(reason.startswith(_DISK) for reason in self._unknown)
        estimate.gpu_hours += seconds * job.resources.gpus * job.resources.nodes / 3600
        estimate.reserved["gpu_hours"] += (
            job.resources.hours * job.resources.gpus * job.resources.nodes
        )
        estimate.reserved["cpu_hours"] += (
            job.resources.hours * job.resources.cpus * job.resources.nodes
        )
        if seconds > 3600 * job.resources.hours:
            estimate.short.append(job.name)
        self._jobs.append((job, seconds))

    def total(self) -> Estimate:
        """The estimate, with what follows from all jobs together."""
        estimate = self._estimate
        if self._checkpoints:
            at_once = estimate.at_once or len(self._jobs)
            estimate.home["checkpoints"] = sum(sorted(self._checkpoints, reverse=True)[:at_once])
        estimate.longest = max((seconds for _, seconds in self._jobs), default=0.0)
        estimate.completion = completion(
            [(job.name, job.needs, seconds) for job, seconds in self._jobs],
            estimate.at_once or len(self._jobs),
        )
        estimate.sources = sorted(self._sources)
        return estimate

    def _kind(self, piece: Piece) -> dict[str, str]:
        """The kinds of work of a combination, by stage; digested once for all its cells."""
        if piece.base not in self._kinds:
            spec = piece.spec
            assert spec is not None
            self._kinds[piece.base] = {
                "pretrain": pretrain_kind(spec),
                "embed": embed_kind(spec),
                "whole": whole_kind(spec),
                "probe": probe_kind(spec, self._own_labels(spec)),
                "score": score_kind(spec),
            }
        return self._kinds[piece.base]

    def _rate(self, stage: str, kind: str, what: str) -> Rate | None:
        """Looks a rate up and notes its source; notes `what` as unknown where there is none."""
        rate: Rate | None = getattr(self._rates, stage).get(kind)
        if rate is None:
            self._unknown.add(f"{what}: no like run is stored")
        else:
            self._sources[rate.source] = None
        return rate

    def _use(self, kind: str, size: float | None, what: str) -> None:
        """Adds bytes of a kind of product; notes `what` as unknown where they are not known."""
        if size is None:
            self._unknown.add(f"{_DISK} {what}")
        else:
            self._estimate.home[kind] = self._estimate.home.get(kind, 0.0) + size

    def _prepare(self, piece: Piece) -> float:
        """Seconds of preparing a data set; adds its bytes."""
        assert piece.dataset is not None
        data, name = self._data.find(piece.dataset, piece.rate), f"preparing {piece.dataset.name}"
        size = None if data is None else (data.bytes or 0) + _TRACK_BYTES * data.tracks["all"]
        self._use("prepared", size, name)
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
        """Seconds of a pretraining that some processes share; adds its bytes."""
        assert spec is not None
        name = f"{spec.method.name} on {spec.encoder.name}"
        rate = self._rate("pretrain", kinds["pretrain"], f"pretraining {name}")
        size = rate.bytes if rate else None
        size_with_run = None if size is None else size + _RUN_BYTES
        self._use("pretrained", size_with_run, f"the weights of {name}")
        steps = training_steps(spec, self._data)
        if steps is None:
            self._unknown.add(f"pretraining {name}: epochs over tracks that are not prepared")
        if not rate or not steps:
            return 0.0
        self._checkpoints.append(_CHECKPOINT * (size or 0.0))
        times = spec.train.diagnose_times
        looks = self._looks(spec, kinds, times) if self._own_labels(spec) else 0.0
        # What was measured before the first step is, but for a moment, one test for collapse, and
        # there are `times` of these.
        took = times * rate.fixed + steps * rate.each + looks
        if processes != rate.processes:
            source = f"{rate.source}, as if {processes} processes shared it without loss"
            self._sources[source] = None
        return took * rate.processes / processes

    def _own_labels(self, spec: RunSpec) -> bool:
        """Whether the method learns from labels."""
        return self._data.traits(spec.method.name).uses_labels

    def _looks(self, spec: RunSpec, kinds: Mapping[str, str], times: int) -> float:
        """Seconds of scoring the valid split some times during training.

        The rates of stored runs hold them already; in a measurement there are none.
        """
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
        """Seconds of embedding a data set; adds its bytes."""
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
                # Vectors of segments and tracks, the first segment of each track, the nearest
                # neighbours of test tracks (8-byte integers, as the segments), and run.json.
                tracks, tests = data.tracks["all"], data.tracks["test"]
                vectors = rate.bytes * (segments + tracks)
                size = vectors + 8 * tracks + 8 * max(RECALL_AT) * tests + _RUN_BYTES
        self._use("embedded", size, name)
        if seconds is None and whole is None:
            self._unknown.add(name if rate is None else f"{name}: it is not prepared")
        return whole.each if whole else seconds or 0.0

    def _probe(self, piece: Piece, spec: RunSpec, kinds: Mapping[str, str]) -> float:
        """Seconds of the probes and scores of cells; adds their bytes."""
        name = f"{spec.probe.kind} probes on {spec.encoder.name} and {spec.dataset.name}"
        rate, data = self._rate("probe", kinds["probe"], name), self._data.of(spec)
        # Logits of every test track and tag: 4 bytes each, under two aggregations of segments.
        logits = 2 * 4 * data.tracks["test"] * data.tags if data else rate.bytes if rate else None
        self._use("probed", None if logits is None else piece.count * (logits + _RUN_BYTES), name)
        took = piece.count * rate.each + rate.fixed if rate else 0.0
        return took + self._score(piece, spec, kinds)

    def _score(self, piece: Piece, spec: RunSpec, kinds: Mapping[str, str]) -> float:
        """Seconds of the scores of cells; adds the bytes of their results."""
        data, sizes = self._data.of(spec), self._rates.result
        size = sizes.get(kinds["score"]) or (sum(sizes.values()) / len(sizes) if sizes else None)
        if size is None:
            self._unknown.add(f"{_DISK} results")
        else:
            self._estimate.results += piece.count * size
        if rate := self._rates.score.get(kinds["score"]):
            return piece.count * rate.each
        if not data:
            return 0.0
        seconds = piece.count * _SCORE_SECONDS * spec.score.resamples
        return seconds * data.tracks["test"] * data.tags


def completion(jobs: Sequence[tuple[str, Sequence[str], float]], at_once: int) -> float:
    """Seconds until the last of some jobs has ended.

    Jobs start in their order, as soon as those that they wait for have ended and a turn is free.

    Args:
        jobs: each as (name, names of the jobs that it waits for, seconds that it takes).
        at_once: the most jobs that run at the same time.
    """
    names = {name for name, _, _ in jobs}
    left = {name: names.intersection(needs) for name, needs, _ in jobs}
    ready = [place for place, (name, _, _) in enumerate(jobs) if not left[name]]
    needed_by: dict[str, list[int]] = {}
    for place, (name, _, _) in enumerate(jobs):
        for need in left[name]:
            needed_by.setdefault(need, []).append(place)
    now, running = 0.0, list[tuple[float, int]]()  # running: (time of the end, place)
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
