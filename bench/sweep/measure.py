"""A short probe of what a sweep will take: a few real steps of each combination, on some tracks, here and now.

Cells are computed by `bench.run.run`, with few steps and in a home of their own that is removed at the end: twice, with
a few steps and a few more, so that the difference is the time of a step. Tracks are those of the data set where it is
prepared, else noise: what a step takes depends on the shape of the audio and not on what is heard.
"""

import io
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
from numpy.typing import NDArray

from bench import plan, results, stages
from bench.config import LabelsSpec, PlugIn, RunSpec
from bench.data.prepared import Prepared, open_prepared
from bench.errors import InputError
from bench.probe.embed import Embeddings
from bench.probing import labelled, probe_all
from bench.progress import progress, say
from bench.randomness import generator
from bench.run import Place, check, run
from bench.store import Store, read_json, write_array, write_atomically, write_json
from bench.sweep.rates import Rate, Rates, embed_kind, pretrain_kind, probe_kind, score_kind

_WARM_UP = 3  # steps
_TIMED_SECONDS = 5.0  # of each stage with steps, about
_MOST_STEPS = 100
_HELD_OUT = 64  # tracks of the valid and of the test split
_SEGMENTS = 2  # of a track that are embedded
_NOISE_TAGS = 50
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
    """
    if not specs:
        say("every combination has been run before: nothing to measure")
        return
    name = stages.device_name(stages.pick_device(device))
    source = f"measured here now on {name}"
    say(f"measuring {len(specs)} combinations on {name}")
    rates.start = _start_seconds()
    with tempfile.TemporaryDirectory(prefix="bench-measure-") as folder, progress("measure", "combinations") as report:
        place = Place(Store(Path(folder) / "home"), Path(folder) / "results", device)
        place.store.home.mkdir()
        for kept in ("sources", "weights"):
            if (store.home / kept).is_dir():
                (place.store.home / kept).symlink_to((store.home / kept).resolve())
        most = max(_HELD_OUT, *(spec.train.batch_size for spec in specs))  # of the training split
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
    subprocess.run([sys.executable, "-c", "import bench.run"], check=True, stdin=subprocess.DEVNULL)
    return time.monotonic() - began


def _combination(spec: RunSpec, rates: Rates, most: int, store: Store, place: Place, source: str) -> str:
    """Measures one combination; returns what it takes in words."""
    parts = check(spec)
    seconds, about = float(parts.encoder_settings.seconds), parts.traits
    few = _short(spec, about.trains, seconds)
    whole = _some_tracks(spec.dataset, few, seconds, most, store, place.store)
    if about.trains and spec.pretrain_dataset != spec.dataset:
        _some_tracks(spec.pretrain_dataset, few, seconds, most, store, place.store)
    began = time.monotonic()
    first = _run(few, place)
    more = _longer(few, first, about)
    second = _run(more, place)
    kind = probe_kind(spec, about.uses_labels)
    step = Rate(0.0, source, bytes=_size(first.folders["pretrained"]))
    if about.trains:
        step = _line(first.pretrain, second.pretrain, few.train.steps, more.train.steps, source, step.bytes)
    rates.pretrain.setdefault(pretrain_kind(spec), step)
    width = read_json(second.folders["embedded"] / "run.json")["width"]
    vectors = len(np.load(second.folders["embedded"] / "segments.npy", mmap_mode="r"))
    each = min(first.embed, second.embed) / vectors
    rates.embed.setdefault(embed_kind(spec), Rate(each, source, bytes=4 * width, view_seconds=seconds))
    probe = _probe(spec, few, more, first, second, about, whole, width, place)
    rates.probe.setdefault(kind, Rate(probe, source))
    tests = whole.facts["tracks"]["test"] if whole is not None else _HELD_OUT
    share = tests / second.result.counts["test_tracks"]
    rates.score.setdefault(score_kind(spec), Rate(second.score * share, source))
    rates.result.setdefault(score_kind(spec), _result_bytes(second, share))
    took = time.monotonic() - began
    batch = f"batch {spec.train.batch_size}, augment {spec.augment.name}"
    pretrain = f"{step.each:.3g} s a step ({batch}), " if about.trains else ""
    own = "its own classifier" if about.uses_labels else f"a {spec.probe.kind} probe"
    noise = "" if whole is not None else "; on noise, for its data are not prepared"
    return (
        f"{spec.method.name} on {spec.encoder.name}: {pretrain}{1000 * each:.3g} ms a segment, {own} {probe:.3g} s and "
        f"scores {rates.score[score_kind(spec)].each:.3g} s a cell{noise} (took {took:.0f} s)"
    )


def _short(spec: RunSpec, trains: bool, seconds: float) -> RunSpec:
    """The cell with few steps of everything, on all labels of a few tracks."""
    train = {"steps": _WARM_UP, "epochs": 0.0, "diagnose_times": 1, "patience": 0, "warmup": 0.0}
    limit = _SEGMENTS * seconds
    update: dict[str, Any] = {
        "train": spec.train.model_copy(update=train),
        "probe": spec.probe.model_copy(
            update={"steps": min(spec.probe.steps, spec.probe.evaluate_every), "patience": 0}
        ),
        "finetune": spec.finetune.model_copy(update={"steps": _WARM_UP, "diagnose_times": 1, "patience": 0}),
        "embed": spec.embed.model_copy(update={"max_seconds": min(limit, spec.embed.max_seconds or limit)}),
        "views": spec.views.model_copy(update={"exclude": ""}),
        "labels": LabelsSpec(),
        "fraction": 1.0,
        "draw": 0,
    }
    if not trains:
        update["pretrain_dataset"] = spec.dataset
    return spec.model_copy(update=update)


def _longer(few: RunSpec, first: _Taken, about: plan.Traits) -> RunSpec:
    """The same, once more from the start, with as many more steps as take a few seconds."""
    update: dict[str, Any] = {"seed": few.seed + 1}
    if about.trains:
        update["train"] = few.train.model_copy(update={"steps": _WARM_UP + _more(first.pretrain)})
    if few.probe.kind == "finetune" and not about.uses_labels:
        update["finetune"] = few.finetune.model_copy(update={"steps": _WARM_UP + _more(first.probe)})
    elif few.probe.kind != "knn" and not about.uses_labels:
        update["probe"] = few.probe.model_copy(update={"steps": 4 * few.probe.steps})
    return few.model_copy(update=update)


def _more(seconds: float) -> int:
    return max(_WARM_UP, min(_MOST_STEPS, int(_TIMED_SECONDS / max(seconds / _WARM_UP, 1e-3))))


def _line(first: float, second: float, few: int, more: int, source: str, size: float | None) -> Rate:
    """Seconds of a step from two runs, and what comes before the first."""
    each = max(0.0, second - first) / max(1, more - few)
    return Rate(each, source, max(0.0, first - few * each), size)


def _run(spec: RunSpec, place: Place) -> _Taken:
    """Runs one cell; what it would say is of no interest to who asks for a plan."""
    with redirect_stderr(io.StringIO()):
        ((_, result),) = run([spec], place)
    ended = time.time()
    made = {"pretrained": "pretrain", "embedded": "embed", "probed": "probe"}
    folders = {stage: place.store.folder(stage, result.products[of]) for stage, of in made.items()}
    took = result.seconds
    score = max(0.0, ended - (folders["probed"] / "run.json").stat().st_mtime)
    path = results.path_of(place.results, result)
    return _Taken(took["pretrain"], took["embed"], took["probe"], score, folders, result, path)


def _probe(
    spec: RunSpec, few: RunSpec, more: RunSpec, first: _Taken, second: _Taken, about: plan.Traits,
    whole: Prepared | None, width: int, place: Place,
) -> float:  # fmt: skip
    """Seconds of a cell's probe, where it is not stopped early: on made-up embeddings of the whole data set."""
    if about.uses_labels:
        return second.probe
    if spec.probe.kind == "finetune":
        rate = _line(first.probe, second.probe, few.finetune.steps, more.finetune.steps, "", None)
        return rate.fixed + rate.each * spec.finetune.steps
    fits = whole is not None and 8 * width * len(whole.tracks) < _MOST_EMBEDDED
    if whole is None or not fits:
        rate = _line(first.probe, second.probe, few.probe.steps, more.probe.steps, "", None)
        return rate.fixed + rate.each * spec.probe.steps
    vectors = generator(0, "measured", 0).standard_normal((len(whole.tracks), width), dtype=np.float32)
    embedded = Embeddings(vectors, np.arange(len(vectors) + 1), vectors)
    labels = labelled(whole, spec.model_copy(update={"labels": LabelsSpec(), "fraction": min(1.0, spec.fraction)}), [])
    taken = []
    for one in (few, more):
        one = spec.model_copy(update={"probe": one.probe})
        with redirect_stderr(io.StringIO()):
            ((_, made),) = probe_all([one], [labels], whole, embedded, stages.pick_device(place.device), "probe")
        taken.append(made.seconds)
    rate = _line(taken[0], taken[1], few.probe.steps, more.probe.steps, "", None)
    return rate.fixed + rate.each * spec.probe.steps


