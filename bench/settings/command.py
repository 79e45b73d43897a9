"""The command that makes a stored cell again: flags, and dotted settings for what has none."""

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from bench.core.errors import InputError
from bench.settings.identity import flat
from bench.settings.resolve import Request, resolve
from bench.settings.specs import RunSpec, canonical

_NAMED = ("method", "recipe", "encoder", "dataset", "pretrain_dataset")
"""Fields of a spec that are named by a flag of their own; the settings within them are dotted."""
_ANY_PLACE = {"fraction": 1.0, "draw": 0, "seed": 0, "probe_seed": 0}
"""Stand-ins for a cell's place in its grid, which does not change the other settings."""
_ROUNDS = 4
"""How often differing settings are added: one setting may bring others with it."""
Settings = dict[str, Any]
"""Values by dotted name."""


@dataclass(frozen=True)
class Command:
    """How to make a cell again.

    Attributes:
        words: of the command line, from "bench" on.
        exact: whether the command resolves to the very spec with the recipes and plug-ins that are
            here.
        notes: what a reader must know beside it.
    """

    words: tuple[str, ...]
    exact: bool
    notes: tuple[str, ...]

    @property
    def text(self) -> str:
        """As it is typed into a shell."""
        return shlex.join(self.words)


def command_for(spec: RunSpec) -> Command:
    """The shortest command whose last cell has this spec.

    With every setting where the recipe is not known here. Draws and probe seeds are counted from 0
    on the command line, so the cells before it are computed as well. Sections and settings are
    those of the spec itself: none is known by name but the plug-ins and `labels.subset`.
    """
    given, settings, exact = _shortest(canonical(spec.model_copy(update=_ANY_PLACE)))
    notes = list(_notes(spec))
    if not exact:
        why = "its recipe or a plug-in is not known to the code that says so, or has changed since"
        notes.insert(0, f"every setting is given: {why}")
    return Command(_words(spec, given, settings), exact, tuple(notes))


@cache
def _shortest(text: str) -> tuple[dict[str, str], Settings, bool]:
    """What to name, what to set, and whether that resolves to the spec, which is given as JSON."""
    spec = RunSpec.model_validate_json(text)
    names = {name: _plugin(spec, name) for name in _NAMED}
    if names["pretrain_dataset"] == names["dataset"]:
        del names["pretrain_dataset"]
    for given in _choices(spec, names):
        settings = _settings(spec, given)
        if settings is not None:
            return given, settings, True
    return names, _differences(spec, None), False


def _plugin(spec: RunSpec, name: str) -> str:
    """The name in one of the fields of `_NAMED`, whether it is a text or a plug-in."""
    value = getattr(spec, name)
    return value if isinstance(value, str) else str(value.name)


def _choices(spec: RunSpec, names: dict[str, str]) -> Iterator[dict[str, str]]:
    """Ways to name the plug-ins, the shortest first.

    The encoder is left out at first, and the pretraining data set named at last.
    """
    without = {name: value for name, value in names.items() if name != "encoder"}
    for choice in (without, names):
        yield choice
        if "pretrain_dataset" not in names:
            yield {**choice, "pretrain_dataset": _plugin(spec, "pretrain_dataset")}


def _settings(spec: RunSpec, given: dict[str, str]) -> Settings | None:
    """The dotted settings that turn what the recipe and plug-ins give into a spec.

    Args:
        spec: the spec to arrive at.
        given: names of its recipe and plug-ins, by their flags.

    Returns:
        The settings; None where none lead to the spec.
    """
    settings: Settings = {}
    try:
        for _ in range(_ROUNDS):
            resolved = _resolved(spec, given, settings)
            if canonical(resolved) == canonical(spec):
                return settings
            differing = _differences(spec, resolved)
            # A name, such as that of a chain of augmentations, brings settings with it: set the
            # names first, and see what differs afterwards.
            named = {name: value for name, value in differing.items() if name.endswith(".name")}
            settings = {**settings, **(named or differing)}
    except InputError:
        return None
    return None


