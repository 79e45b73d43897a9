"""From flags to specs, and from specs to the names of products on disk.

Light: a finished cell is found without torch. A product's key is the digest of exactly what it
depends on: the part of the spec that matters to its stage, the keys or data hashes of what it is
made from, and the code that makes it (without comments and docstrings).
"""

from collections.abc import Iterable
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import Any

from bench import results
from bench.core import external, registry
from bench.core.errors import InputError
from bench.core.store import Store, read_json
from bench.data import locations
from bench.settings import recipes as recipes
from bench.settings.specs import PlugIn, RunSpec, ScoreSpec, digest
from bench.settings.traits import sample_rate, traits

# The code that makes each stage's product, besides the plug-ins by name.
_CODE = {
    "prepare": (
        *(
            "bench.stages.prepare.store",
            "bench.stages.prepare.description",
            "bench.data.prepared",
            "bench.data.decode",
            "bench.data.decoders",
            "bench.data.audio_files",
        ),
        *(
            "bench.data.ending",
            "bench.stages.prepare.shards",
            "bench.stages.prepare.journal",
            "bench.stages.prepare.reuse",
        ),
        *("bench.data.tracks_csv", "bench.data.manifest"),
    ),
    "pretrain": (
        *(
            "bench.stages.pretrain.loop",
            "bench.stages.pretrain.schedule",
            "bench.stages.pretrain.batches",
            "bench.stages.pretrain.diagnostics",
        ),
        *(
            "bench.stages.pretrain.processes",
            "bench.stages.pretrain.batch_norm",
            "bench.core.world",
        ),
        *("bench.data.views", "bench.data.frontend", "bench.data.pcm", "bench.data.augment"),
        *(
            f"bench.data.augment.{name}"
            for name in (
                "chain",
                "draw",
                "filters",
                "fourier",
                "level",
                "pitch",
                "reverb",
                "spectrogram",
            )
        ),
        *(
            "bench.heads",
            "bench.method",
            "bench.core.randomness",
            "bench.stages.parts",
            "bench.stages.pretrain.stage",
            "bench.settings.frontends",
            "bench.core.threads",
        ),
    ),
    "embed": (
        *(
            "bench.stages.embed.segments",
            "bench.stages.embed.neighbours",
            "bench.data.views",
            "bench.data.frontend",
            "bench.settings.frontends",
        ),
    ),
    "probe": (
        *(
            "bench.stages.probe.stage",
            "bench.stages.probe.labelled",
            "bench.stages.probe.probes",
            "bench.stages.probe.stacked",
            "bench.stages.probe.inputs",
            "bench.stages.probe.products",
        ),
        *(
            "bench.stages.probe.valid_map",
            "bench.stages.probe.aggregate",
            "bench.stages.probe.knn",
            "bench.stages.probe.subsets",
        ),
        *("bench.core.randomness", "bench.core.threads"),
    ),
    "score": (
        *(
            "bench.stages.score.scores",
            "bench.statistics.metrics",
            "bench.statistics.influence",
            "bench.statistics.bootstrap",
        ),
        *(
            "bench.stages.embed.neighbours",
            "bench.statistics.intervals",
            "bench.core.randomness",
            "bench.stages.score.stage",
            "bench.core.threads",
        ),
    ),
}


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
        return [
            *found,
            *(
                (stage, "missing (depends on prepare)")
                for stage in ("pretrain", "embed", "probe", "score")
            ),
        ]
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


class Keys:
    """The keys of one cell's products. Those after `prepare` exist once the data sets are prepared.

    Attributes:
        data: data hash of the probed data set; None before it is prepared.
        pretrain_data: likewise of the data set that is pretrained on.
    """

    def __init__(self, spec: RunSpec, store: Store) -> None:
        """Reads what is known on disk.

        Raises:
            InputError: there are no weights to import; said here, before an hour of preparing, not
                after.
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
        self.prepare_pretrain = (
            self.prepare if same else prepare_key(spec.pretrain_dataset, spec.encoder, store)
        )
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
        plugins = (
            registry.find("methods", spec.method.name),
            registry.find("encoders", spec.encoder.name),
        )
        modules = {*_CODE["pretrain"], "bench.encoders", *(found.module for found in plugins)}
        if about.uses_labels:
            modules |= {
                *_CODE["embed"],
                *_CODE["probe"],
            }  # the labelled tracks, and the look at the valid split
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
    return digest(
        [locations.identity(dataset, store), rate, registry.code_digest(*_CODE["prepare"])]
    )


def data_hash(store: Store, key: str) -> str | None:
    """The hash of a prepared data set's content; None while it is not prepared."""
    path = store.folder("prepared", key) / "data.json"
    return str(read_json(path)["data_hash"]) if path.is_file() else None
