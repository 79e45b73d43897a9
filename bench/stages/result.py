"""The record of one computed cell: settings, protocol, data, scores and what it took, as a `Result`."""

import platform
from typing import Any

from bench import results
from bench.settings.specs import RunSpec
from bench.stages.prepare.stage import dataset_settings
from bench.stages.score.stage import Scored
from bench.stages.session import Cell

_AGGREGATION = {
    "mean_embedding": "mean embedding of non-overlapping",
    "mean_probability": "mean probability over non-overlapping",
}


def result_of(
    cell: Cell, scored: Scored, runs: dict[str, Any], counted: dict[str, int]
) -> results.Result:
    """The result of a cell.

    Args:
        cell: the cell.
        scored: what its score stage made.
        runs: the `run.json` of each stage.
        counted: "short_tracks" and "leaked_tracks".
    """
    spec, parts, data, probe, run = (
        cell.spec,
        cell.parts,
        cell.data,
        runs["probe"],
        runs["pretrain"],
    )
    keys = cell.keys
    return results.Result(
        cell=keys.cell,
        spec=spec,
        settings={
            "method": parts.method_settings.model_dump(mode="json"),
            "encoder": parts.encoder_settings.model_dump(mode="json"),
            "dataset": dataset_settings(spec.dataset, "dataset").model_dump(mode="json"),
            "pretrain_dataset": dataset_settings(
                spec.pretrain_dataset, "pretrain_dataset"
            ).model_dump(mode="json"),
        },
        protocol={
            "split": data.facts["split_name"],
            "probe": probe["kind"],
            "trained_on": "segments"
            if probe["kind"] in ("end_to_end", "finetune")
            else spec.probe.train_on,
            "aggregation": f"{_AGGREGATION[spec.probe.aggregation]} {parts.encoder_settings.seconds:g} s segments",
            "untagged": spec.score.untagged,
            "labels": _labels_in_words(spec),
            "chosen_on": "valid split, macro average precision",
            "interval": scored.interval,
            "steps": run["steps"],
            "augment": spec.augment.name if parts.traits.trains else "none",
            "scale": spec.scale,
            "pretrained_on": "labelled tracks" if parts.traits.uses_labels else spec.views.splits,
            "excluded": len(cell.audio.rows(spec.views.splits)) - len(cell.rows),
        },
        data={
            "hash": data.facts["data_hash"],
            "tracks_hash": data.facts["tracks_hash"],
            "pretrain_hash": cell.audio.facts["data_hash"],
            "kind": data.kind,
            "split": data.facts["split_name"],
            "tags": list(data.tags),
            "left_out": data.facts["left_out"],
            "notes": data.facts["notes"],
            **{f"{split}_tracks": number for split, number in data.facts["tracks"].items()},
        },
        counts={
            **scored.counts,
            "all_tags": len(data.tags),
            "labelled_tracks": len(cell.labels.rows),
            "tags_without_labelled_positive": cell.labels.without_positive,
            **counted,
        },
        **scored.fields,
        training={
            name: run[name]
            for name in (
                *("curve", "diagnostics", "best", "warning", "steps", "views"),
                *("parameters", "threads", "notes"),
            )
        },
        probe={"chosen": probe["chosen"], "sweep": probe["sweep"], "subset": cell.labels.subset},
        products={
            "prepare": keys.prepare,
            "pretrain": keys.pretrain,
            "embed": keys.embed,
            "probe": keys.probe,
        },
        seconds={stage: float(found["seconds"]) for stage, found in runs.items()},
        code=results.code_version(),
        versions={"python": platform.python_version(), **results.library_versions()},
        device=run["device"],
        created=results.now(),
    )


def _labels_in_words(spec: RunSpec) -> str:
    labels = spec.labels
    if labels.subset:
        return f"imported subset {labels.subset}"
    unit = "groups" if labels.by == "group" else "tracks"
    of = ", shares of the whole data set" if labels.of == "dataset" else ""
    return f"{labels.scheme} over {unit}{of}" + (f", seed {labels.seed}" if labels.seed else "")
