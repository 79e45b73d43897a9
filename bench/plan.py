"""From flags to specs, and from specs to the names of products on disk. Light: a finished cell is found without torch.

A product's key is the digest of exactly what it depends on: the part of the spec that matters to its stage, the keys or
data hashes of what it is made from, and the code that makes it (without comments and docstrings).
"""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench import registry, results, sources
from bench.config import PlugIn, RunSpec, ScoreSpec, digest
from bench.data import tracks_csv
from bench.errors import InputError, unknown
from bench.store import Store, read_json

_SECTIONS = (
    *("method", "encoder", "dataset", "pretrain_dataset", "views", "train", "embed"),
    *("labels", "probe", "finetune", "score"),
)
_PLUGINS = {"method": "methods", "encoder": "encoders", "dataset": "datasets", "pretrain_dataset": "datasets"}
DEFAULT_ENCODER = "resnet_small"
Tree = dict[str, Any]

# The code that makes each stage's product, besides the plug-ins by name.
_CODE = {
    "prepare": (
        *(
            "bench.data.prepare",
            "bench.data.prepared",
            "bench.data.decode",
            "bench.data.decoders",
            "bench.data.sources",
        ),
        *("bench.data.ending", "bench.data.shards", "bench.data.journal", "bench.data.reuse"),
        *("bench.data.tracks_csv", "bench.data.manifest"),
    ),
    "pretrain": (
        *("bench.train.loop", "bench.train.schedule", "bench.train.batches", "bench.train.diagnostics"),
        *("bench.data.views", "bench.data.augment", "bench.data.frontend", "bench.data.pcm"),
        *("bench.heads", "bench.method", "bench.randomness", "bench.stages", "bench.spectra"),
    ),
    "embed": (
        *("bench.probe.embed", "bench.probe.retrieval", "bench.data.views", "bench.data.frontend", "bench.spectra"),
    ),
    "probe": (
        *("bench.probing", "bench.probe.probes", "bench.probe.stacked", "bench.probe.inputs", "bench.probe.products"),
        *("bench.probe.valid_map", "bench.probe.aggregate", "bench.probe.knn", "bench.probe.subsets"),
        "bench.randomness",
    ),
    "score": (
        *("bench.probe.score", "bench.probe.metrics", "bench.probe.influence", "bench.probe.bootstrap"),
        *("bench.probe.retrieval", "bench.intervals", "bench.randomness", "bench.scoring"),
    ),
}


@dataclass(frozen=True)
class Request:
    """What was asked for on the command line, for one fraction, draw and seed."""

    method: str
    fraction: float
    draw: int = 0
    seed: int = 0
    probe_seed: int = 0
    recipe: str = "quick"
    dataset: str = "midiband"
    pretrain_dataset: str | None = None
    encoder: str | None = None
    overrides: Tree = field(default_factory=dict)


@dataclass(frozen=True)
class Traits:
    """What a method's literal constants say of it (see `bench.method`)."""

    trains: bool
    uses_labels: bool
    views: int
    encoder: str | None


def traits(method: str) -> Traits:
    """Reads a method's constants without importing it."""
    about = registry.describe("methods", method)
    trains, labels, views = about.get("TRAINS", True), about.get("USES_LABELS", False), about.get("VIEWS", 2)
    return Traits(bool(trains), bool(labels), int(views), about.get("ENCODER"))


def read_recipe(name: str) -> Tree:
    """A recipe by name, or by the path of its TOML file.

    Raises:
        InputError: no such recipe, no readable TOML, or an unknown section.
    """
    path = Path(name) if name.endswith(".toml") else registry.find("recipes", name).path
    try:
        recipe = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"no such recipe file: {path}") from error
    except OSError as error:
        raise InputError(f"cannot read the recipe {path}: {(error.strerror or str(error)).lower()}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable TOML ({error})") from error
    _check_tables(recipe, path, [*_SECTIONS, "about", "for"])
    for method, table in recipe.get("for", {}).items():
        registry.find("methods", method)
        _check_tables({method: table}, path, [method])
        _check_tables(table, path, _SECTIONS)
        _check_names(table, f"{path}, [for.{method}]")
    if not isinstance(recipe.get("encoder", {}).get("name", ""), str):
        raise InputError(f"{path}: encoder.name must be a name of `bench list encoders`")
    _check_names({section: table for section, table in recipe.items() if section != "encoder"}, path)
    return recipe


