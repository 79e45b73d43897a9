"""The record of one computed cell: settings, protocol, data, scores and what it took."""

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import results
from bench.core.store import other_versions, read_json
from bench.core.versions import code_version, library_versions, now
from bench.settings.specs import RunSpec
from bench.stages.parts import Cell
from bench.stages.score.stage import Scored

_AGGREGATION = {
    "mean_embedding": "mean embedding of non-overlapping",
    "mean_probability": "mean probability over non-overlapping",
}
_OF_TRAINING = (
    *("curve", "diagnostics", "best", "warning", "steps", "views"),
    *("parameters", "threads", "notes"),
)


def result_of(cell: Cell, scored: Scored, folders: Mapping[str, Path]) -> results.Result:
    """The result of a cell.

    Args:
        cell: the cell.
        scored: what its score stage made.
        folders: of its products, stage by stage.
    """
    runs = {stage: read_json(folder / "run.json") for stage, folder in folders.items()}
    probe, trained, parts = runs["probe"], runs["pretrain"], cell.parts
    settings = {
        "method": parts.method_settings,
        "encoder": parts.encoder_settings,
        "dataset": parts.dataset_settings,
        "pretrain_dataset": parts.pretrain_dataset_settings,
    }
    return results.Result(
        cell=cell.keys.cell,
        spec=cell.spec,
        settings={name: values.model_dump(mode="json") for name, values in settings.items()},
        protocol={**_protocol(cell, probe["kind"], trained["steps"]), "interval": scored.interval},
        data=_data(cell),
        counts={**scored.counts, **_counts(cell)},
        **scored.fields,
        training={name: trained[name] for name in _OF_TRAINING},
        probe={"chosen": probe["chosen"], "sweep": probe["sweep"], "subset": cell.labels.subset},
        products={
            "prepare": cell.keys.prepare,
            "pretrain": cell.keys.pretrain,
            "embed": cell.keys.embed,
            "probe": cell.keys.probe,
        },
        seconds={stage: float(run["seconds"]) for stage, run in runs.items()},
        code=code_version(),
        versions={"python": platform.python_version(), **library_versions()},
        other_versions=other_versions(folders["probe"]),
        device=trained["device"],
        created=now(),
    )


def _protocol(cell: Cell, probe: str, steps: int) -> dict[str, Any]:
    """How the cell was computed, in words that a table can print.

    Args:
        cell: the cell.
        probe: kind of the probe that gave the logits.
        steps: of pretraining.
    """
    spec, traits, seconds = cell.spec, cell.parts.traits, cell.parts.encoder_settings.seconds
    by_encoder = probe in ("end_to_end", "finetune")
    return {
        "split": cell.data.facts["split_name"],
        "probe": probe,
        "trained_on": "segments" if by_encoder else spec.probe.train_on,
        "aggregation": f"{_AGGREGATION[spec.probe.aggregation]} {seconds:g} s segments",
        "untagged": spec.score.untagged,
        "labels": _labels_in_words(spec),
        "chosen_on": "valid split, macro average precision",
        "steps": steps,
        "augment": spec.augment.name if traits.trains else "none",
        "scale": spec.scale,
        "pretrained_on": "labelled tracks" if traits.uses_labels else spec.views.splits,
        "excluded": len(cell.audio.rows(spec.views.splits)) - len(cell.rows),
    }


def _labels_in_words(spec: RunSpec) -> str:
    labels = spec.labels
    if labels.subset:
        return f"imported subset {labels.subset}"
    unit = "groups" if labels.by == "group" else "tracks"
    of = ", shares of the whole data set" if labels.of == "dataset" else ""
    return f"{labels.scheme} over {unit}{of}" + (f", seed {labels.seed}" if labels.seed else "")


def _data(cell: Cell) -> dict[str, Any]:
    """What the data sets are."""
    data = cell.data
    return {
        "hash": data.facts["data_hash"],
        "tracks_hash": data.facts["tracks_hash"],
        "pretrain_hash": cell.audio.facts["data_hash"],
        "kind": data.kind,
        "split": data.facts["split_name"],
        "tags": list(data.tags),
        "left_out": data.facts["left_out"],
        "notes": data.facts["notes"],
        **{f"{split}_tracks": number for split, number in data.facts["tracks"].items()},
    }


def _counts(cell: Cell) -> dict[str, int]:
    """Numbers of tags and tracks that the cell is about."""
    audio = cell.data.audio
    segment = round(cell.parts.encoder_settings.seconds * audio.sample_rate)
    return {
        "all_tags": len(cell.data.tags),
        "labelled_tracks": len(cell.labels.rows),
        "tags_without_labelled_positive": cell.labels.without_positive,
        "short_tracks": int((audio.frames < segment).sum()),
        "leaked_tracks": leaked_tracks(cell),
    }


def leaked_tracks(cell: Cell) -> int:
    """How many tracks pretrained on are, sample for sample, valid or test tracks of the probed set.

    0 for methods that do not train, and for those that train on the labelled tracks alone.
    """
    if not cell.parts.traits.trains or cell.parts.traits.uses_labels:
        return 0
    tracks = cell.data.tracks
    held_out = tracks["audio_hash"][tracks["split"] != "train"]
    return int(cell.audio.tracks["audio_hash"].iloc[cell.rows].isin(held_out).sum())
