"""From the names of published checkpoints to those of this project's encoders: one small function a format.

Each function takes the tensors of a file by name and gives a `Converted`. What is in a file and is
not kept (projectors, second copies, teachers) is counted by kind. Whether the result fits the
encoder is seen in `bench.weights.imported`.

Names of the files, from the authors' code:
- Deezer: `ssl_framework/models` and `usage/sample.py` of multi-view-ssl-benchmark;
- CLMR: `modules/simclr.py` and `model.py` (branch v1), `clmr/modules` and
  `clmr/utils/checkpoint.py` (v2);
- TUNe: `models/tune_5_tail.py`, `models/tune_plus.py` and the variants, in CLMR's checkpoints.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from bench.core.errors import InputError, unknown

_SHOWN = 3  # names in a message
_OWN = ("encoder.", "classifier.")
_LAST = ("fc.weight", "fc.bias")
Tensors = Mapping[str, Tensor]


@dataclass
class Converted:
    """A checkpoint in this project's names.

    Attributes:
        encoder: which encoder it is for; "" where the file does not say.
        settings: of the encoder, as far as the file's shapes say them.
        tensors: `encoder.*`, and `classifier.*` where the file holds one.
        frontend: buffers of the authors' log-mel, in the names of `bench.data.frontend.LogMel`.
        dropped: how many tensors of each kind are left out.
        notes: what a user should know.
        format: by which the file was read.
    """

    encoder: str
    settings: dict[str, Any] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    frontend: dict[str, Tensor] = field(default_factory=dict)
    dropped: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    format: str = "mapping"


def convert(tensors: Tensors, name: str) -> Converted:
    """Brings the tensors of a file to this project's names.

    Args:
        tensors: by their names in the file.
        name: one of FORMATS, or "auto".

    Raises:
        InputError: the format is unknown, or is not the file's.
    """
    if name == "auto":
        name = detect(tensors)
    if name not in FORMATS:
        raise unknown("format", name, ["auto", *FORMATS])
    converted = FORMATS[name](tensors)
    converted.format = name
    return converted


def detect(tensors: Tensors) -> str:
    """The format of a file, by the names in it.

    Raises:
        InputError: none is known by these names.
    """
    names = list(tensors)
    if any("attnpool.positional_embedding" in name for name in names):
        return "deezer"
    if any(
        re.search(r"(^|\.)sequential\.\d+\.\d+\.weight$|(^|\.)conv\d+\.0\.weight$", name)
        for name in names
    ):
        return "clmr"
    if any(re.search(r"(^|\.)conv1\.layers\.0\.weight$", name) for name in names):
        return "tune"
    if all(name.startswith(_OWN) for name in names):
        return "own"
    raise InputError(
        f"cannot tell the format from the names in the file ({_few(names)}): "
        f"give --format ({', '.join(FORMATS)}), or --mapping FILE"
    )


def deezer(tensors: Tensors) -> Converted:
    """The five published models of the multi-view comparison: `resnet`, of the student where there is a teacher."""
    return _deezer(tensors, ("student.module.backbone.", "module.backbone.", "backbone.", ""))


def deezer_teacher(tensors: Tensors) -> Converted:
    """The teacher of Deezer's BYOL or clustering model."""
    return _deezer(tensors, ("teacher.module.backbone.", "teacher.backbone."))


