"""From flags to specs, and from specs to the names of products on disk. Light: a finished cell is found without torch.

A product's key is the digest of exactly what it depends on: the part of the spec that matters to its stage, the keys or
data hashes of what it is made from, and the code that makes it (without comments and docstrings).
"""

from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench import external, registry, results, sources
from bench import recipe as recipes
from bench.augmentations import preset
from bench.config import PlugIn, RunSpec, ScoreSpec, digest
from bench.data import tracks_csv
from bench.errors import InputError, unknown
from bench.store import Store, read_json

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
        *("bench.train.processes", "bench.train.batch_norm", "bench.world"),
        *("bench.data.views", "bench.data.frontend", "bench.data.pcm", "bench.data.augment"),
        *(
            f"bench.data.augment.{name}"
            for name in ("chain", "draw", "filters", "fourier", "level", "pitch", "reverb", "spectrogram")
        ),
        *("bench.heads", "bench.method", "bench.randomness", "bench.stages", "bench.spectra", "bench.threads"),
    ),
    "embed": (
        *("bench.probe.embed", "bench.probe.retrieval", "bench.data.views", "bench.data.frontend", "bench.spectra"),
    ),
    "probe": (
        *("bench.probing", "bench.probe.probes", "bench.probe.stacked", "bench.probe.inputs", "bench.probe.products"),
        *("bench.probe.valid_map", "bench.probe.aggregate", "bench.probe.knn", "bench.probe.subsets"),
        *("bench.randomness", "bench.threads"),
    ),
    "score": (
        *("bench.probe.score", "bench.probe.metrics", "bench.probe.influence", "bench.probe.bootstrap"),
        *("bench.probe.retrieval", "bench.intervals", "bench.randomness", "bench.scoring", "bench.threads"),
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
    weights: str = ""
    scale: float = 1.0
    overrides: Tree = field(default_factory=dict)


@dataclass(frozen=True)
class Traits:
    """What a method's literal constants say of it (see `bench.method`)."""

    trains: bool
    uses_labels: bool
    views: int
    restores: bool
    encoder: str | None


def traits(method: str) -> Traits:
    """Reads a method's constants without importing it."""
    about = registry.describe("methods", method)
    trains, labels, views = about.get("TRAINS", True), about.get("USES_LABELS", False), about.get("VIEWS", 2)
    restores = about.get("RESTORES", False)
    return Traits(bool(trains), bool(labels), int(views), bool(restores), about.get("ENCODER"))


def resolve(request: Request) -> RunSpec:
    """The full spec of one cell: defaults, the recipe, its tables for what the cell is made of, and the flags.

    Raises:
        InputError: an unknown name, setting or value; with the nearest known one.
    """
    about = traits(request.method)
    recipes.check_names(request.overrides, "dotted settings")
    if request.weights and not about.trains and not about.restores:
        raise InputError(
            f"method '{request.method}' learns nothing and takes no --weights: leave one out, or give --method imported"
        )
    if about.encoder and request.encoder not in (None, about.encoder):
        raise InputError(f"method '{request.method}' is its own encoder: leave --encoder {request.encoder} out")
    if about.uses_labels and request.pretrain_dataset not in (None, request.dataset):
        raise InputError(f"method '{request.method}' learns from the labels of --dataset: leave --pretrain-dataset out")
    recipe = recipes.read_recipe(request.recipe)
    encoder = about.encoder or request.encoder or recipe.get("encoder", {}).get("name", DEFAULT_ENCODER)
    if encoder != recipe.get("encoder", {}).get("name", DEFAULT_ENCODER):
        recipe = {**recipe, "encoder": {}}  # the recipe's settings are another encoder's
    takes = registry.describe("encoders", encoder).get("INPUT", "log_mel")
    pretrain_dataset = request.pretrain_dataset or request.dataset
    transfer = ["transfer"] if pretrain_dataset != request.dataset else []
    names = [takes, encoder, request.dataset, *transfer, request.method]
    tree = recipes.settings(recipe, names, pretrain_dataset)
    recipes.scaled(tree, request.scale)
    tree["encoder"]["name"] = encoder
    tree["method"]["name"] = request.method
    tree["dataset"]["name"] = request.dataset
    tree["augment"] = _augment(tree["augment"], request.overrides.get("augment", {}))
    if "steps" in request.overrides.get("train", {}):
        tree["train"]["epochs"] = 0.0  # of two budgets the one that was given
    recipes.merge_sections(tree, {section: over for section, over in request.overrides.items() if section != "augment"})
    if about.uses_labels or not about.trains:
        tree["pretrain_dataset"] = tree["dataset"]
    elif request.pretrain_dataset is None:
        tree["pretrain_dataset"] = {**tree["dataset"], **tree["pretrain_dataset"]}
    else:
        tree["pretrain_dataset"]["name"] = request.pretrain_dataset
    for section, kind in recipes.PLUGINS.items():
        if not (kind == "datasets" and tracks_csv.is_csv(tree[section]["name"])):
            registry.find(kind, tree[section]["name"])
    shared = ("recipe", "fraction", "draw", "seed", "probe_seed", "weights", "scale")
    try:
        spec = RunSpec.model_validate({**tree, **{name: getattr(request, name) for name in shared}})
    except ValidationError as error:
        raise setting_error(error) from error
    if about.trains and takes != "log_mel" and spec.augment.on_spectrogram:
        raise InputError(
            f"--augment {spec.augment.name} changes log-mel spectrograms, and encoder '{encoder}' takes a {takes}: "
            "give --augment clmr or none"
        )
    return spec


def _augment(recipe: Tree, given: Tree) -> Tree:
    """The named chain's settings, then the recipe's if it names the same, then those given by dotted name."""
    name = str(given.get("name", recipe.get("name", "none")))
    own = recipe if name == recipe.get("name", "none") else {}
    return recipes.merged(recipes.merged(preset(name), own), given)


def untrained(request: Request) -> Request:
    """The same request for `random_init`, which every table puts a score beside."""
    overrides = {section: values for section, values in request.overrides.items() if section != "method"}
    own_encoder = traits(request.method).encoder is not None
    encoder = None if own_encoder else request.encoder
    return replace(request, method="random_init", overrides=overrides, encoder=encoder, weights="")


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
    fields = RunSpec.model_fields
    for part in section.split("."):
        fields = getattr(fields[part].annotation, "model_fields", {}) if part in fields else {}
    return sorted(fields)


class Keys:
    """The keys of one cell's products. Those after `prepare` exist once the data sets are prepared.

    Attributes:
        data: data hash of the probed data set; None before it is prepared.
        pretrain_data: likewise of the data set that is pretrained on.
    """

    def __init__(self, spec: RunSpec, store: Store) -> None:
        """Reads what is known on disk.

        Raises:
            InputError: there are no weights to import; said here, before an hour of preparing, not after.
        """
        self._code: dict[frozenset[str], str] = {}  # shared by the keys beside these
        self._spec = spec
        self._traits = traits(spec.method.name)
        self._external = str(registry.describe("encoders", spec.encoder.name).get("EXTERNAL", ""))
        if folder := spec.encoder.settings.get(self._external):
            external.weights_of(Path(str(folder)).expanduser())
        elif self._traits.restores and not spec.weights:
            raise InputError(
                f"method '{spec.method.name}' on encoder '{spec.encoder.name}': give --weights FILE, of `bench import`"
            )
        self.prepare = prepare_key(spec.dataset, spec.encoder, store)
        same = spec.pretrain_dataset == spec.dataset
        self.prepare_pretrain = self.prepare if same else prepare_key(spec.pretrain_dataset, spec.encoder, store)
        self.data = data_hash(store, self.prepare)
        self.pretrain_data = self.data if same else data_hash(store, self.prepare_pretrain)

    def beside(self, spec: RunSpec) -> "Keys":
        """The keys of a cell that differs in fraction, draw and seed of the probe alone: what they share is kept."""
        if self._traits.uses_labels:
            return self.other_seed(spec)
        if self.known:
            _ = self.embed  # computed before it is copied, and so once
        return self._but(spec, ("probe",))

    def other_seed(self, spec: RunSpec) -> "Keys":
        """The keys of a cell of the same data and plug-ins."""
        return self._but(spec, ("pretrain", "embed", "probe"))

    def _but(self, spec: RunSpec, changed: tuple[str, ...]) -> "Keys":
        keys = copy(self)
        keys._spec = spec
        for name in changed:
            keys.__dict__.pop(name, None)
        return keys

    def _digest_of(self, modules: Iterable[str]) -> str:
        """The digest of code, which is looked at once for all keys beside each other."""
        names = frozenset(modules)
        if names not in self._code:
            self._code[names] = registry.code_digest(*names)
        return self._code[names]

    @property
    def known(self) -> bool:
        """Whether both data sets are prepared, so that the other keys exist."""
        return self.data is not None and (self.pretrain_data is not None or not self._traits.trains)

    @cached_property
    def pretrain(self) -> str:
        """Key of the frozen encoder."""
        spec, about = self._spec, self._traits
        encoder = [spec.encoder.name, external.identity(spec.encoder.settings, self._external)]
        parts: list[Any] = [spec.method, encoder, spec.weights, spec.seed]
        if about.trains:
            train = spec.train.model_dump(mode="json", exclude={"checkpoint_seconds"})
            parts += [spec.views, spec.augment, train, self.pretrain_data]
        if about.uses_labels:
            parts += [self.data, spec.labels, spec.fraction, spec.draw, spec.embed]
        plugins = (registry.find("methods", spec.method.name), registry.find("encoders", spec.encoder.name))
        modules = {*_CODE["pretrain"], "bench.encoders", *(found.module for found in plugins)}
        if about.uses_labels:
            modules |= {*_CODE["embed"], *_CODE["probe"]}  # the labelled tracks, and the look at the valid split
        return digest([parts, self._digest_of(modules)])

    @cached_property
    def embed(self) -> str:
        """Key of the embeddings of the probed data set."""
        return digest([self.pretrain, self.data, self._spec.embed, self._digest_of(_CODE["embed"])])

    @cached_property
    def probe(self) -> str:
        """Key of the logits of the test tracks."""
        spec = self._spec
        parts: list[Any] = [self.embed, spec.probe.model_dump(mode="json", exclude={"memory_mb"})]
        parts += [spec.labels, spec.fraction, spec.draw, spec.probe_seed]
        modules = set(_CODE["probe"])
        if spec.probe.kind == "finetune" and not self._traits.uses_labels:
            train = spec.train.model_dump(mode="json", exclude={"checkpoint_seconds"})
            parts += [spec.finetune, spec.views, spec.augment, train]
            modules |= {*_CODE["pretrain"], registry.find("methods", "supervised").module}
        return digest([parts, self._digest_of(modules)])

    @property
    def cell(self) -> str:
        """Key of the scores."""
        return digest([self.probe, self._spec.score, self._digest_of(_CODE["score"])])


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
