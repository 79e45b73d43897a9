"""Checkpoints of Deezer's multi-view comparison, as weights of the encoder `resnet`.

The names in the files are those of `ssl_framework/models` and `usage/sample.py` of the authors'
repository multi-view-ssl-benchmark.
"""

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from bench.core.errors import InputError
from bench.weights.converted import Converted, Tensors, few


def deezer(tensors: Tensors) -> Converted:
    """Reads any of the five published models; where there is a teacher, the student is taken.

    Args:
        tensors: tensors by their names in the file.

    Raises:
        InputError: if the file has other names.
    """
    return _deezer(tensors, ("student.module.backbone.", "module.backbone.", "backbone.", ""))


def deezer_teacher(tensors: Tensors) -> Converted:
    """Reads the teacher of Deezer's BYOL or clustering model.

    Args:
        tensors: tensors by their names in the file.

    Raises:
        InputError: if the file holds no teacher.
    """
    return _deezer(tensors, ("teacher.module.backbone.", "teacher.backbone."))


def _deezer(tensors: Tensors, prefixes: Sequence[str]) -> Converted:
    """Reads the backbone whose names begin with the first of the prefixes that the file has."""
    known = "embedding.attnpool.positional_embedding"
    prefix = next((prefix for prefix in prefixes if prefix + known in tensors), None)
    if prefix is None:
        raise InputError(
            f"not Deezer's format: no {prefixes[-1]}{known} in the file, which has {few(tensors)}"
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
        "the authors scale each track to a peak of 1 before they embed it; "
        "here audio keeps its level"
    )
    if converted.dropped["teacher"]:
        converted.notes.append(
            "these are the student's weights; the teacher's are read with --format deezer-teacher"
        )
    return converted


def _resnet_name(name: str, theirs: Tensors) -> str:
    """Renames a tensor of the authors' ResNet, e.g. `embedding.layer1.2.conv1.weight`.

    That one becomes `stages.2.body.0.weight`: this project's encoder has the blocks of all stages
    in one sequence, so that a block's number is its place plus the blocks of the stages before it.

    Args:
        name: name of the tensor.
        theirs: all tensors of the network, from which the blocks are counted.
    """
    stem = re.fullmatch(r"embedding\.(conv|bn)([123])\.(\w+)", name)
    if stem:
        kind, number, rest = stem.groups()
        return f"stem.{3 * (int(number) - 1) + (kind == 'bn')}.{rest}"
    block = re.fullmatch(r"embedding\.layer(\d)\.(\d+)\.(conv|bn|downsample\.)(\d)\.(\w+)", name)
    if not block:
        return name  # it will be reported among the names that do not fit the encoder
    stage, place, kind, number, rest = block.groups()
    blocks = {
        tuple(other.split(".")[1:3]) for other in theirs if re.match(r"embedding\.layer\d\.", other)
    }
    before = sum(1 for layer, _ in blocks if int(layer.removeprefix("layer")) < int(stage))
    row = before + int(place)
    if kind == "downsample.":
        return f"stages.{row}.shortcut.{'normalisation' if number == '1' else 'convolution'}.{rest}"
    # A body is convolution, normalisation and ReLU, twice; a pooling; convolution, normalisation.
    return f"stages.{row}.body.{(0, 3, 7)[int(number) - 1] + (kind == 'bn')}.{rest}"


def _attention(theirs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Renames the attention pooling; projections of queries, keys and values become one matrix.

    Args:
        theirs: tensors of the pooling by their names; emptied of those that are renamed.
    """
    ours = {"encoder.pool.positions": theirs.pop("positional_embedding")}
    for part in ("weight", "bias"):
        names = [f"{letter}_proj.{part}" for letter in "qkv"]
        parts = [theirs[name] for name in names if name in theirs]
        alike = len({part.shape[1:] for part in parts}) == 1
        if len(parts) == len(names) and alike and parts[0].ndim:
            ours[f"encoder.pool.attention.in_proj_{part}"] = torch.cat(
                [theirs.pop(name) for name in names]
            )
        if f"c_proj.{part}" in theirs:
            ours[f"encoder.pool.attention.out_proj.{part}"] = theirs.pop(f"c_proj.{part}")
    return ours | {f"encoder.pool.{name}": tensor for name, tensor in theirs.items()}
