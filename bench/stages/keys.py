"""The names of a cell's products on disk. Light: a finished cell is found without torch.

A key is the digest of exactly what a product depends on: the settings that its stage reads, the
keys or data hashes of what it is made from, and the code of its stage's folder with everything that
this uses (see `bench.core.code`, which says what does not count).
"""

from collections.abc import Collection
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import Any

from bench import results
from bench.core import external, registry
from bench.core.code import code_digest
from bench.core.errors import InputError
from bench.core.store import Store, read_json
from bench.core.versions import COMPUTING, differing, library_versions
from bench.data import locations
from bench.settings.identity import pretraining
from bench.settings.specs import EmbedSpec, PlugIn, RunSpec, ScoreSpec, digest
from bench.settings.traits import sample_rate, traits

_VALIDATION = "bench.stages.pretrain.validation"
"""Only methods that learn from labels look at the valid split while they train."""
_FINETUNE = "bench.stages.probe.finetune"
"""Only fine-tuning trains the encoder on, with all the code that pretraining uses."""
_SCORED_BY = ("bench.stages.score", "bench.stages.result")


class Keys:
    """The keys of one cell's products. Those after `prepare` exist once the data sets are prepared.

    Attributes:
        prepare: key of the probed data set at the encoder's sample rate.
        prepare_pretrain: key of the data set that is pretrained on.
        data: data hash of the probed data set; None before it is prepared.
        pretrain_data: data hash of the data set that is pretrained on; None before it is prepared.
    """

    def __init__(self, spec: RunSpec, store: Store) -> None:
        """Reads what is known on disk.

        Raises:
            InputError: there are no weights to import; said here, before an hour of preparing.
        """
        self._code: dict[tuple[tuple[str, ...], tuple[str, ...]], str] = {}
        self._spec = spec
        self._traits = traits(spec.method.name)
        self._external = str(registry.describe("encoders", spec.encoder.name).get("EXTERNAL", ""))
        if folder := spec.encoder.settings.get(self._external):
            external.weights_of(Path(str(folder)).expanduser())
        elif self._traits.restores and not spec.weights:
            raise InputError(
                f"method '{spec.method.name}' on encoder '{spec.encoder.name}': "
                "give --weights FILE, of `bench import`"
            )
        self._same = spec.pretrain_dataset == spec.dataset
        rate = sample_rate(spec.encoder)
        self.prepare = prepare_key(spec.dataset, rate, store)
        self.prepare_pretrain = (
            self.prepare if self._same else prepare_key(spec.pretrain_dataset, rate, store)
        )
        self.read_data(store)

    def read_data(self, store: Store) -> None:
        """Reads the data hashes, once the data sets have been prepared."""
        self.data = data_hash(store, self.prepare)
        self.pretrain_data = self.data if self._same else data_hash(store, self.prepare_pretrain)

    def beside(self, spec: RunSpec) -> "Keys":
        """The keys of a cell that differs in fraction, draw and probe seed alone.

        What the two cells share is computed once.
        """
        if self._traits.uses_labels:
            return self.other_seed(spec)
        if self.known:
            _ = self.embed  # computed before it is copied, and so once
        return self._changed(spec, ("probe",))

    def other_seed(self, spec: RunSpec) -> "Keys":
        """The keys of a cell of the same data and plug-ins."""
        return self._changed(spec, ("pretrain", "embed", "probe"))

    def _changed(self, spec: RunSpec, properties: tuple[str, ...]) -> "Keys":
        """A copy for another cell, in which some keys are to be computed anew."""
        keys = copy(self)
        keys._spec = spec
        for name in properties:
            keys.__dict__.pop(name, None)
        return keys

    def _digest_of(self, modules: Collection[str], without: Collection[str] = ()) -> str:
        """The digest of code, which is read once for all keys beside each other."""
        wanted = tuple(sorted(modules)), tuple(without)
        if wanted not in self._code:
            self._code[wanted] = code_digest(*modules, without=without)
        return self._code[wanted]

    @property
    def known(self) -> bool:
        """Whether both data sets are prepared, so that the other keys exist."""
        return self.data is not None and (self.pretrain_data is not None or not self._traits.trains)

    @cached_property
    def pretrain(self) -> str:
        """Key of the frozen encoder."""
        spec, about = self._spec, self._traits
        asked = pretraining(spec, trains=about.trains, uses_labels=about.uses_labels)
        identity = external.identity(spec.encoder.settings, self._external)
        asked["encoder"] = [spec.encoder.name, identity]
        hashes = {"pretrain_dataset": self.pretrain_data, "dataset": self.data}
        asked |= {section: data for section, data in hashes.items() if section in asked}
        code = ["bench.stages.pretrain"]
        code.append(registry.find("methods", spec.method.name).module)
        code.append(registry.find("encoders", spec.encoder.name).module)
        if about.uses_labels:
            code.append("bench.stages.probe.labelled")
        without = () if about.uses_labels else (_VALIDATION,)
        return digest([asked, self._digest_of(code, without)])

    @cached_property
    def embed(self) -> str:
        """Key of the embeddings of the probed data set."""
        code = self._digest_of(["bench.stages.embed"])
        return embed_key(self.pretrain, self.data, self._spec.embed, code)

    @cached_property
    def probe(self) -> str:
        """Key of the logits of the test tracks."""
        spec = self._spec
        probe = spec.probe.model_dump(mode="json", exclude={"memory_mb"})
        parts: list[Any] = [self.embed, probe, spec.labels, spec.fraction, spec.draw]
        parts.append(spec.probe_seed)
        code, without = ["bench.stages.probe"], [_FINETUNE]
        if spec.probe.kind == "finetune" and not self._traits.uses_labels:
            train = spec.train.model_dump(mode="json", exclude={"checkpoint_seconds"})
            parts += [spec.finetune, spec.views, spec.augment, train]
            code.append(registry.find("methods", "supervised").module)
            without = []
        return digest([parts, self._digest_of(code, without)])

    @property
    def cell(self) -> str:
        """Key of the scores."""
        return digest([self.probe, self._spec.score, self._digest_of(_SCORED_BY)])


