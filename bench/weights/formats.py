"""Formats of published checkpoints: one function for each brings its names to this project's.

Each function takes the tensors of a file by name and returns a `Converted`. Tensors that are not
kept (projectors, second copies, teachers) are counted by kind. Whether the result fits the encoder
is checked in `bench.weights.imported`.
"""

import re
from collections.abc import Callable, Mapping

from bench.core.errors import InputError, unknown
from bench.weights.clmr import classifier as classifier
from bench.weights.clmr import clmr
from bench.weights.converted import Converted as Converted
from bench.weights.converted import Tensors, few
from bench.weights.deezer import deezer, deezer_teacher
from bench.weights.tune import tune

_OWN = ("encoder.", "classifier.")


def convert(tensors: Tensors, name: str) -> Converted:
    """Brings the tensors of a file to this project's names.

    Args:
        tensors: tensors by their names in the file.
        name: one of `FORMATS`, or "auto" to detect it.

    Returns:
        The tensors in this project's names, and what was left out.

    Raises:
        InputError: if the format is unknown, or is not that of the file.
    """
    if name == "auto":
        name = detect(tensors)
    if name not in FORMATS:
        raise unknown("format", name, ["auto", *FORMATS])
    converted = FORMATS[name](tensors)
    converted.format = name
    return converted


def detect(tensors: Tensors) -> str:
    """Detects the format of a file by the names in it.

    Args:
        tensors: tensors by their names in the file.

    Returns:
        One of `FORMATS`.

    Raises:
        InputError: if no format has these names.
    """
    names = list(tensors)
    clmr_names = r"(^|\.)sequential\.\d+\.\d+\.weight$|(^|\.)conv\d+\.0\.weight$"
    if any("attnpool.positional_embedding" in name for name in names):
        return "deezer"
    if any(re.search(clmr_names, name) for name in names):
        return "clmr"
    if any(re.search(r"(^|\.)conv1\.layers\.0\.weight$", name) for name in names):
        return "tune"
    if all(name.startswith(_OWN) for name in names):
        return "own"
    raise InputError(
        f"cannot tell the format from the names in the file ({few(names)}): "
        f"give --format ({', '.join(FORMATS)}), or --mapping FILE"
    )


def own(tensors: Tensors) -> Converted:
    """Reads weights of this project, the `weights.safetensors` of a pretraining.

    The file does not say which encoder they are for.

    Raises:
        InputError: if the file holds other names.
    """
    if strange := [name for name in tensors if not name.startswith(_OWN)]:
        raise InputError(f"not this project's own format: the file has {few(strange)}")
    return Converted("", tensors=dict(tensors))


def mapped(tensors: Tensors, rules: Mapping[str, str]) -> Converted:
    """Renames any tensors by a user's rules.

    A rule maps a name, or the beginning of a name up to and including a dot, to this project's
    name; the empty rule fits every name. An empty target leaves the tensor out. Of several rules
    that fit a name, the longest is taken. Names without a rule are kept as they are, so that they
    are reported later if they do not fit the encoder.

    Args:
        tensors: tensors by their names in the file.
        rules: names, or beginnings of names, and what takes their place.

    Returns:
        The renamed tensors.

    Raises:
        InputError: if a rule fits no name, or two tensors get the same name.
    """
    converted, used = Converted(""), set()
    for name, tensor in tensors.items():
        fitting = [
            rule
            for rule in rules
            if name == rule or (name.startswith(rule) and rule[-1:] in ("", "."))
        ]
        rule = max(fitting, key=len, default=None)
        used.add(rule)
        if rule is not None and not rules[rule]:
            converted.dropped["by the mapping"] += 1
            continue
        ours = name if rule is None else rules[rule] + name.removeprefix(rule)
        if ours in converted.tensors:
            raise InputError(f"the mapping makes two tensors '{ours}'; the second is {name}")
        converted.tensors[ours] = tensor
    if unused := [rule for rule in rules if rule not in used]:
        raise InputError(
            f"the mapping names {few(unused)}, which the file does not have; it has {few(tensors)}"
        )
    return converted


FORMATS: dict[str, Callable[[Tensors], Converted]] = {
    "deezer": deezer,
    "deezer-teacher": deezer_teacher,
    "clmr": clmr,
    "tune": tune,
    "own": own,
}