def _resolved(spec: RunSpec, given: dict[str, str], settings: Settings) -> RunSpec:
    """The spec that a command with these names and settings would resolve to."""
    overrides: dict[str, Any] = {}
    for name, value in settings.items():
        *tables, last = name.split(".")
        table = overrides
        for part in tables:
            table = table.setdefault(part, {})
        table[last] = value
    if spec.labels.subset:
        overrides.setdefault("labels", {})["subset"] = spec.labels.subset
    request = {"fraction": 1.0, "overrides": overrides, **given, **_others(spec)}
    return resolve(Request(**request))


def _others(spec: RunSpec) -> dict[str, Any]:
    """What a spec says beside its sections, the recipe, and the cell's draw and seeds."""
    values = spec.model_dump(mode="json", exclude={"recipe", *_ANY_PLACE})
    return {name: value for name, value in values.items() if not isinstance(value, dict)}


def _differences(spec: RunSpec, base: RunSpec | None) -> Settings:
    """Every setting in which a spec differs from another, by its dotted name.

    Args:
        spec: the spec.
        base: what it is compared with; None gives all settings.
    """
    mine, theirs = spec.model_dump(mode="json"), base.model_dump(mode="json") if base else {}
    known = flat(theirs)
    differing: Settings = {}
    for name, value in flat(mine).items():
        section, dot, _ = name.partition(".")
        if not dot or name == "labels.subset" or (section in _NAMED and name == f"{section}.name"):
            continue  # has a flag of its own
        follows = section == "pretrain_dataset" and mine[section] == mine["dataset"]
        if base and follows and theirs[section] == theirs["dataset"]:
            continue  # where it is not named, it follows the data set that is probed
        if name not in known or known[name] != value:
            differing[name] = value
    return differing


def _words(spec: RunSpec, given: dict[str, str], settings: Settings) -> tuple[str, ...]:
    """The words of the command line."""
    words = ["bench", "run"]
    for name in _NAMED:
        words += [f"--{name.replace('_', '-')}", given[name]] if name in given else []
    if spec.labels.subset:
        words += ["--subset", spec.labels.subset]
    else:
        words += ["--fraction", json.dumps(spec.fraction)]
        words += ["--draws", str(spec.draw + 1)] if spec.draw else []
    words += ["--seed", str(spec.seed)]
    words += ["--probe-seeds", str(spec.probe_seed + 1)] if spec.probe_seed else []
    # Always: a recipe may name several probes.
    words += ["--probe", spec.probe.kind]
    for name, value in _others(spec).items():
        if name == "weights" and value:
            words += ["--weights", f".bench/weights/{value}.safetensors"]
        elif value != RunSpec.model_fields[name].default:
            words += [f"--{name.replace('_', '-')}", _as_text(value)]
    for name, value in settings.items():
        words += [f"--{name}", _as_text(value)] if name != "probe.kind" else []
    return tuple(words)


def _as_text(value: Any) -> str:
    """A value as the command line reads it back: JSON, or text where that is no JSON."""
    if isinstance(value, str) and value and not value.startswith("--"):
        try:
            json.loads(value)
        except ValueError:
            return value
    return json.dumps(value)


def _notes(spec: RunSpec) -> Iterator[str]:
    """What a reader must know beside the command."""
    if spec.labels.subset:
        subset = spec.labels.subset
        yield f"first take the labelled tracks up: bench subsets import FILE (hash {subset})"
    earlier = [
        f"{words}s 0 to {number - 1}" if number > 1 else f"{words} 0"
        for words, number in (("draw", spec.draw), ("probe seed", spec.probe_seed))
        if number
    ]
    if spec.weights:
        yield (
            "the weights are those that `bench import` made, by their hash; "
            "any copy of that file will do"
        )
    if earlier and not spec.labels.subset:
        yield f"computes {' and '.join(earlier)} on the way; this run is the last"
