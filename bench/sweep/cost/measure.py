"""A short probe of what a sweep will take: a few real steps of each combination, on some tracks, here and now.

Cells are computed by `bench.stages.run.run`, with few steps and in a home of their own that is
removed at the end: twice, with a few steps and a few more, so that the difference is the time of a
step. Tracks are those of the data set where it is prepared, else noise: what a step takes depends
on the shape of the audio and not on what is heard.
"""

import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench import results
from bench.core.errors import InputError
from bench.core.progress import progress, say
from bench.core.randomness import generator
from bench.core.store import Store, read_json
from bench.data.prepared import Prepared
from bench.settings.specs import LabelsSpec, PlugIn, RunSpec
from bench.settings.traits import Traits, sample_rate
from bench.stages.embed.segments import Embeddings
from bench.stages.keys import prepare_key
from bench.stages.probe.labelled import labelled
from bench.stages.probe.stage import probe_all
from bench.stages.run import run
from bench.stages.session import Place, check, device_of
from bench.stages.words import device_name
from bench.sweep.cost.rates import (
    Rate,
    Rates,
    embed_kind,
    folder_bytes,
    prepare_kind,
    pretrain_kind,
    probe_kind,
    score_kind,
)
from bench.sweep.cost.sample import HELD_OUT, SEGMENTS, some_tracks
from bench.sweep.cost.work import DataSets, read_data, training_steps
from bench.sweep.spec import PRODUCTS

_WARM_UP = 3  # steps
_TIMED_SECONDS = 5.0  # of each stage with steps, about
_MOST_STEPS = 100
_CURVE_POINTS = 200  # that `bench.stages.pretrain.loop` keeps of a training curve
_TOGETHER = 4  # cells whose probes are timed as one
_MOST_EMBEDDED = 2**28  # bytes of made-up embeddings that a probe is timed on


@dataclass(frozen=True)
class _Taken:
    """What a run took: seconds of the stages, and of the scores."""

    pretrain: float
    embed: float
    probe: float
    score: float
    folders: dict[str, Path]
    result: results.Result
    path: Path


def measure(specs: Sequence[RunSpec], rates: Rates, store: Store, device: str) -> None:
    """Measures what is not known, and adds it to the rates; says each combination as it is done.

    Args:
        specs: one cell of each combination.
        rates: of stored runs; gains what is measured.
        store: home, which is read alone.
        device: as in `bench run`.

    Raises:
        InputError: a setting of a method, an encoder or a data set cannot be, or there is no such
            device.
    """
    for spec in specs:
        check(spec)
    if not specs:
        say("every combination has been run before: nothing to measure")
        return
    name = device_name(device_of(Place(store, Path(), device)))
    source = f"measured here now on {name}"
    say(f"measuring {len(specs)} combinations on {name}")
    rates.start = _start_seconds()
    with (
        tempfile.TemporaryDirectory(prefix="bench-measure-") as folder,
        progress("measure", "combinations") as report,
    ):
        place = Place(Store(Path(folder) / "home"), Path(folder) / "results", device)
        place.store.home.mkdir()
        for kept in ("sources", "weights"):
            if (store.home / kept).is_dir():
                (place.store.home / kept).symlink_to((store.home / kept).resolve())
        most = max(HELD_OUT, *(spec.train.batch_size for spec in specs))  # of the training split
        for number, spec in enumerate(specs):
            report(number, len(specs), f"{spec.method.name} on {spec.encoder.name}")
            try:
                say(_combination(spec, rates, most, store, place, source))
            except (InputError, RuntimeError) as error:  # such as too little memory on the device
                first = str(error).splitlines()[0]
                say(f"{spec.method.name} on {spec.encoder.name} could not be measured: {first}")
        report(len(specs), len(specs))


def _start_seconds() -> float:
    """How long a job takes before it computes."""
    began = time.monotonic()
    subprocess.run(
        [sys.executable, "-c", "import bench.stages.run"], check=True, stdin=subprocess.DEVNULL
    )
    return time.monotonic() - began


