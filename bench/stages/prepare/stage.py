"""The prepare stage: makes a store of samples, with a manifest, from a data set by its name.

The settings of the data set are checked, its manifest is read or made, and its audio is decoded.
"""

from io import BytesIO
from pathlib import Path
from typing import Literal

import pandas as pd

from bench.core import registry
from bench.core.errors import InputError
from bench.core.progress import progress
from bench.core.store import Store, read_json, write_atomically, write_json
from bench.data import locations, tracks_csv
from bench.data.locations import Source
from bench.data.manifest import Manifest
from bench.data.prepared import Prepared, open_prepared
from bench.settings.base import Spec
from bench.settings.plug_ins import validated
from bench.settings.specs import PlugIn, dataset_name, is_csv
from bench.stages.keys import prepare_key
from bench.stages.prepare.reuse import find_previous
from bench.stages.prepare.store import prepare
from bench.stages.prepare.words import tell

OnBad = Literal["report", "fail"]


def prepared(
    dataset: PlugIn, rate: int, store: Store, section: str = "dataset", *, key: str = "",
    workers: int | None = None, on_bad: OnBad = "report",
) -> Prepared:  # fmt: skip
    """A data set's store of samples at a sample rate, made if it is not there.

    Args:
        dataset: name and settings.
        rate: sample rate of the store, in Hz.
        store: home.
        section: section of the spec that names the data set, for messages.
        key: of the product, where it is known already.
        workers: number of processes that decode; None for as many as there are cores.
        on_bad: "report" leaves unusable files out and lists them; "fail" stops at the first.

    Raises:
        InputError: an unknown setting, nobody has said where the data set lies, or its files cannot
            be used.
    """
    key = key or prepare_key(dataset, rate, store)

    def make(folder: Path) -> None:
        manifest, root = _manifest(dataset, store, section)
        with progress(f"prepare {dataset_name(dataset.name)}", "tracks") as report:
            previous = find_previous(store.home / "prepared", root, rate)
            prepare(manifest, root, rate, folder, report, workers, on_bad, previous)

    new = not store.ready("prepared", key)
    folder = store.produce("prepared", key, make)
    opened = open_prepared(folder)
    if new:
        tell(opened, dataset, folder)
    if on_bad == "fail" and opened.facts["left_out"]:
        left_out = opened.facts["left_out"]
        raise InputError(f"{dataset.name}: {len(left_out)} files left out: {left_out[0]}")
    return opened


def register(dataset: PlugIn, root: Path, store: Store) -> None:
    """Records where a data set lies, and stores its manifest.

    Args:
        dataset: name and settings of a data set that is neither generated nor a CSV.
        root: folder with the data set's own files.
        store: home.

    Raises:
        InputError: the folder does not hold the data set; the message says what was expected and
            what is there.
    """
    if is_csv(dataset.name) or locations.is_made(dataset):
        raise InputError(f"{dataset.name} needs no --root: leave it out")
    settings = dataset_settings(dataset, "dataset")
    root = root.resolve()
    if not root.is_dir():
        raise InputError(f"--root {root}: there is no such folder")
    with progress(f"read {dataset.name}", "tracks") as report:
        module = registry.load("datasets", dataset.name)
        manifest: Manifest = module.manifest(root, settings, report)
    rows = [str(row) for row in manifest.tracks.drop(columns="path").itertuples(index=False)]
    mark = locations.fingerprint(
        [*rows, *manifest.tags, manifest.split_name], root, list(manifest.tracks["path"])
    )
    locations.record(dataset, store, Source(root, mark))
    store.produce(
        "datasets", locations.identity(dataset, store), lambda folder: _write(manifest, folder)
    )


def _manifest(dataset: PlugIn, store: Store, section: str) -> tuple[Manifest, Path]:
    """The data set's manifest, read or made where it is not stored.

    Returns:
        The manifest, and the folder that its paths are relative to.
    """
    settings = dataset_settings(dataset, section)
    if is_csv(dataset.name):
        assert isinstance(settings, tracks_csv.CsvSettings)
        path = Path(dataset.name)
        return tracks_csv.manifest(path, settings), path.parent
    module = registry.load("datasets", dataset.name)
    made = locations.is_made(dataset)

    def make(folder: Path) -> None:
        root = folder if made else locations.source_of(dataset, store).root
        with progress(f"{'make' if made else 'read'} {dataset.name}", "tracks") as report:
            manifest: Manifest = module.manifest(root, settings, report)
        _write(manifest, folder)

    folder = store.produce("datasets", locations.identity(dataset, store), make)
    return _stored(folder), folder if made else locations.source_of(dataset, store).root


def known_manifest(dataset: PlugIn, store: Store) -> tuple[Manifest, Path] | None:
    """A data set's manifest, where it can be read without making anything.

    Args:
        dataset: name and settings.
        store: home.

    Returns:
        The manifest and the folder that its paths are relative to; None where it is not stored.

    Raises:
        InputError: the data set cannot be used.
    """
    if is_csv(dataset.name):
        return _manifest(dataset, store, "dataset")
    folder = store.folder("datasets", locations.identity(dataset, store))
    if not folder.is_dir():
        return None
    made = locations.is_made(dataset)
    return _stored(folder), folder if made else locations.source_of(dataset, store).root


def _stored(folder: Path) -> Manifest:
    """Reads a manifest that `_write` wrote."""
    facts = read_json(folder / "manifest.json")
    tracks = pd.read_parquet(folder / "tracks.parquet")
    tracks["tags"] = [list(tags) for tags in tracks["tags"]]
    return Manifest(
        tracks, tuple(facts["tags"]), facts["kind"], facts["split_name"], tuple(facts["notes"])
    )


def _write(manifest: Manifest, folder: Path) -> None:
    """Writes a manifest into the folder of its product."""
    buffer = BytesIO()
    manifest.tracks.to_parquet(buffer, index=False)
    write_atomically(folder / "tracks.parquet", buffer.getvalue())
    write_json(
        folder / "manifest.json",
        {
            "tags": manifest.tags,
            "kind": manifest.kind,
            "split_name": manifest.split_name,
            "notes": manifest.notes,
        },
    )


def dataset_settings(dataset: PlugIn, section: str) -> Spec:
    """The settings of a data set, checked, with defaults filled in.

    Args:
        dataset: name and settings.
        section: section of the spec that names it, for messages.

    Raises:
        InputError: an unknown setting or a value out of range.
    """
    if is_csv(dataset.name):
        return validated(tracks_csv.CsvSettings, dataset, section)
    checked: Spec = validated(registry.load("datasets", dataset.name).Settings, dataset, section)
    return checked
