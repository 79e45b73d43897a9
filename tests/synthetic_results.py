"""Result files with made-up but plausible numbers, for tests of figures, tables and reports.

    python tests/synthetic_results.py FOLDER [CELLS]

Specs come from `bench.settings.resolve.resolve` and files are written by `bench.results.write`, so
that they follow the schema. The arrays agree with one another as real ones do: a metric's resamples
are its value plus the weights of the tracks times their influence, with the same weights for every
cell of a data set, and the mean of the per-tag scores is the metric.
"""

import dataclasses
import math
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from bench import results
from bench.core.errors import InputError
from bench.core.store import write_json
from bench.settings.resolve import Request, resolve
from bench.settings.specs import PlugIn, RunSpec, digest
from bench.settings.traits import traits

DATASETS: dict[str, tuple[str, dict[str, Any], str, str, int]] = {
    "midiband": ("midiband", {}, "artist", "tags", 34),
    "magnatagatune": ("magnatagatune", {"split": "lee"}, "lee", "tags", 50),
    "magnatagatune:pons": ("magnatagatune", {"split": "pons"}, "pons", "tags", 50),
    "msd": ("msd", {}, "lee", "tags", 50),
    "jamendo:top50": ("jamendo", {"task": "top50"}, "top50-split-0", "tags", 50),
    "jamendo:instrument": ("jamendo", {"task": "instrument"}, "instrument-split-0", "tags", 40),
    "jamendo:moodtheme": ("jamendo", {"task": "moodtheme"}, "moodtheme-split-0", "tags", 56),
    "gtzan": ("gtzan", {}, "fault-filtered", "classes", 10),
}
"""Name, settings, split, kind of labels and number of tags by variant.

A variant is the name of a data set, or NAME:VARIANT for another split or task of it.
"""
LEVEL = {"midiband": 0.5, "magnatagatune": 0.38, "msd": 0.2, "jamendo": 0.18, "gtzan": 0.6}
"""Typical macro mAP on a data set."""
QUALITY = {
    "simclr": 0.12, "vicreg": 0.06, "barlow_twins": 0.07, "byol": 0.05, "clustering": 0.09,
    "supervised": 0.15, "mfcc": -0.05, "random_init": -0.15,
}  # fmt: skip
"""How much better a method is than the typical one, as a share of the typical mAP."""
TERMS = {
    "vicreg": ("invariance", "variance", "covariance"),
    "barlow_twins": ("on_diagonal", "off_diagonal"),
}
"""Loss terms of a method."""
TRACKS = 80
"""Number of test tracks."""


def write_cells(
    folder: Path,
    methods: Sequence[str] = ("simclr", "vicreg", "random_init"),
    datasets: Sequence[str] = ("midiband",),
    fractions: Sequence[float] = (0.1, 1.0),
    draws: int = 2,
    seeds: int = 1,
    probes: Sequence[str] = ("linear",),
    resamples: int = 200,
    *,
    encoder: str | None = None,
    tags: Sequence[str] | None = None,
    unknown_tags: int = 2,
) -> list[Path]:
    """Writes a grid of cells into a results folder; returns the paths of their JSON files.

    Args:
        folder: the results folder.
        methods: any names; a name of no plug-in, such as "<script>", gets a spec of `simclr`.
        datasets: keys of `DATASETS`; any other name is a CSV of that name.
        fractions: label fractions; a fraction of 1 has one draw.
        draws: draws of the labelled subset for each fraction below 1.
        seeds: number of pretraining seeds.
        probes: kinds of probe.
        resamples: of the test tracks; 0 for cells without intervals.
        encoder: name of an encoder in place of the recipe's.
        tags: names of the tags in place of made-up ones.
        unknown_tags: how many tags have no positive among the test tracks, and so no score.
    """
    return [
        results.write(folder, *made_up(spec, variant, resamples, tags, unknown_tags))
        for spec, variant in _specs(
            methods, datasets, fractions, draws, seeds, probes, resamples, encoder
        )
    ]