def _deezer(tensors: Tensors, prefixes: Sequence[str]) -> Converted:
    known = "embedding.attnpool.positional_embedding"
    prefix = next((prefix for prefix in prefixes if prefix + known in tensors), None)
    if prefix is None:
        raise InputError(
            f"not Deezer's format: no {prefixes[-1]}{known} in the file, which has {_few(tensors)}"
        )
    theirs = {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
    converted = Converted("resnet")
    for name, tensor in theirs.items():
        if name.startswith("spec.spec."):
            converted.frontend["mel." + name.removeprefix("spec.spec.")] = tensor
        elif not name.startswith("embedding.attnpool."):
            converted.tensors["encoder." + _resnet_name(name, theirs)] = tensor
    pool = {
        name.removeprefix("embedding.attnpool."): value
        for name, value in theirs.items()
        if ".attnpool." in name
    }
    converted.tensors.update(_attention(pool))
    for name in tensors:
        if not name.startswith(prefix):
            network = name.partition(".")[0]
            other = network in ("teacher", "student") and not prefix.startswith(network)
            converted.dropped[network if other else "projection head"] += 1
    converted.notes.append(
        "the authors scale each track to a peak of 1 before they embed it; here audio keeps its level"
    )
    if converted.dropped["teacher"]:
        converted.notes.append(
            "these are the student's weights; the teacher's are read with --format deezer-teacher"
        )
    return converted


def _resnet_name(name: str, theirs: Tensors) -> str:
    """`embedding.layer2.0.conv1.weight` as `stages.3.body.0.weight`: our blocks stand in one row."""
    stem = re.fullmatch(r"embedding\.(conv|bn)([123])\.(\w+)", name)
    if stem:
        kind, number, rest = stem.groups()
        return f"stem.{3 * (int(number) - 1) + (kind == 'bn')}.{rest}"
    block = re.fullmatch(r"embedding\.layer(\d)\.(\d+)\.(conv|bn|downsample\.)(\d)\.(\w+)", name)
    if not block:
        return name  # will be named among those that do not fit
    stage, place, kind, number, rest = block.groups()
    before = {
        tuple(other.split(".")[1:3]) for other in theirs if re.match(r"embedding\.layer\d\.", other)
    }
    row = sum(1 for layer, _ in before if int(layer.removeprefix("layer")) < int(stage)) + int(
        place
    )
    if kind == "downsample.":
        return f"stages.{row}.shortcut.{'normalisation' if number == '1' else 'convolution'}.{rest}"
    # convolution, normalisation, ReLU, twice; a pooling; convolution, normalisation.
    return f"stages.{row}.body.{(0, 3, 7)[int(number) - 1] + (kind == 'bn')}.{rest}"


def _attention(theirs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Three projections of queries, keys and values, which here are one matrix."""
    ours = {"encoder.pool.positions": theirs.pop("positional_embedding")}
    for part in ("weight", "bias"):
        names = [f"{letter}_proj.{part}" for letter in "qkv"]
        parts = [theirs[name] for name in names if name in theirs]
        if (
            len(parts) == len(names)
            and len({part.shape[1:] for part in parts}) == 1
            and parts[0].ndim
        ):
            ours[f"encoder.pool.attention.in_proj_{part}"] = torch.cat(
                [theirs.pop(name) for name in names]
            )
        if f"c_proj.{part}" in theirs:
            ours[f"encoder.pool.attention.out_proj.{part}"] = theirs.pop(f"c_proj.{part}")
    return ours | {f"encoder.pool.{name}": tensor for name, tensor in theirs.items()}


def clmr(tensors: Tensors) -> Converted:
    """CLMR's SampleCNN of both versions; a classifier of theirs is kept."""
    converted = Converted("sample_cnn")
    for name, tensor in _clmr_checkpoint(
        tensors, r"(sequential\.|conv)\d+\.\d+\.", converted, "CLMR's"
    ).items():
        numbered = re.fullmatch(r"conv(\d+)\.(.+)", name)  # older files of v1
        name = f"sequential.{int(numbered[1]) - 1}.{numbered[2]}" if numbered else name
        converted.tensors["encoder." + re.sub(r"^sequential\.", "blocks.", name)] = tensor
    kernels = {tensor.shape[2] for tensor in converted.tensors.values() if tensor.ndim == 3}
    if kernels - {3}:  # v1 has strides of its own for 16 and 8 kHz
        found = ", ".join(map(str, sorted(kernels)))
        raise InputError(
            f"CLMR's encoder of another sample rate (filters of {found}): 'sample_cnn' is that of 22050 Hz"
        )
    return converted


def tune(tensors: Tensors) -> Converted:
    """TUNe and TUNe+, whichever the shapes say, with their depths and widths."""
    converted = Converted("tune")
    modules = r"(conv|convDown|transposedConv|transposedDeeper|deeperDown|deeperUp)\d+\."
    theirs = _clmr_checkpoint(tensors, modules, converted, "TUNe's")
    tail, extra = _numbers(theirs, "convDown"), _numbers(theirs, "deeperDown")
    first, *blocks = [
        "conv1.layers.0.weight",
        *(f"convDown{number}.layers.0.weight" for number in tail),
    ]
    for name in (first, *blocks):
        if name not in theirs or theirs[name].ndim != 3:
            raise InputError(
                f"not TUNe's format: no {name} of a convolution in the file, which has {_few(tensors)}"
            )
    channels = theirs[first].shape[0]
    widened = [*(f"transposedDeeper{n}" for n in reversed(_numbers(theirs, "transposedDeeper")))]
    widened += [f"transposedConv{number}" for number in _numbers(theirs, "transposedConv")]
    decoded = [*(f"deeperUp{number}" for number in reversed(_numbers(theirs, "deeperUp")))]
    decoded += [f"conv{number}" for number in _numbers(theirs, "conv") if number > 5]
    rows = {f"conv{number}": f"contracting.{number - 1}" for number in range(1, 6)}
    rows |= {f"deeperDown{number}": f"contracting.{number + 4}" for number in extra}
    rows |= {name: f"decoding.{row}.widen" for row, name in enumerate(widened)}
    rows |= {name: f"decoding.{row}.block" for row, name in enumerate(decoded)}
    rows |= {f"convDown{number}": f"tail.{row}" for row, number in enumerate(tail)}
    for name, tensor in theirs.items():
        module, _, rest = name.partition(".")
        converted.tensors[f"encoder.{rows.get(module, module)}.{rest.removeprefix('layers.')}"] = (
            tensor
        )
    converted.settings = {
        "channels": channels,
        "contraction": len(extra),
        "decoding": len(widened),
        "tail": sum(number > 4 for number in tail),
        "embedding": theirs[blocks[-1]].shape[0] if blocks else 0,
    }
    if (
        tail[:1] == [1] and theirs[blocks[0]].shape[1] == 3 * channels
    ):  # the tail's first block: N maps, or in TUNe+ 3N
        converted.encoder = "tune_plus"
    return converted


def own(tensors: Tensors) -> Converted:
    """Weights of this project: `weights.safetensors` of a pretraining.

    The file does not say of which encoder.
    """
    _require(tensors, lambda name: name.startswith(_OWN), "this project's own")
    return Converted("", tensors=dict(tensors))


def mapped(tensors: Tensors, rules: Mapping[str, str]) -> Converted:
    """Any tensors, by rules of a user: their name, or a beginning that ends in a dot, to ours.

    "" leaves out. The longest rule that fits a name is taken; the empty one fits every name. Names
    without a rule are kept, so that they are named as not fitting.

    Raises:
        InputError: a rule that fits no name, or two tensors of one name.
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
            f"the mapping names {_few(unused)}, which the file does not have; it has {_few(tensors)}"
        )
    return converted


def classifier(tensors: Tensors) -> tuple[dict[str, Tensor], Counter[str]]:
    """CLMR's fine-tuned heads, linear or with one hidden layer, as `classifier.*`.

    And what else the file holds. Both versions save a row of layers: `0.weight`, `0.bias` (and
    `2.*` behind a ReLU), under `model.` in v2.

    Raises:
        InputError: no such layers.
    """
    found: dict[str, Tensor] = {}
    dropped: Counter[str] = Counter()
    for name, tensor in tensors.items():
        layer = re.fullmatch(r"(?:model\.|classifier\.)?(?:(\d)\.)?(weight|bias)", name)
        if layer is None:
            dropped["encoder in the file of the head" if "encoder." in name else "other"] += 1
        else:
            found[f"{layer[1]}.{layer[2]}" if layer[1] else layer[2]] = tensor
    weights = sorted(name for name in found if name.endswith("weight"))
    alone = len(weights) == 1
    if weights not in (["weight"], ["0.weight"], ["0.weight", "2.weight"]):
        raise InputError(
            f"no head: expected one linear layer, or two (0.weight and 2.weight); found {_few(tensors)}"
        )
    return {
        f"classifier.{name.split('.')[-1] if alone else name}": tensor
        for name, tensor in found.items()
    }, dropped


FORMATS: dict[str, Callable[[Tensors], Converted]] = {
    "deezer": deezer,
    "deezer-teacher": deezer_teacher,
    "clmr": clmr,
    "tune": tune,
    "own": own,
}


def _clmr_checkpoint(
    tensors: Tensors, part: str, converted: Converted, whose: str
) -> dict[str, Tensor]:
    """The encoder's tensors in a checkpoint of CLMR's code, by their names in the encoder.

    The rest is taken care of.

    Args:
        tensors: of the file. Lightning names the encoder twice, as itself and as a part of the
            model.
        part: pattern of the encoder's own names.
        converted: gets the classifier, what is left out, and names that are not the encoder's.
        whose: the format, for the message.
    """
    theirs: dict[str, Tensor] = {}
    heads: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        short = re.sub(r"^(module\.)?(model\.)?(encoder\.)?", "", name)
        if short.startswith("projector."):
            converted.dropped["projector"] += 1
        elif re.fullmatch(r"(fc|\d)\.(weight|bias)", short) or re.match(part, short):
            kept = theirs if re.match(part, short) else heads
            if short not in kept:
                kept[short] = tensor
            elif torch.equal(kept[short], tensor):
                converted.dropped["second copy"] += 1
            else:
                raise InputError(
                    f"the file holds two tensors {short} that differ (one is {name}): give one network alone"
                )
        elif "encoder." in name:
            converted.tensors["encoder." + short] = (
                tensor  # will be named among those that do not fit
            )
        else:
            converted.dropped["other"] += 1
            converted.notes.append(
                f"left out, being no part of an encoder: {name} {tuple(tensor.shape)}"
            )
    if not theirs:
        raise InputError(f"not {whose} format: the file has {_few(tensors)}")
    if (
        "fc.weight" in heads and not heads["fc.weight"].any()
    ):  # what the authors' loader puts in its place
        converted.dropped["last layer of zeros"] += sum(
            heads.pop(name, None) is not None for name in _LAST
        )
    if heads:
        converted.tensors.update(
            classifier({name.removeprefix("fc."): heads[name] for name in heads})[0]
        )
    return theirs


def _require(tensors: Tensors, fits: Callable[[str], bool], whose: str) -> None:
    if strange := [name for name in tensors if not fits(name)]:
        raise InputError(f"not {whose} format: the file has {_few(strange)}")


def _numbers(tensors: Iterable[str], module: str) -> list[int]:
    return sorted(
        {int(found[1]) for name in tensors if (found := re.match(rf"{module}(\d+)\.", name))}
    )


def _few(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return ", ".join(listed[:_SHOWN]) + more
