"""Writes labelled subsets to files and imports them, for `bench subsets`."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.core.errors import InputError
from bench.core.store import Store, require_writable, write_atomically
from bench.data.prepared import Prepared
from bench.results import dataset_name
from bench.settings.resolve import Request, Tree, resolve
from bench.settings.specs import RunSpec
from bench.settings.traits import sample_rate
from bench.stages.prepare.stage import prepared
from bench.stages.probe import subsets
from bench.stages.probe.labelled import pool


def export(
    dataset: str, recipe: str, sets: Sequence[tuple[float, int, dict[str, Any]]], settings: Tree,
    home: Path, out: Path,
) -> list[dict[str, Any]]:  # fmt: skip
    """Writes labelled subsets of a data set, one file each; equal subsets share a file.

    Args:
        dataset: name of the data set, or the path of a CSV.
        recipe: names the encoder, at whose sample rate the data set is prepared.
        sets: the subsets, as (fraction, draw, settings of the section `labels`).
        settings: dotted settings of the command line, nested by section.
        home: folder of the prepared data set.
        out: folder for the files.

    Returns:
        The content of each file.

    Raises:
        InputError: an unknown name or setting, a fraction that cannot be drawn, or a folder that
            cannot be written.
    """
    specs = [_spec(dataset, recipe, settings, *labelled) for labelled in sets]
    require_writable(home, out)
    data = _prepared(specs[0], home)
    candidates = pool(data)
    made = []
    for spec in specs:
        subset = subsets.labelled_subset(candidates, spec.fraction, spec.draw, spec.labels)
        about = {
            "dataset": dataset_name(dataset),
            "split": data.facts["split_name"],
            "tracks_hash": data.facts["tracks_hash"],
            "training_tracks": len(candidates.ids),
            "fraction": spec.fraction,
            "draw": spec.draw,
            **spec.labels.model_dump(exclude={"subset"}),
        }
        made.append(subsets.describe(candidates, subset, data.tags, about))
    for content in made:
        place = f"f{content['fraction']:g}-d{content['draw']}"
        name = f"{content['dataset']}-{place}-{content['hash']}.json"
        write_atomically(out / name, (json.dumps(content, indent=1) + "\n").encode())
    return made


def import_files(
    files: Sequence[Path], dataset: str, recipe: str, settings: Tree, home: Path
) -> Iterator[tuple[Path, str, int]]:
    """Copies files of labelled tracks into home, once all of them have been checked.

    Args:
        files: files that `export` wrote.
        dataset: name of the data set, or the path of a CSV.
        recipe: names the encoder, at whose sample rate the data set is prepared.
        settings: dotted settings of the command line, nested by section.
        home: folder that the subsets go to.

    Yields:
        (file, hash of the subset, number of tracks).

    Raises:
        InputError: a file is no subset, was changed, or names tracks that are not in the training
            split.
    """
    texts = []
    for path in files:
        try:
            texts.append(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"cannot read {path}: give files that `bench subsets export` wrote"
            ) from error
    parsed = [subsets.parse(text, str(path)) for text, path in zip(texts, files, strict=True)]
    spec = _spec(dataset, recipe, settings, 1.0, 0, {})
    require_writable(home)
    candidates = pool(_prepared(spec, home))
    for ids, path in zip(parsed, files, strict=True):
        subsets.places(candidates, ids, str(path))
    folder = home / "subsets"
    folder.mkdir(exist_ok=True)
    for ids, text, path in zip(parsed, texts, files, strict=True):
        name = subsets.subset_hash(ids)
        write_atomically(folder / f"{name}.json", text.encode())
        yield path, name, len(ids)


def _spec(
    dataset: str, recipe: str, settings: Tree, fraction: float, draw: int, labels: dict[str, Any]
) -> RunSpec:
    """The spec of a cell of the data set, of which only the data and the labels are used."""
    joined = {**settings, "labels": {**settings.get("labels", {}), **labels}}
    spec = resolve(
        Request("random_init", fraction, draw, recipe=recipe, dataset=dataset, overrides=joined)
    )
    if spec.labels.subset:
        raise InputError("labels.subset names an imported subset; leave it out here")
    return spec


def _prepared(spec: RunSpec, home: Path) -> Prepared:
    """The data set of a cell, prepared where it is not."""
    return prepared(spec.dataset, sample_rate(spec.encoder), Store(home))