def _check_tables(tree: Tree, path: Path, known: Sequence[str]) -> None:
    for section, table in tree.items():
        if section not in known:
            raise unknown(f"section of the recipe {path}", section, known)
        if not isinstance(table, dict):
            raise InputError(f"{path}: '{section}' must be a table, as in [{section}]; found {table!r}")


def _check_names(tree: Tree, where: object) -> None:
    """Refuses names of plug-ins where only their settings belong: a name has a flag of its own, which is checked."""
    for section in _PLUGINS:
        if "name" in tree.get(section, {}):
            raise InputError(f"{where}: {section}.name is no setting; name it by --{section.replace('_', '-')}")


def resolve(request: Request) -> RunSpec:
    """The full spec of one cell: defaults, then the recipe, then the recipe's table for the method, then the flags.

    Raises:
        InputError: an unknown name, setting or value; with the nearest known one.
    """
    about = traits(request.method)
    _check_names(request.overrides, "dotted settings")
    if about.encoder and request.encoder not in (None, about.encoder):
        raise InputError(f"method '{request.method}' is its own encoder: leave --encoder {request.encoder} out")
    if about.uses_labels and request.pretrain_dataset not in (None, request.dataset):
        raise InputError(f"method '{request.method}' learns from the labels of --dataset: leave --pretrain-dataset out")
    recipe = read_recipe(request.recipe)
    tree: Tree = {section: dict(recipe.get(section, {})) for section in _SECTIONS}
    _merge(tree, recipe.get("for", {}).get(request.method, {}))
    encoder = about.encoder or request.encoder
    if encoder and encoder != tree["encoder"].get("name"):
        tree["encoder"] = {"name": encoder}  # the recipe's settings are another encoder's
    tree["encoder"].setdefault("name", DEFAULT_ENCODER)
    tree["method"]["name"] = request.method
    tree["dataset"]["name"] = request.dataset
    _merge(tree, request.overrides)
    if about.uses_labels or not about.trains:
        tree["pretrain_dataset"] = tree["dataset"]
    elif request.pretrain_dataset is None:
        tree["pretrain_dataset"] = {**tree["dataset"], **tree["pretrain_dataset"]}
    else:
        tree["pretrain_dataset"]["name"] = request.pretrain_dataset
    for section, kind in _PLUGINS.items():
        if not (kind == "datasets" and tracks_csv.is_csv(tree[section]["name"])):
            registry.find(kind, tree[section]["name"])
    given = {name: getattr(request, name) for name in ("recipe", "fraction", "draw", "seed", "probe_seed")}
    try:
        return RunSpec.model_validate({**tree, **given})
    except ValidationError as error:
        raise setting_error(error) from error


def untrained(request: Request) -> Request:
    """The same request for `random_init`, which every table puts a score beside."""
    overrides = {section: values for section, values in request.overrides.items() if section != "method"}
    own_encoder = traits(request.method).encoder is not None
    return replace(request, method="random_init", overrides=overrides, encoder=None if own_encoder else request.encoder)


def states(spec: RunSpec, store: Store, results_folder: Path) -> list[tuple[str, str]]:
    """What is there of a cell, stage by stage: (stage, "done", "begun", "missing" or why that is not known yet)."""
    keys = Keys(spec, store)
    prepared = {"prepare": keys.prepare, "prepare (pretraining)": keys.prepare_pretrain}
    found = [
        (stage, _state(store, "prepared", key))
        for stage, key in prepared.items()
        if stage == "prepare" or key != keys.prepare
    ]
    if not keys.known:
        return [*found, *((stage, "missing (depends on prepare)") for stage in ("pretrain", "embed", "probe", "score"))]
    found += [
        ("pretrain", _state(store, "pretrained", keys.pretrain)),
        ("embed", _state(store, "embedded", keys.embed)),
    ]
    found.append(("probe", _state(store, "probed", keys.probe)))
    stored = results.find(results_folder, spec, keys.cell)
    return [*found, ("score", "done" if stored else "missing")]


def _state(store: Store, stage: str, key: str) -> str:
    if store.has(stage, key):
        return "done"
    return "begun" if store.partial(stage, key) else "missing"


def setting_error(error: ValidationError, prefix: str = "") -> InputError:
    """The first complaint of pydantic as one line with the setting's dotted name."""
    first = error.errors()[0]
    name = prefix + ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        section = name.rpartition(".")[0]
        return unknown("setting", name, [f"{section}.{key}" for key in known_settings(section)])
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "value_error":  # of several settings together: the message names them
        return InputError(f"{name.rstrip('.')}: {message}")
    return InputError(f"{name} = {first['input']!r}: {message[0].lower()}{message[1:]}")


