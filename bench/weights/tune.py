"""Checkpoints of TUNe and TUNe+, as weights of the encoders `tune` and `tune_plus`.

The names in the files are those of the authors' code: `models/tune_5_tail.py`,
`models/tune_plus.py` and the variants beside them, in CLMR's checkpoints.
"""

import re
from collections.abc import Iterable

from bench.core.errors import InputError
from bench.weights.clmr import encoder_tensors
from bench.weights.converted import Converted, Tensors, few


def tune(tensors: Tensors) -> Converted:
    """Reads TUNe or TUNe+; the shapes say which, and how deep and wide the network is.

    Args:
        tensors: tensors by their names in the file.

    Raises:
        InputError: if the file has other names.
    """
    converted = Converted("tune")
    modules = r"(conv|convDown|transposedConv|transposedDeeper|deeperDown|deeperUp)\d+\."
    theirs = encoder_tensors(tensors, modules, converted, "TUNe's")
    tail, extra = _numbers(theirs, "convDown"), _numbers(theirs, "deeperDown")
    first, *blocks = [
        "conv1.layers.0.weight",
        *(f"convDown{number}.layers.0.weight" for number in tail),
    ]
    for name in (first, *blocks):
        if name not in theirs or theirs[name].ndim != 3:
            raise InputError(
                f"not TUNe's format: no {name} of a convolution in the file, "
                f"which has {few(tensors)}"
            )
    channels = theirs[first].shape[0]
    # The levels beyond those of the plain network are numbered from the shallowest to the deepest,
    # and decoding begins at the deepest.
    widened = [*(f"transposedDeeper{n}" for n in reversed(_numbers(theirs, "transposedDeeper")))]
    widened += [f"transposedConv{number}" for number in _numbers(theirs, "transposedConv")]
    decoded = [*(f"deeperUp{number}" for number in reversed(_numbers(theirs, "deeperUp")))]
    decoded += [f"conv{number}" for number in _numbers(theirs, "conv") if number > 5]
    ours = {f"conv{number}": f"contracting.{number - 1}" for number in range(1, 6)}
    ours |= {f"deeperDown{number}": f"contracting.{number + 4}" for number in extra}
    ours |= {name: f"decoding.{row}.widen" for row, name in enumerate(widened)}
    ours |= {name: f"decoding.{row}.block" for row, name in enumerate(decoded)}
    ours |= {f"convDown{number}": f"tail.{row}" for row, number in enumerate(tail)}
    for name, tensor in theirs.items():
        module, _, rest = name.partition(".")
        short = f"{ours.get(module, module)}.{rest.removeprefix('layers.')}"
        converted.tensors[f"encoder.{short}"] = tensor
    converted.settings = {
        "channels": channels,
        "contraction": len(extra),
        "decoding": len(widened),
        "tail": sum(number > 4 for number in tail),
        "embedding": theirs[blocks[-1]].shape[0] if blocks else 0,
    }
    # The first block of the tail takes N maps, or 3 N in TUNe+.
    if tail[:1] == [1] and theirs[blocks[0]].shape[1] == 3 * channels:
        converted.encoder = "tune_plus"
    return converted


def _numbers(names: Iterable[str], module: str) -> list[int]:
    """Lists the numbers of the modules of a kind, ascending, e.g. 1 and 2 for conv1 and conv2."""
    matches = (re.match(rf"{module}(\d+)\.", name) for name in names)
    return sorted({int(match[1]) for match in matches if match})