def prepare_key(dataset: PlugIn, rate: int, store: Store) -> str:
    """Key of a data set's store of samples at a sample rate, in Hz."""
    identity = locations.identity(dataset, store)
    return digest([identity, rate, code_digest("bench.stages.prepare")])


def embed_key(pretrain: str, data: str | None, embed: EmbedSpec, code: str = "") -> str:
    """Key of the embeddings of a data set.

    Args:
        pretrain: key of the frozen encoder.
        data: data hash of the data set.
        embed: how tracks are embedded.
        code: digest of the stage's code, where it is known already.
    """
    return digest([pretrain, data, embed, code or code_digest("bench.stages.embed")])


def cell_key(probe: str, score: ScoreSpec) -> str:
    """Key of the scores that are made of the logits of a product of the probe stage."""
    return digest([probe, score, scoring_code()])


def scoring_code() -> str:
    """Digest of the code that scores logits and writes the result."""
    return code_digest(*_SCORED_BY)


def data_hash(store: Store, key: str) -> str | None:
    """The hash of a prepared data set's content; None while it is not prepared."""
    path = store.folder("prepared", key) / "data.json"
    return str(read_json(path)["data_hash"]) if path.is_file() else None


def stored_result(folder: Path, spec: RunSpec, keys: Keys, store: Store) -> results.Result | None:
    """The stored result of a cell, if there is one to be used.

    Args:
        folder: results folder.
        spec: the cell.
        keys: keys of its products.
        store: home; where it is `fresh`, a result of other versions of the libraries is not used.
    """
    if not keys.known:
        return None
    result = results.find(folder, spec, keys.cell)
    if result is not None and store.fresh:
        other = differing(result.versions, library_versions(), COMPUTING)
        if other or result.other_versions:
            return None
    return result


def states(spec: RunSpec, store: Store, results_folder: Path) -> list[tuple[str, str]]:
    """What is there of a cell, stage by stage.

    Args:
        spec: the cell.
        store: home.
        results_folder: where results lie.

    Returns:
        (stage, "done", "begun", "missing" or why that is not known yet).
    """
    keys = Keys(spec, store)
    prepared = {"prepare": keys.prepare, "prepare (pretraining)": keys.prepare_pretrain}
    found = [
        (stage, _state(store, "prepared", key))
        for stage, key in prepared.items()
        if stage == "prepare" or key != keys.prepare
    ]
    if not keys.known:
        later = ("pretrain", "embed", "probe", "score")
        return [*found, *((stage, "missing (depends on prepare)") for stage in later)]
    found.append(("pretrain", _state(store, "pretrained", keys.pretrain)))
    found.append(("embed", _state(store, "embedded", keys.embed)))
    found.append(("probe", _state(store, "probed", keys.probe)))
    there = stored_result(results_folder, spec, keys, store)
    return [*found, ("score", "done" if there else "missing")]


def _state(store: Store, stage: str, key: str) -> str:
    if store.has(stage, key):
        return "done"
    return "begun" if store.partial(stage, key) else "missing"