def _specs(
    methods: Sequence[str], datasets: Sequence[str], fractions: Sequence[float], draws: int,
    seeds: int, probes: Sequence[str], resamples: int, encoder: str | None,
) -> Iterator[tuple[RunSpec, str]]:  # fmt: skip
    """Specs of a grid, each with its data set as `DATASETS` has it."""
    for method, dataset, probe in product(methods, datasets, probes):
        overrides = {"probe": {"kind": probe}, "score": {"resamples": resamples}}
        known = method in QUALITY
        request = Request(method if known else "simclr", 1.0, encoder=encoder, overrides=overrides)
        spec = resolve(request)
        name, settings, *_ = DATASETS.get(dataset, (f"{dataset}.csv", {}))
        plugin = PlugIn(name=name, **settings)
        update: dict[str, Any] = {"dataset": plugin, "pretrain_dataset": plugin}
        if not known:
            update["method"] = PlugIn(name=method)
        for seed, fraction in product(range(seeds), fractions):
            for draw in range(draws if fraction < 1 else 1):
                place = {"fraction": fraction, "draw": draw, "seed": seed}
                yield spec.model_copy(update={**update, **place}), dataset


@cache
def _weights(variant: str, resamples: int) -> np.ndarray:
    """(resamples, tracks) how often each track stands in a resample of a data set's test tracks."""
    rng = np.random.default_rng(_number(variant))
    return np.asarray(rng.multinomial(TRACKS, [1 / TRACKS] * TRACKS, resamples), float)


def _number(*parts: Any) -> int:
    """A seed that is a function of the parts."""
    return int(digest([str(part) for part in parts]), 16)