def _combination(
    spec: RunSpec, rates: Rates, most: int, store: Store, place: Place, source: str
) -> str:
    """Measures one combination; returns what it takes in words."""
    parts = check(spec)
    seconds, about = float(parts.encoder_settings.seconds), parts.traits
    few = _short(spec, about.trains, seconds)
    whole = None
    for section in ("pretrain_dataset", "dataset"):
        dataset: PlugIn = getattr(few, section)
        whole = some_tracks(dataset, few, seconds, most, store, place.store)
        _prepared_rate(dataset, few, rates, place.store, source)
    began = time.monotonic()
    new = pretrain_kind(spec) not in rates.pretrain or embed_kind(spec) not in rates.embed
    if new:  # what torch does once for each shape is no part of what a thousand steps take
        _run(few.model_copy(update={"seed": spec.seed + 1}), place)
    first = _run(few, place)
    more = _longer(few, first.pretrain / _WARM_UP, first.probe / _WARM_UP, new, about)
    second = _run(more, place)
    step = Rate(0.0, source, bytes=folder_bytes(first.folders["pretrained"]))
    if about.trains and new:
        step = _line(
            first.pretrain, second.pretrain, few.train.steps, more.train.steps, source, step.bytes
        )
    step = rates.pretrain.setdefault(pretrain_kind(spec), step)
    width = read_json(second.folders["embedded"] / "run.json")["width"]
    vectors = len(np.load(second.folders["embedded"] / "segments.npy", mmap_mode="r"))
    each = min(first.embed, second.embed) / vectors
    rates.embed.setdefault(
        embed_kind(spec), Rate(each, source, bytes=4 * width, view_seconds=seconds)
    )
    probe = _probe(spec, few, more, first, second, about, whole, width, place, source)
    rates.probe.setdefault(probe_kind(spec, about.uses_labels), probe)
    data = DataSets(store).of(spec)
    tests = data.tracks["test"] if data else HELD_OUT
    share = tests / second.result.counts["test_tracks"]
    rates.score.setdefault(score_kind(spec), Rate(second.score * share, source))
    rates.result.setdefault(
        score_kind(spec), _result_bytes(second, share, training_steps(spec, DataSets(store)))
    )
    batch = f"batch {spec.train.batch_size}, augment {spec.augment.name}"
    pretrain = f"{step.each:.3g} s a step ({batch}), " if about.trains else ""
    own = "its own classifier" if about.uses_labels else f"a {spec.probe.kind} probe"
    score = rates.score[score_kind(spec)].each
    noise = "" if data else "; on noise, for its data are not there"
    return (
        f"{spec.method.name} on {spec.encoder.name}: {pretrain}{1000 * each:.3g} ms a segment, "
        f"{own} {probe.fixed + probe.each:.3g} s and scores {score:.3g} s a cell{noise} "
        f"(took {time.monotonic() - began:.0f} s)"
    )


def _short(spec: RunSpec, trains: bool, seconds: float) -> RunSpec:
    """The cell with few steps of everything, on all labels of a few tracks."""
    train = {"steps": _WARM_UP, "epochs": 0.0, "diagnose_times": 1, "patience": 0, "warmup": 0.0}
    limit = SEGMENTS * seconds
    update: dict[str, Any] = {
        "train": spec.train.model_copy(update=train),
        "probe": spec.probe.model_copy(
            update={"steps": min(spec.probe.steps, spec.probe.evaluate_every), "patience": 0}
        ),
        "finetune": spec.finetune.model_copy(
            update={"steps": _WARM_UP, "diagnose_times": 1, "patience": 0}
        ),
        "embed": spec.embed.model_copy(
            update={"max_seconds": min(limit, spec.embed.max_seconds or limit)}
        ),
        "views": spec.views.model_copy(update={"exclude": ""}),
        "labels": LabelsSpec(),
        "fraction": 1.0,
        "draw": 0,
    }
    if not trains:
        update["pretrain_dataset"] = spec.dataset
    return spec.model_copy(update=update)


def _longer(few: RunSpec, step: float, tuning: float, new: bool, about: Traits) -> RunSpec:
    """The same with as many more steps as take a few seconds, from the seconds of a step.

    Pretrained anew if `new`.
    """
    update: dict[str, Any] = {"seed": few.seed + 2} if new else {}
    if about.trains and new:
        update["train"] = few.train.model_copy(update={"steps": _WARM_UP + _more(step)})
    if few.probe.kind == "finetune" and not about.uses_labels:
        update["finetune"] = few.finetune.model_copy(update={"steps": _WARM_UP + _more(tuning)})
    elif few.probe.kind != "knn" and not about.uses_labels:
        update["probe"] = few.probe.model_copy(update={"steps": 4 * few.probe.steps})
    return few.model_copy(update=update)


def _more(seconds: float) -> int:
    """Steps, each of so many seconds, that are worth timing."""
    return max(_WARM_UP, min(_MOST_STEPS, int(_TIMED_SECONDS / max(seconds, 1e-3))))


def _line(
    first: float, second: float, few: int, more: int, source: str, size: float | None
) -> Rate:
    """Seconds of a step from two runs, and what comes before the first."""
    each = max(0.0, second - first) / max(1, more - few)
    return Rate(each, source, max(0.0, first - few * each), size)


