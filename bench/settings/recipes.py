"""Recipes: the settings of a published protocol, and those for one method, encoder or data set.

A recipe is a TOML with one table a section of `bench.settings.specs.RunSpec`, and:
    [about]: summary, paper, cost, for `bench list recipes`.
    [experiment]: which methods, probes and labelled shares the published experiment has
    (`ExperimentSpec`). [for.NAME.SECTION]: settings that hold only where NAME is what the encoder
    takes ("waveform", "log_mel"), the
        encoder, the data set, the data set that is pretrained on (its [for.NAME.pretrain_dataset]
        alone), or "transfer" (another data set is pretrained on than is probed), or the method.
        Later ones win over earlier ones.
"""

import math
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench.core import registry
from bench.core.errors import InputError, unknown
from bench.settings.specs import ExperimentSpec, FinetuneSpec, ProbeSpec, TrainSpec

SECTIONS = (
    *("method", "encoder", "dataset", "pretrain_dataset", "views", "augment", "train", "embed"),
    *("labels", "probe", "finetune", "score"),
)
PLUGINS = {
    "method": "methods",
    "encoder": "encoders",
    "dataset": "datasets",
    "pretrain_dataset": "datasets",
}
_LEAST_PROBE = 0.1
_KEYWORDS = ("waveform", "log_mel", "transfer")
Tree = dict[str, Any]


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
        raise InputError(
            f"cannot read the recipe {path}: {(error.strerror or str(error)).lower()}"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable TOML ({error})") from error
    _check_tables(recipe, path, [*SECTIONS, "about", "experiment", "for"])
    known = [
        *_KEYWORDS,
        *(one for kind in ("methods", "encoders", "datasets") for one in registry.names(kind)),
    ]
    for one, table in recipe.get("for", {}).items():
        if one not in known:
            raise unknown(f"name in [for.NAME] of the recipe {path}", one, known)
        _check_tables({one: table}, path, [one])
        _check_tables(table, path, SECTIONS)
        check_names(table, f"{path}, [for.{one}]")
    if not isinstance(recipe.get("encoder", {}).get("name", ""), str):
        raise InputError(f"{path}: encoder.name must be a name of `bench list encoders`")
    check_names({section: table for section, table in recipe.items() if section != "encoder"}, path)
    return recipe


def experiment(name: str) -> ExperimentSpec:
    """What a recipe computes where the command line does not say.

    Raises:
        InputError: no such recipe, or one whose [experiment] is wrong.
    """
    table = read_recipe(name).get("experiment", {})
    try:
        return ExperimentSpec.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        setting = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            raise unknown(
                f"setting in [experiment] of the recipe {name}",
                setting,
                ExperimentSpec.model_fields,
            ) from error
        raise InputError(
            f"recipe {name}, experiment.{setting} = {first['input']!r}: {first['msg'].lower()}"
        ) from error


def settings(recipe: Tree, names: Sequence[str], pretrain_dataset: str) -> Tree:
    """The settings of every section: the recipe's, then those of its [for.NAME] tables.

    Args:
        recipe: as read.
        names: for which tables are taken, in this order.
        pretrain_dataset: its table's section `pretrain_dataset` is taken as well.
    """
    tree: Tree = {section: merged({}, recipe.get(section, {})) for section in SECTIONS}
    tables = recipe.get("for", {})
    if pretrain_dataset not in names:
        merge_sections(
            tree, {"pretrain_dataset": tables.get(pretrain_dataset, {}).get("pretrain_dataset", {})}
        )
    for name in names:
        merge_sections(tree, tables.get(name, {}))
    return tree


def scaled(tree: Tree, scale: float) -> None:
    """Shrinks (or stretches) the budget of training, looks at it included, in place.

    Probes keep a tenth at least.
    """
    if scale == 1:
        return
    train, tuning, probe = tree["train"], tree["finetune"], tree["probe"]
    train["steps"] = _count(train.get("steps", TrainSpec().steps), scale)
    train["diagnose_times"] = _count(
        train.get("diagnose_times", TrainSpec().diagnose_times), min(1.0, scale)
    )
    probe["steps"] = _count(
        probe.get("steps", ProbeSpec().steps), min(1.0, max(scale, _LEAST_PROBE))
    )
    tuning["steps"] = _count(tuning.get("steps", FinetuneSpec().steps), scale)
    epochs = train.get("epochs", TrainSpec().epochs)
    train["epochs"] = scale * epochs if _is_number(epochs) else epochs


def _count(value: Any, scale: float) -> Any:
    """A count times the scale, 1 at least.

    What is no count stays as it is, for its section's spec to refuse.
    """
    return max(1, round(scale * value)) if _is_number(value) and value > 0 else value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def merge_sections(tree: Tree, over: Tree) -> None:
    """Lays settings over a tree of sections, in place.

    Raises:
        InputError: an unknown section.
    """
    for section, values in over.items():
        if section not in SECTIONS:
            raise unknown("setting", section, SECTIONS)
        tree[section] = merged(tree[section], values)


def merged(tree: Tree, over: Tree) -> Tree:
    """A tree with another laid over it, table by table."""
    result = dict(tree)
    for name, value in over.items():
        both = isinstance(value, dict) and isinstance(result.get(name), dict)
        result[name] = merged(result[name], value) if both else value
    return result


def check_names(tree: Tree, where: object) -> None:
    """Refuses names of plug-ins among their settings: names have flags, which are checked."""
    for section in PLUGINS:
        if "name" in tree.get(section, {}):
            raise InputError(
                f"{where}: {section}.name is no setting; name it by --{section.replace('_', '-')}"
            )


def _check_tables(tree: Tree, path: Path, known: Sequence[str]) -> None:
    for section, table in tree.items():
        if section not in known:
            raise unknown(f"section of the recipe {path}", section, known)
        if not isinstance(table, dict):
            raise InputError(
                f"{path}: '{section}' must be a table, as in [{section}]; found {table!r}"
            )