def known_settings(section: str) -> list[str]:
    """The settings of a section of the run's spec that is no plug-in."""
    annotation = RunSpec.model_fields[section].annotation if section in RunSpec.model_fields else None
    fields = getattr(annotation, "model_fields", {})
    return sorted(fields)


def _merge(tree: Tree, over: Tree) -> None:
    for section, values in over.items():
        if section not in _SECTIONS:
            raise unknown("setting", section, _SECTIONS)
        tree[section].update(values)


class Keys:
    """The keys of one cell's products. Those after `prepare` exist once the data sets are prepared.

    Attributes:
        data: data hash of the probed data set; None before it is prepared.
        pretrain_data: likewise of the data set that is pretrained on.
    """

    def __init__(self, spec: RunSpec, store: Store) -> None:
        """Reads what is known on disk."""
        self._spec = spec
        self._traits = traits(spec.method.name)
        self.prepare = prepare_key(spec.dataset, spec.encoder, store)
        same = spec.pretrain_dataset == spec.dataset
        self.prepare_pretrain = self.prepare if same else prepare_key(spec.pretrain_dataset, spec.encoder, store)
        self.data = data_hash(store, self.prepare)
        self.pretrain_data = self.data if same else data_hash(store, self.prepare_pretrain)

    @property
    def known(self) -> bool:
        """Whether both data sets are prepared, so that the other keys exist."""
        return self.data is not None and (self.pretrain_data is not None or not self._traits.trains)

    @property
    def pretrain(self) -> str:
        """Key of the frozen encoder."""
        spec, about = self._spec, self._traits
        parts: list[Any] = [spec.method, spec.encoder, spec.seed]
        if about.trains:
            train = spec.train.model_dump(mode="json", exclude={"checkpoint_seconds"})
            parts += [spec.views, train, self.pretrain_data]
        if about.uses_labels:
            parts += [self.data, spec.labels, spec.fraction, spec.draw, spec.embed]
        plugins = (registry.find("methods", spec.method.name), registry.find("encoders", spec.encoder.name))
        modules = {*_CODE["pretrain"], "bench.encoders", *(found.module for found in plugins)}
        if about.uses_labels:
            modules |= {*_CODE["embed"], *_CODE["probe"]}  # the labelled tracks, and the look at the valid split
        return digest([parts, registry.code_digest(*modules)])

    @property
    def embed(self) -> str:
        """Key of the embeddings of the probed data set."""
        return digest([self.pretrain, self.data, self._spec.embed, registry.code_digest(*_CODE["embed"])])

    @property
    def probe(self) -> str:
        """Key of the logits of the test tracks."""
        spec = self._spec
        parts: list[Any] = [self.embed, spec.probe.model_dump(mode="json", exclude={"memory_mb"})]
        parts += [spec.labels, spec.fraction, spec.draw, spec.probe_seed]
        modules = set(_CODE["probe"])
        if spec.probe.kind == "finetune" and not self._traits.uses_labels:
            parts += [spec.finetune, spec.views, spec.train.model_dump(mode="json", exclude={"checkpoint_seconds"})]
            modules |= {*_CODE["pretrain"], registry.find("methods", "supervised").module}
        return digest([parts, registry.code_digest(*modules)])

    @property
    def cell(self) -> str:
        """Key of the scores."""
        return cell_key(self.probe, self._spec.score)


def cell_key(probe: str, score: ScoreSpec) -> str:
    """Key of the scores that are made of the logits of a probe product."""
    return digest([probe, score, registry.code_digest(*_CODE["score"])])


def prepare_key(dataset: PlugIn, encoder: PlugIn, store: Store) -> str:
    """Key of a data set's PCM store at the encoder's sample rate."""
    return prepared_key(dataset, sample_rate(encoder), store)


def prepared_key(dataset: PlugIn, rate: int, store: Store) -> str:
    """Key of a data set's PCM store at a sample rate, in Hz."""
    return digest([sources.identity(dataset, store), rate, registry.code_digest(*_CODE["prepare"])])


def sample_rate(encoder: PlugIn) -> int:
    """The rate that an encoder learns from, in Hz, read from its file."""
    return int(registry.describe("encoders", encoder.name)["SAMPLE_RATE"])


def data_hash(store: Store, key: str) -> str | None:
    """The hash of a prepared data set's content; None while it is not prepared."""
    path = store.folder("prepared", key) / "data.json"
    return str(read_json(path)["data_hash"]) if path.is_file() else None
