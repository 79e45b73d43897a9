"""Recipes: the settings of a published protocol, in a TOML file.

A recipe has one table for each section of `bench.settings.specs.RunSpec`, and besides:

    [about]: summary, paper and cost, for `bench list recipes`.
    [experiment]: which methods, probes and label fractions the published experiment has; see
        `ExperimentSpec`.
    [for.NAME.SECTION]: settings of a section that hold only for NAME, which is one of these (later
        ones win over earlier ones): the input of the encoder ("waveform" or "log_mel"); the
        encoder; the data set that is probed; "transfer", where another data set is pretrained on;
        the method. Of the data set that is pretrained on, [for.NAME.pretrain_dataset] is read.
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
"""Tables of a recipe that are sections of a spec."""
PLUGINS = {
    "method": "methods",
    "encoder": "encoders",
    "dataset": "datasets",
    "pretrain_dataset": "datasets",
}
"""Sections that are plug-ins, with the kind of plug-in."""
_LEAST_PROBE = 0.1
"""Least share of the probes' steps that a scaled-down run keeps."""
_KEYWORDS = ("waveform", "log_mel", "transfer")
"""Names of [for.NAME] that are no plug-ins."""
Tree = dict[str, Any]
"""Nested settings: section -> setting -> value."""


def read_recipe(name: str) -> Tree:
    """Reads a recipe.

    Args:
        name: of the recipe, or the path of its TOML file.

    Returns:
        Its tables.

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
        *(name for kind in ("methods", "encoders", "datasets") for name in registry.names(kind)),
    ]
    for target, table in recipe.get("for", {}).items():
        if target not in known:
            raise unknown(f"name in [for.NAME] of the recipe {path}", target, known)
        _check_tables({target: table}, path, [target])
        _check_tables(table, path, SECTIONS)
        check_names(table, f"{path}, [for.{target}]")
    if not isinstance(recipe.get("encoder", {}).get("name", ""), str):
        raise InputError(f"{path}: encoder.name must be a name of `bench list encoders`")
    check_names({section: table for section, table in recipe.items() if section != "encoder"}, path)
    return recipe


def experiment(name: str) -> ExperimentSpec:
    """The methods, probes, fractions and draws of a recipe, for what the command line leaves open.

    Args:
        name: of the recipe, or the path of its TOML file.

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
    """The settings of every section: the recipe's own, then those of its [for.NAME] tables.

    Args:
        recipe: the recipe's tables.
        names: the NAMEs whose tables apply, in this order; later ones win.
        pretrain_dataset: the data set that is pretrained on, of whose table only the section
            `pretrain_dataset` applies.
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
    """Multiplies the budget of training and the number of checks during it, in place.

    Probes keep a tenth of their steps at least, and never get more than the recipe's.

    Args:
        tree: the settings of every section.
        scale: what the budget is multiplied by; 1 is the recipe.
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
    """A count times the scale, at least 1.

    A value that is no count stays as it is: the spec of its section will refuse it.
    """
    return max(1, round(scale * value)) if _is_number(value) and value > 0 else value


def _is_number(value: Any) -> bool:
    """Whether a value is a finite number; True and False are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def merge_sections(tree: Tree, over: Tree) -> None:
    """Lays settings over those of every section, in place.

    Args:
        tree: the settings of every section.
        over: the settings that win, by section.

    Raises:
        InputError: an unknown section.
    """
    for section, values in over.items():
        if section not in SECTIONS:
            raise unknown("setting", section, SECTIONS)
        tree[section] = merged(tree[section], values)


def merged(tree: Tree, over: Tree) -> Tree:
    """Nested settings with others laid over them, table by table; neither is changed."""
    result = dict(tree)
    for name, value in over.items():
        both = isinstance(value, dict) and isinstance(result.get(name), dict)
        result[name] = merged(result[name], value) if both else value
    return result


def check_names(tree: Tree, where: object) -> None:
    """Refuses names of plug-ins among settings: a name has a flag of its own, which is checked.

    Args:
        tree: settings by section.
        where: what holds them, for the message.

    Raises:
        InputError: a section of a plug-in holds a name.
    """
    for section in PLUGINS:
        if "name" in tree.get(section, {}):
            raise InputError(
                f"{where}: {section}.name is no setting; name it by --{section.replace('_', '-')}"
            )


def _check_tables(tree: Tree, path: Path, known: Sequence[str]) -> None:
    """Refuses unknown sections of a recipe, and sections that are no tables."""
    for section, table in tree.items():
        if section not in known:
            raise unknown(f"section of the recipe {path}", section, known)
        if not isinstance(table, dict):
            raise InputError(
                f"{path}: '{section}' must be a table, as in [{section}]; found {table!r}"
            )
