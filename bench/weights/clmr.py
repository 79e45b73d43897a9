"""Checkpoints of CLMR, as weights of the encoder `sample_cnn`, and its fine-tuned classifiers.

The names in the files are those of the authors' code: `modules/simclr.py` and `model.py` (branch
v1), `clmr/modules` and `clmr/utils/checkpoint.py` (v2).
"""

import re
from collections import Counter

import torch
from torch import Tensor

from bench.core.errors import InputError
from bench.weights.converted import Converted, Tensors, few

_LAST_LAYER = ("fc.weight", "fc.bias")


def clmr(tensors: Tensors) -> Converted:
    """Reads CLMR's SampleCNN of either version, with the classifier if the file holds one.

    Args:
        tensors: tensors by their names in the file.

    Raises:
        InputError: if the file has other names, or the encoder is for another sample rate.
    """
    converted = Converted("sample_cnn")
    theirs = encoder_tensors(tensors, r"(sequential\.|conv)\d+\.\d+\.", converted, "CLMR's")
    for name, tensor in theirs.items():
        numbered = re.fullmatch(r"conv(\d+)\.(.+)", name)  # older files of v1
        name = f"sequential.{int(numbered[1]) - 1}.{numbered[2]}" if numbered else name
        converted.tensors["encoder." + re.sub(r"^sequential\.", "blocks.", name)] = tensor
    kernels = {tensor.shape[2] for tensor in converted.tensors.values() if tensor.ndim == 3}
    if kernels - {3}:  # v1 has other strides for 16 and 8 kHz
        lengths = ", ".join(map(str, sorted(kernels)))
        raise InputError(
            f"CLMR's encoder of another sample rate (filters of {lengths}): "
            "'sample_cnn' is that of 22050 Hz"
        )
    return converted


def classifier(tensors: Tensors) -> tuple[dict[str, Tensor], Counter[str]]:
    """Reads one of CLMR's fine-tuned heads, which are linear or have one hidden layer.

    Both versions save a sequence of layers: `0.weight` and `0.bias`, and `2.weight` and `2.bias`
    behind a ReLU if there is a hidden layer; in v2 under `model.`.

    Args:
        tensors: tensors by their names in the file.

    Returns:
        The layers under the names `classifier.*`, and how many other tensors of each kind the file
        holds.

    Raises:
        InputError: if the file does not hold one or two such layers.
    """
    layers: dict[str, Tensor] = {}
    dropped: Counter[str] = Counter()
    for name, tensor in tensors.items():
        layer = re.fullmatch(r"(?:model\.|classifier\.)?(?:(\d)\.)?(weight|bias)", name)
        if layer is None:
            dropped["encoder in the file of the head" if "encoder." in name else "other"] += 1
        else:
            layers[f"{layer[1]}.{layer[2]}" if layer[1] else layer[2]] = tensor
    weights = sorted(name for name in layers if name.endswith("weight"))
    if weights not in (["weight"], ["0.weight"], ["0.weight", "2.weight"]):
        raise InputError(
            "no head: expected one linear layer, or two (0.weight and 2.weight); "
            f"found {few(tensors)}"
        )
    if len(weights) == 1:
        layers = {name.split(".")[-1]: tensor for name, tensor in layers.items()}
    return {f"classifier.{name}": tensor for name, tensor in layers.items()}, dropped


def encoder_tensors(
    tensors: Tensors, pattern: str, converted: Converted, whose: str
) -> dict[str, Tensor]:
    """Finds the encoder's tensors in a checkpoint that CLMR's code has written.

    Args:
        tensors: tensors by their names in the file. Lightning names the encoder twice, as itself
            and as a part of the model.
        pattern: regular expression that the encoder's own names begin with.
        converted: filled with the classifier, counts of what is left out, and tensors whose names
            the encoder does not have.
        whose: the format, for the message.

    Returns:
        The encoder's tensors by their names in the encoder.

    Raises:
        InputError: if there are none, or two tensors of one name differ.
    """
    theirs: dict[str, Tensor] = {}
    heads: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        short = re.sub(r"^(module\.)?(model\.)?(encoder\.)?", "", name)
        if short.startswith("projector."):
            converted.dropped["projector"] += 1
        elif re.fullmatch(r"(fc|\d)\.(weight|bias)", short) or re.match(pattern, short):
            kept = theirs if re.match(pattern, short) else heads
            if short not in kept:
                kept[short] = tensor
            elif torch.equal(kept[short], tensor):
                converted.dropped["second copy"] += 1
            else:
                raise InputError(
                    f"the file holds two tensors {short} that differ (one is {name}): "
                    "give one network alone"
                )
        elif "encoder." in name:
            # It will be reported among the names that do not fit the encoder.
            converted.tensors["encoder." + short] = tensor
        else:
            converted.dropped["other"] += 1
            converted.notes.append(
                f"left out, being no part of an encoder: {name} {tuple(tensor.shape)}"
            )
    if not theirs:
        raise InputError(f"not {whose} format: the file has {few(tensors)}")
    # A last layer of zeros is what the authors' loader puts in place of the trained one.
    if "fc.weight" in heads and not heads["fc.weight"].any():
        removed = [heads.pop(name, None) for name in _LAST_LAYER]
        converted.dropped["last layer of zeros"] += sum(layer is not None for layer in removed)
    if heads:
        head, _ = classifier({name.removeprefix("fc."): heads[name] for name in heads})
        converted.tensors.update(head)
    return theirs