def _run(spec: RunSpec, place: Place) -> _Taken:
    """Runs a cell, and one of another seed of the probe: what cells share, such as resamples, is not in its scores.

    What it would say is of no interest to who asks for a plan.
    """
    specs = [spec, spec.model_copy(update={"probe_seed": spec.probe_seed + 1})]
    if spec.probe.kind == "finetune":  # which would take twice as long
        del specs[1:]
    with redirect_stderr(io.StringIO()):
        found = [(result, time.time()) for _, result in run(specs, place)]
    result, ended = found[-1]
    before = found[-2][1] if len(found) > 1 else 0.0
    folders = {
        folder: place.store.folder(folder, result.products[stage])
        for stage, folder in PRODUCTS.items()
    }
    took = result.seconds
    score = max(0.0, ended - max(before, (folders["probed"] / "run.json").stat().st_mtime))
    path = results.path_of(place.results, result)
    return _Taken(took["pretrain"], took["embed"], took["probe"], score, folders, result, path)


def _probe(
    spec: RunSpec, few: RunSpec, more: RunSpec, first: _Taken, second: _Taken, about: Traits,
    whole: Prepared | None, width: int, place: Place, source: str,
) -> Rate:  # fmt: skip
    """Of a cell's probe that is not stopped early: on made-up embeddings of the whole data set, if that is there."""
    kind = "end_to_end" if about.uses_labels else spec.probe.kind
    if kind == "finetune":
        rate = _line(
            first.probe, second.probe, few.finetune.steps, more.finetune.steps, source, None
        )
        return Rate(rate.fixed + rate.each * spec.finetune.steps, source)
    fits = whole is not None and 8 * width * len(whole.tracks) < _MOST_EMBEDDED
    if kind == "end_to_end" or whole is None or not fits:
        if kind in ("end_to_end", "knn"):
            return Rate(second.probe, source)
        rate = _line(first.probe, second.probe, few.probe.steps, more.probe.steps, source, None)
        return Rate(rate.fixed + rate.each * spec.probe.steps, source)
    vectors = generator(0, "measured", 0).standard_normal(
        (len(whole.tracks), width), dtype=np.float32
    )
    embedded = Embeddings(vectors, np.arange(len(vectors) + 1), vectors)
    one, longer, several = (
        _fitted(
            spec.model_copy(update={"probe": steps.probe}), cells, whole, embedded, device_of(place)
        )
        for steps, cells in ((few, 1), (more, 1), (more, _TOGETHER))
    )
    another = max(0.0, several - longer) / (
        _TOGETHER - 1
    )  # of a group's cells, which are trained as one program
    if kind == "knn":
        return Rate(another, source, max(0.0, longer - another))
    rate = _line(one, longer, few.probe.steps, more.probe.steps, source, None)
    another *= spec.probe.steps / more.probe.steps
    return Rate(another, source, max(0.0, rate.fixed + rate.each * spec.probe.steps - another))


def _fitted(
    spec: RunSpec, cells: int, whole: Prepared, embedded: Embeddings, device: torch.device
) -> float:
    """Seconds of fitting probes of some cells together."""
    labels = labelled(
        whole,
        spec.model_copy(update={"labels": LabelsSpec(), "fraction": min(1.0, spec.fraction)}),
        [],
    )
    specs = [spec.model_copy(update={"probe_seed": seed}) for seed in range(cells)]
    began = time.monotonic()
    with redirect_stderr(io.StringIO()):
        list(probe_all(specs, [labels] * cells, whole, embedded, device, "probe"))
    return time.monotonic() - began


def _result_bytes(taken: _Taken, share: float, steps: int | None) -> float:
    """Of a cell's two files, on the whole test split and with the whole training curve."""
    values = results.read_values(taken.path)
    tracks = taken.result.counts["test_tracks"]
    arrays = len(values.influence) + len(values.jackknife) + 1
    size = taken.path.stat().st_size + taken.path.with_suffix(".npz").stat().st_size
    curve = taken.result.training["curve"]
    more = 0.0
    if curve and steps:
        points = steps // max(1, steps // _CURVE_POINTS)
        more = (points / len(curve) - 1) * len(json.dumps({"": {"": curve}}, indent=1))
    return size + 4 * arrays * tracks * (share - 1) + more


def _prepared_rate(
    dataset: PlugIn, few: RunSpec, rates: Rates, temporary: Store, source: str
) -> None:
    """Notes how long a second of audio took, where tracks were decoded."""
    folder = temporary.folder("prepared", prepare_key(dataset, sample_rate(few.encoder), temporary))
    seconds = read_json(folder / "run.json")["seconds"]
    found = read_data(folder)
    if seconds and found and found.bytes:
        kind = prepare_kind(dataset, found.rate)
        rates.prepare.setdefault(kind, Rate(seconds / (found.bytes / 2 / found.rate), source))