def made_up(
    spec: RunSpec,
    variant: str,
    resamples: int,
    tags: Sequence[str] | None = None,
    unknown_tags: int = 2,
) -> tuple[results.Result, results.Values]:
    """Makes up one cell's result and arrays, as a function of the arguments alone.

    Args:
        spec: the cell's spec.
        variant: key of `DATASETS`, or the name of a CSV.
        resamples: of the test tracks; 0 for no intervals.
        tags: names of the tags in place of made-up ones.
        unknown_tags: how many tags have no positive among the test tracks.
    """
    _, _, split, kind, number = DATASETS.get(variant, ("", {}, "made", "tags", 12))
    names = list(tags) if tags is not None else [f"tag {index:02}" for index in range(number)]
    known = max(1, len(names) - unknown_tags)
    rng = np.random.default_rng(_number(spec.model_dump(mode="json")))
    metrics, values, per_tag = _scores(spec, variant, resamples, len(names), known, kind, rng)
    trains = traits(spec.method.name).trains if spec.method.name in QUALITY else True
    labels = spec.method.name in QUALITY and traits(spec.method.name).uses_labels
    # Of the spec's fields, pretraining does not depend on these.
    later = {"probe_seed", "probe", "score"} | (set() if labels else {"fraction", "draw"})
    pretrained = digest(spec.model_dump(mode="json", exclude=later))
    result = results.Result(
        cell=digest([spec, variant]),
        spec=spec,
        settings={"method": {}, "encoder": {}, "dataset": {}, "pretrain_dataset": {}},
        protocol=_protocol(spec, split, resamples, trains, labels),
        data=_data(variant, split, kind, names),
        counts={
            "test_tracks": TRACKS,
            "scored_tags": known,
            "all_tags": len(names),
            "labelled_tracks": round(400 * min(spec.fraction, 1.0)),
            "tags_without_labelled_positive": 0,
            "short_tracks": 0,
            "leaked_tracks": 0,
        },
        metrics=metrics,
        convention=spec.probe.aggregation,
        conventions={},
        per_tag=per_tag,
        training=_training(spec, np.random.default_rng(_number(pretrained)))
        if trains
        else _untrained(),
        probe={
            "chosen": {"learning_rate": 1e-3},
            "sweep": [],
            "subset": digest([variant, spec.fraction, spec.draw]),
        },
        products={
            "prepare": digest(variant),
            "pretrain": pretrained,
            "embed": digest([pretrained, variant]),
            "probe": digest(spec),
        },
        seconds={
            "prepare": 3.0,
            "pretrain": 300.0 * rng.uniform(0.8, 1.2) if trains else 0.1,
            "embed": 4.0,
            "probe": 1,
        },
        code={"version": "0.0.0", "commit": "0" * 40, "changed": False},
        versions={"python": "3.11"},
        device="cpu",
        created="2026-01-01T00:00:00+00:00",
    )
    return result, results.Values(**values, groups=np.arange(TRACKS) // 4)


Columns = dict[str, dict[str, np.ndarray]]


def _scores(
    spec: RunSpec, variant: str, resamples: int, tags: int, known: int, kind: str,
    rng: np.random.Generator,
) -> tuple[dict[str, results.Metric], Columns, dict[str, list[float | None]]]:  # fmt: skip
    """Metrics with intervals, the arrays behind them, and per-tag scores.

    The first `known` of `tags` tags have positives among the test tracks.
    """
    shared = np.random.default_rng(_number(variant, "tracks")).normal(size=TRACKS)
    metrics = {}
    values: Columns = {"resampled": {}, "influence": {}, "jackknife": {}}
    per_tag: dict[str, list[float | None]] = {}
    for metric, shift in _metrics(kind).items():
        value = _score(spec, variant, shift, rng)
        difficulty = np.random.default_rng(_number(variant, "tags")).normal(size=tags)
        scores = np.clip(value + 0.08 * difficulty, 0.01, 0.99)
        scores = np.clip(scores + 0.02 * rng.normal(size=tags), 0, 1)
        value = float(scores[:known].mean())
        column = {"map_macro": "average_precision", "roc_auc_macro": "roc_auc"}.get(metric)
        if column:
            per_tag[column] = [
                float(score) if tag < known else None for tag, score in enumerate(scores)
            ]
        influence = 0.012 / math.sqrt(TRACKS) * (0.8 * shared + 0.6 * rng.normal(size=TRACKS))
        influence -= influence.mean()
        resampled = np.clip(value + (_weights(variant, resamples) - 1) @ influence, 0, 1)
        values["resampled"][metric] = resampled
        values["influence"][metric], values["jackknife"][metric] = influence, influence
        low, high = np.quantile(resampled, (0.025, 0.975)).tolist() if resamples else (None, None)
        metrics[metric] = results.Metric(
            value=value, low=low, high=high, percentile=(low, high), bca=(low, high), bias=0.0
        )
    per_tag["test_positives"] = [float(3 + tag % 20) if tag < known else 0.0 for tag in range(tags)]
    return metrics, values, per_tag


def _protocol(
    spec: RunSpec, split: str, resamples: int, trains: bool, labels: bool
) -> dict[str, Any]:
    """What a result says about its protocol."""
    return {
        "split": split,
        "probe": "end_to_end" if labels else spec.probe.kind,
        "trained_on": spec.probe.train_on,
        "aggregation": "mean embedding of non-overlapping 3 s segments",
        "untagged": spec.score.untagged,
        "labels": f"{spec.labels.scheme} over tracks",
        "chosen_on": "valid split, macro average precision",
        "interval": f"bias-corrected intervals, {resamples} resamples of tracks, 95%",
        "steps": spec.train.steps if trains else 0,
        "pretrained_on": "labelled tracks" if labels else "train",
        "excluded": 0,
    }


def _data(variant: str, split: str, kind: str, tags: list[str]) -> dict[str, Any]:
    """What a result says about its data set."""
    return {
        "hash": digest([variant]),
        "tracks_hash": digest([variant, "tracks"]),
        "pretrain_hash": digest([variant]),
        "kind": kind,
        "split": split,
        "tags": tags,
        "left_out": [],
        "notes": [],
        "train_tracks": 400,
        "valid_tracks": 60,
        "test_tracks": TRACKS,
    }


def _metrics(kind: str) -> dict[str, float]:
    """The metrics of a kind of labels, and how far each lies above macro mAP."""
    shifts = {"map_macro": 0.0, "map_micro": 0.02, "roc_auc_macro": 0.42, "roc_auc_micro": 0.44}
    return shifts | ({"accuracy": 0.1, "f1_macro": 0.05} if kind == "classes" else {})


def _score(spec: RunSpec, variant: str, shift: float, rng: np.random.Generator) -> float:
    """A metric's value: it grows with the method's quality and the logarithm of the fraction."""
    level = LEVEL.get(variant.partition(":")[0], 0.4)
    quality = QUALITY.get(spec.method.name, 0.0) * level
    learnt = level + quality + 0.06 * level * math.log10(min(spec.fraction, 1.0) / 0.1)
    learnt += {"mlp": 0.01, "knn": -0.03}.get(spec.probe.kind, 0.0) + shift * (1 - level)
    noise = (
        rng.normal() * (0.012 if spec.fraction < 1 else 0.004)
        + 0.004 * np.random.default_rng(spec.seed).normal()
    )
    return float(np.clip(learnt + noise, 0.1, 0.95))


def _training(spec: RunSpec, rng: np.random.Generator) -> dict[str, Any]:
    """A training with a falling loss and a rising effective rank."""
    steps = np.linspace(1, spec.train.steps, 40).round().astype(int).tolist()
    curve = []
    for place, step in enumerate(steps):
        fall = 1 + 2 * math.exp(-place / 8) + 0.05 * rng.normal()
        terms = {
            term: fall / (number + 2) for number, term in enumerate(TERMS.get(spec.method.name, ()))
        }
        curve.append({"step": step, "loss": fall, **terms})
    diagnostics = [
        {
            "step": float(step),
            "deviation": 0.4 + 0.02 * rng.normal(),
            "effective_rank": 20 + place * 3.0 + rng.normal(),
        }
        for place, step in enumerate(steps[::5])
    ]
    return {
        "curve": curve, "diagnostics": diagnostics, "best": {}, "warning": None,
        "parameters": 1_427_720, "threads": 1, "notes": [],
    }  # fmt: skip


def _untrained() -> dict[str, Any]:
    """What a result says about the training of a method that does not train."""
    return {
        "curve": [], "diagnostics": [], "best": {}, "warning": None,
        "parameters": 0, "threads": 1, "notes": [],
    }  # fmt: skip


def write_degraded(folder: Path) -> list[Path]:
    """Writes scores on degraded audio beside every cell that can be read.

    Each further degradation lowers every metric by a hundredth.

    Returns:
        The JSON files that were written.
    """
    written = []
    for result in results.read_all(folder)[0]:
        try:
            values = results.read_values(results.path_of(folder, result))
        except InputError:
            continue
        degradations = (("clean", 0.0), ("noise", 20.0), ("noise", 0.0), ("pitch", -1.0))
        for step, (kind, level) in enumerate(degradations):
            unit = {"noise": "dB"}.get(kind, "")
            audio = {"kind": kind, "level": level, "unit": unit, "of": result.cell}
            lower = {
                name: np.maximum(0, column - step / 100)
                for name, column in values.resampled.items()
            }
            changed = result.model_copy(
                update={
                    "cell": digest([result.cell, kind, level]),
                    "protocol": {**result.protocol, "audio": audio},
                    "metrics": {
                        name: metric.model_copy(
                            update={"value": max(0.0, metric.value - step / 100)}
                        )
                        for name, metric in result.metrics.items()
                    },
                }
            )
            written.append(
                results.write(folder, changed, dataclasses.replace(values, resampled=lower))
            )
    return written


def spoil(folder: Path) -> dict[str, Path]:
    """Adds files to a results folder that are no whole results.

    Returns:
        The files, by what is wrong with them.
    """
    runs = folder / "runs"
    whole = sorted(runs.glob("*.json"))[0].read_text()
    old = runs / "old.json"
    write_json(old, {"schema_version": 1, "method": "simclr", "map": 0.3})
    cut = runs / "cut.json"
    cut.write_text(whole[: len(whole) // 2])
    foreign = runs / "foreign.json"
    write_json(foreign, ["no result"])
    return {"older schema": old, "truncated": cut, "foreign": foreign}


def main() -> None:
    """Writes about CELLS cells (default 2000) of all methods on several data sets into FOLDER."""
    folder, cells = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 2000
    methods = list(QUALITY)
    datasets = ["midiband", "magnatagatune", "magnatagatune:pons", "jamendo:top50", "msd"]
    fractions, draws = (0.01, 0.05, 0.1, 0.2, 1.0), 4
    cells_a_seed = len(methods) * len(datasets) * ((len(fractions) - 1) * draws + 1)
    seeds = max(1, math.ceil(cells / cells_a_seed))
    paths = write_cells(
        folder, methods, datasets, fractions, draws, seeds, ("linear",), resamples=1000
    )
    print(f"{len(paths)} cells in {folder}")


if __name__ == "__main__":
    main()