def _result_bytes(taken: _Taken, share: float) -> float:
    """Of a cell's two files, on the whole test split."""
    values = results.read_values(taken.path)
    tracks = taken.result.counts["test_tracks"]
    arrays = len(values.influence) + len(values.jackknife) + 1
    size = taken.path.stat().st_size + taken.path.with_suffix(".npz").stat().st_size
    return size + 4 * arrays * tracks * (share - 1)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def _some_tracks(
    dataset: PlugIn, few: RunSpec, seconds: float, most: int, store: Store, temporary: Store
) -> Prepared | None:
    """Prepares a few tracks of a data set in the temporary home; returns the whole one where it is prepared."""
    key = plan.prepare_key(dataset, few.encoder, store)
    there = store.folder("prepared", key)
    whole = open_prepared(there) if store.has("prepared", key) else None

    def make(folder: Path) -> None:
        if whole is None:
            _noise(few, seconds, most, folder)
        else:
            _part(whole, there, most, folder)

    temporary.produce("prepared", plan.prepare_key(dataset, few.encoder, temporary), make)
    return whole


def _part(whole: Prepared, there: Path, most: int, folder: Path) -> None:
    """Some tracks of each split, evenly over the manifest; their samples stay where they are."""
    numbers = {"train": most, "valid": _HELD_OUT, "test": _HELD_OUT}
    rows = np.sort(np.concatenate([_spread(whole.rows(split), number) for split, number in numbers.items()]))
    for path in there.glob("audio-*.i16"):
        (folder / path.name).symlink_to(path.resolve())
    index = np.load(there / "index.npy", mmap_mode="r")[rows]
    counts = {split: int((whole.tracks["split"].iloc[rows] == split).sum()) for split in numbers}
    _describe(whole.tracks.iloc[rows], whole.labels[rows], index, {**whole.facts, "tracks": counts}, folder)


