"""Times the stages of a cell and its probes, for `bench.sweep.cost.measure`."""

import io
import time
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from bench import results
from bench.core.randomness import generator
from bench.data.prepared import Prepared
from bench.settings.specs import LabelsSpec, RunSpec
from bench.settings.traits import Traits
from bench.stages.embed.segments import Embeddings
from bench.stages.probe.labelled import labelled
from bench.stages.probe.stage import probe_all
from bench.stages.run import run
from bench.stages.session import Place, device_of
from bench.sweep.cost.rates import Rate
from bench.sweep.spec import PRODUCTS

_SEVERAL = 4  # cells whose probes are timed together
_MOST_EMBEDDED = 2**28  # the most bytes of made-up embeddings that a probe is timed on


@dataclass(frozen=True)
class Taken:
    """What the run of a cell took.

    Attributes:
        pretrain: seconds of pretraining.
        embed: seconds of embedding.
        probe: seconds of probing.
        score: seconds of scoring.
        folders: folder of each product, by kind.
        result: the result.
        path: path of its JSON.
    """

    pretrain: float
    embed: float
    probe: float
    score: float
    folders: dict[str, Path]
    result: results.Result
    path: Path


def timed_run(spec: RunSpec, place: Place) -> Taken:
    """Runs a cell twice, the second time with another seed of the probe, and times the second.

    What cells share, such as the resamples of the test tracks, is made with the first and so is not
    part of the seconds of scoring. A cell that is fine-tuned is run once, for it takes long. What
    the run prints is dropped.

    Args:
        spec: the cell.
        place: home and results to write to, and the device.
    """
    specs = [spec, spec.model_copy(update={"probe_seed": spec.probe_seed + 1})]
    if spec.probe.kind == "finetune":
        del specs[1:]
    with redirect_stderr(io.StringIO()):
        done = [(result, time.time()) for _, result in run(specs, place)]
    result, ended = done[-1]
    before = done[-2][1] if len(done) > 1 else 0.0
    folders = {
        folder: place.store.folder(folder, result.products[stage])
        for stage, folder in PRODUCTS.items()
    }
    took = result.seconds
    score = max(0.0, ended - max(before, (folders["probed"] / "run.json").stat().st_mtime))
    path = results.path_of(place.results, result)
    return Taken(took["pretrain"], took["embed"], took["probe"], score, folders, result, path)


def line(first: float, second: float, few: int, more: int, source: str, size: float | None) -> Rate:
    """Seconds of a step, and seconds before the first step, from two runs.

    Args:
        first: seconds of the run with `few` steps.
        second: seconds of the run with `more` steps.
        few: number of steps of the first run.
        more: number of steps of the second run.
        source: where the rate comes from, in words.
        size: bytes of the product.
    """
    each = max(0.0, second - first) / max(1, more - few)
    return Rate(each, source, max(0.0, first - few * each), size)


def probe_rate(
    spec: RunSpec,
    few: RunSpec,
    more: RunSpec,
    first: Taken,
    second: Taken,
    about: Traits,
    whole: Prepared | None,
    width: int,
    place: Place,
    source: str,
) -> Rate:
    """The rate of a cell's probe that is not stopped early.

    Where the whole data set is prepared, probes of made-up embeddings of all its tracks are timed;
    else the seconds of the two runs are used.

    Args:
        spec: the cell as it is asked for.
        few: the cell of the first run.
        more: the cell of the second run.
        first: what the first run took.
        second: what the second run took.
        about: traits of the method.
        whole: the whole data set; None where it is not prepared.
        width: width of an embedding.
        place: says the device.
        source: where the rate comes from, in words.
    """
    kind = "end_to_end" if about.uses_labels else spec.probe.kind
    if kind == "finetune":
        rate = line(
            first.probe, second.probe, few.finetune.steps, more.finetune.steps, source, None
        )
        return Rate(rate.fixed + rate.each * spec.finetune.steps, source)
    fits = whole is not None and 8 * width * len(whole.tracks) < _MOST_EMBEDDED
    if kind == "end_to_end" or whole is None or not fits:
        if kind in ("end_to_end", "knn"):
            return Rate(second.probe, source)
        rate = line(first.probe, second.probe, few.probe.steps, more.probe.steps, source, None)
        return Rate(rate.fixed + rate.each * spec.probe.steps, source)
    vectors = generator(0, "measured", 0).standard_normal(
        (len(whole.tracks), width), dtype=np.float32
    )
    embedded = Embeddings(vectors, np.arange(len(vectors) + 1), vectors)
    short, long, several = (
        _fitted(
            spec.model_copy(update={"probe": steps.probe}), cells, whole, embedded, device_of(place)
        )
        for steps, cells in ((few, 1), (more, 1), (more, _SEVERAL))
    )
    # The probes of a group's cells are trained together, so another cell takes less than the first.
    another = max(0.0, several - long) / (_SEVERAL - 1)
    if kind == "knn":
        return Rate(another, source, max(0.0, long - another))
    rate = line(short, long, few.probe.steps, more.probe.steps, source, None)
    another *= spec.probe.steps / more.probe.steps
    return Rate(another, source, max(0.0, rate.fixed + rate.each * spec.probe.steps - another))


def _fitted(
    spec: RunSpec, cells: int, whole: Prepared, embedded: Embeddings, device: torch.device
) -> float:
    """Seconds of fitting the probes of some cells together.

    Args:
        spec: one of the cells; they differ in the seed of the probe.
        cells: number of cells.
        whole: the whole data set, for its labels.
        embedded: embeddings of its tracks.
        device: where to fit.
    """
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
