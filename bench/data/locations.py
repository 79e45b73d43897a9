"""Records where data sets lie that the harness does not make itself.

`bench data prepare` writes the record; whatever computes a key reads it.
"""

from dataclasses import dataclass
from pathlib import Path

from bench.core import registry
from bench.core.code import code_digest
from bench.core.errors import UnplacedError
from bench.core.store import Store, read_json, write_json
from bench.data import tracks_csv
from bench.settings.specs import PlugIn, digest, is_csv


@dataclass(frozen=True)
class Source:
    """Where a data set's own files lie, and what they were.

    Attributes:
        root: folder that the manifest's paths are relative to.
        fingerprint: of the manifest, and of the audio files' sizes and modification times when it
            was read.
    """

    root: Path
    fingerprint: str


def is_made(dataset: PlugIn) -> bool:
    """Whether the data set makes its own files, as its constant GENERATED says."""
    return bool(registry.describe("datasets", dataset.name).get("GENERATED", False))


def identity(dataset: PlugIn, store: Store) -> str:
    """Digest of what a data set is before its audio is read: name, settings, code and files.

    Raises:
        InputError: no record says where the data set lies.
    """
    if is_csv(dataset.name):
        return digest(["csv", tracks_csv.fingerprint(Path(dataset.name)), dataset.settings])
    code = code_digest(registry.find("datasets", dataset.name).module)
    if is_made(dataset):
        return digest([dataset, code])
    source = source_of(dataset, store)
    return digest([dataset, code, str(source.root), source.fingerprint])


def source_of(dataset: PlugIn, store: Store) -> Source:
    """The record of where a data set lies.

    Raises:
        InputError: there is none.
    """
    path = _record(dataset, store)
    if not path.is_file():
        others = sorted(path.parent.glob(f"{dataset.name}-*.json"))
        given = "".join(f" --dataset.{name} {value}" for name, value in dataset.settings.items())
        hint = f"; it is prepared with other settings: {_settings(others[0])}" if others else ""
        raise UnplacedError(
            f"{dataset.name}{given}: where it lies is not known here: `bench data prepare "
            f"{dataset.name} --root DIR{given}` says so and prepares it{hint}"
        )
    content = read_json(path)
    return Source(Path(content["root"]), content["fingerprint"])


def record(dataset: PlugIn, store: Store, source: Source) -> None:
    """Records where a data set lies."""
    path = _record(dataset, store)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"name": dataset.name, "settings": dataset.settings}
    write_json(path, {**content, "root": str(source.root), "fingerprint": source.fingerprint})


def fingerprint(rows: list[str], root: Path, paths: list[str]) -> str:
    """Digest of a manifest's rows, and of the audio files' sizes and modification times.

    Args:
        rows: the rows, as text.
        root: folder that the paths are relative to.
        paths: of the audio files; that one is missing counts, too.
    """
    states: list[list[str | int | None]] = []
    for path in paths:
        try:
            status = (root / path).stat()
        except OSError:
            states.append([path, None, None])
        else:
            states.append([path, status.st_size, status.st_mtime_ns])
    return digest([rows, states])


def _record(dataset: PlugIn, store: Store) -> Path:
    """Path of the record of a data set with its settings."""
    return store.home / "sources" / f"{dataset.name}-{digest(dataset.settings, 8)}.json"


def _settings(path: Path) -> str:
    """The settings in a record, as flags of the command line."""
    settings = read_json(path)["settings"]
    return " ".join(f"--dataset.{name} {value}" for name, value in settings.items()) or "none given"