def _spread(rows: NDArray[np.int64], number: int) -> NDArray[np.int64]:
    places = np.linspace(0, len(rows) - 1, min(number, len(rows)))
    chosen: NDArray[np.int64] = rows[np.unique(places.round().astype(int))]
    return chosen


def _noise(few: RunSpec, seconds: float, most: int, folder: Path) -> None:
    """Tracks long enough for every way of placing two views, with tags drawn by a coin."""
    import pandas as pd

    rate = plan.sample_rate(few.encoder)
    frames = round((_SEGMENTS * seconds + few.views.min_gap_seconds + 0.1) * rate)
    counts = {"train": most, "valid": _HELD_OUT, "test": _HELD_OUT}
    splits = [split for split, number in counts.items() for _ in range(number)]
    number = len(splits)
    random = generator(0, "measured", 1)
    samples = random.integers(-(2**12), 2**12, number * frames, dtype=np.int16)
    (folder / "audio-00000.i16").write_bytes(samples.astype("<i2").tobytes())
    names = [str(place) for place in range(number)]
    tracks = pd.DataFrame({"track_id": names, "split": splits, "group": names, "audio_hash": names})
    index = np.stack([np.zeros(number), np.arange(number) * frames, np.full(number, frames)], axis=1).astype(np.int64)
    facts = {
        "data_hash": "0", "tracks_hash": "0", "sample_rate": rate, "kind": "tags", "split_name": "noise",
        "tags": [str(tag) for tag in range(_NOISE_TAGS)], "tracks": counts, "left_out": [], "notes": [],
    }  # fmt: skip
    _describe(tracks, random.random((number, _NOISE_TAGS)) < 0.5, index, facts, folder)


def _describe(tracks: Any, labels: Any, index: Any, facts: dict[str, Any], folder: Path) -> None:
    """Writes what `bench.data.prepared.open_prepared` opens, beside the samples."""
    buffer = io.BytesIO()
    tracks.reset_index(drop=True).to_parquet(buffer, index=False)
    write_atomically(folder / "manifest.parquet", buffer.getvalue())
    write_array(folder / "labels.npy", np.asarray(labels, bool))
    write_array(folder / "index.npy", index)
    write_json(folder / "data.json", facts)
    write_json(folder / "run.json", {"seconds": 0.0})
