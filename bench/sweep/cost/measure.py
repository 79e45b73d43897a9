"""Measures what a sweep will take, by a few real steps of each combination on this machine.

Cells are computed by `bench.stages.run.run`, with few steps and in a home of their own that is
removed at the end. Each is computed twice, with a few steps and with some more, so that the
difference is the time of a step. The tracks are some of the data set where its files are known,
else noise: the time of a step depends on the length of the audio and not on what is heard.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench import results
from bench.core.errors import InputError
from bench.core.progress import progress, say
from bench.core.store import Store, read_json
from bench.settings.specs import PlugIn, RunSpec
from bench.settings.traits import Traits, sample_rate
from bench.stages.keys import prepare_key
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
from bench.sweep.cost.sample import HELD_OUT, some_tracks
from bench.sweep.cost.short_cells import WARM_UP, longer, short
from bench.sweep.cost.timed import Taken, line, probe_rate, timed_run
from bench.sweep.cost.work import DataSets, read_data, training_steps

_CURVE_POINTS = 200  # points that `bench.stages.pretrain.loop` keeps of a training curve


def measure(specs: Sequence[RunSpec], rates: Rates, store: Store, device: str) -> None:
    """Measures combinations, adds what is measured to the rates, and prints each as it is done.

    Args:
        specs: one cell of each combination.
        rates: rates of stored runs; gains what is measured.
        store: home, which is only read.
        device: as in `bench run`.

    Raises:
        InputError: a setting of a method, an encoder or a data set is not possible, or there is no
            such device.
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
    """Seconds that a job takes before it computes."""
    began = time.monotonic()
    subprocess.run(
        [sys.executable, "-c", "import bench.stages.run"], check=True, stdin=subprocess.DEVNULL
    )
    return time.monotonic() - began


def _combination(
    spec: RunSpec, rates: Rates, most: int, store: Store, place: Place, source: str
) -> str:
    """Measures one combination and adds the result to the rates.

    Args:
        spec: a cell of the combination.
        rates: the rates; gain what is measured.
        most: number of tracks of the training split that are taken.
        store: home, which is only read.
        place: temporary home and results, and the device.
        source: where the rates come from, in words.

    Returns:
        What the combination takes, in words.
    """
    parts = check(spec)
    seconds, about = float(parts.encoder_settings.seconds), parts.traits
    few = short(spec, about.trains, seconds)
    whole = None
    for section in ("pretrain_dataset", "dataset"):
        dataset: PlugIn = getattr(few, section)
        whole = some_tracks(dataset, few, seconds, most, store, place.store)
        _prepared_rate(dataset, few, rates, place.store, source)
    began = time.monotonic()
    new = pretrain_kind(spec) not in rates.pretrain or embed_kind(spec) not in rates.embed
    # The first steps with new shapes take longer; of a thousand steps that is no part, so a run
    # before those that are timed takes it.
    if new:
        timed_run(few.model_copy(update={"seed": spec.seed + 1}), place)
    first = timed_run(few, place)
    more = longer(few, first.pretrain / WARM_UP, first.probe / WARM_UP, new, about)
    second = timed_run(more, place)
    step = Rate(0.0, source, bytes=folder_bytes(first.folders["pretrained"]))
    if about.trains and new:
        step = line(
            first.pretrain, second.pretrain, few.train.steps, more.train.steps, source, step.bytes
        )
    step = rates.pretrain.setdefault(pretrain_kind(spec), step)
    width = read_json(second.folders["embedded"] / "run.json")["width"]
    vectors = len(np.load(second.folders["embedded"] / "segments.npy", mmap_mode="r"))
    each = min(first.embed, second.embed) / vectors
    rates.embed.setdefault(
        embed_kind(spec), Rate(each, source, bytes=4 * width, view_seconds=seconds)
    )
    probe = probe_rate(spec, few, more, first, second, about, whole, width, place, source)
    rates.probe.setdefault(probe_kind(spec, about.uses_labels), probe)
    data = DataSets(store).of(spec)
    tests = data.tracks["test"] if data else HELD_OUT
    share = tests / second.result.counts["test_tracks"]
    rates.score.setdefault(score_kind(spec), Rate(second.score * share, source))
    rates.result.setdefault(
        score_kind(spec), _result_bytes(second, share, training_steps(spec, DataSets(store)))
    )
    score = rates.score[score_kind(spec)].each
    noise = "" if data else "; on noise, for its data are not there"
    return (
        f"{_in_words(spec, about, step, each, probe, score)}{noise} "
        f"(took {time.monotonic() - began:.0f} s)"
    )


def _in_words(
    spec: RunSpec, about: Traits, step: Rate, segment: float, probe: Rate, score: float
) -> str:
    """What a combination takes, in words.

    Args:
        spec: a cell of it.
        about: traits of the method.
        step: rate of a step of pretraining.
        segment: seconds of embedding a segment.
        probe: rate of a probe.
        score: seconds of the scores of a cell.
    """
    batch = f"batch {spec.train.batch_size}, augment {spec.augment.name}"
    pretrain = f"{step.each:.3g} s a step ({batch}), " if about.trains else ""
    probed = "its own classifier" if about.uses_labels else f"a {spec.probe.kind} probe"
    return (
        f"{spec.method.name} on {spec.encoder.name}: {pretrain}{1000 * segment:.3g} ms a segment, "
        f"{probed} {probe.fixed + probe.each:.3g} s and scores {score:.3g} s a cell"
    )


def _result_bytes(taken: Taken, share: float, steps: int | None) -> float:
    """Bytes of a cell's two result files, on the whole test split and with the whole curve.

    Args:
        taken: what the run of the cell took.
        share: number of tracks of the whole test split over that of the run.
        steps: number of steps of the whole pretraining; None where it is not known.
    """
    values = results.read_values(taken.path)
    tracks = taken.result.counts["test_tracks"]
    arrays = len(values.influence) + len(values.jackknife) + 1  # each of 4 bytes a test track
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
    """Adds the rate of decoding a second of audio, where tracks were decoded for the measurement.

    Args:
        dataset: the data set.
        few: a cell that was measured.
        rates: the rates; gain this one.
        temporary: the home in which the tracks were prepared.
        source: where the rate comes from, in words.
    """
    folder = temporary.folder("prepared", prepare_key(dataset, sample_rate(few.encoder), temporary))
    seconds = read_json(folder / "run.json")["seconds"]
    data = read_data(folder)
    if seconds and data and data.bytes:
        kind = prepare_kind(dataset, data.rate)
        rates.prepare.setdefault(kind, Rate(seconds / (data.bytes / 2 / data.rate), source))
