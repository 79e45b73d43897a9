"""Imported weights: checks that they fit an encoder, and the one file that holds them.

The file is in the safetensors format, with the names of a pretraining's `weights.safetensors`
(`encoder.*`, and `classifier.*` where there is one), so that later stages need not tell the two
apart. Its metadata, which can be read without torch, say what the weights are and where they come
from.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.errors import InputError
from bench.core.store import write_atomically

if TYPE_CHECKING:
    from torch import Tensor

    from bench.encoders import Encoder
    from bench.weights.formats import Converted

_KEY = "pretext_bench"  # key in the metadata
_SHOWN = 3  # tensors that a message names
# Allowed difference of windows and mel filters, whose largest values are between 0.01 and 1.
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Imported:
    """The metadata of a file of imported weights.

    Attributes:
        encoder: name of the encoder.
        settings: settings of the encoder that differ from its defaults.
        format: name of the format that the source was read as.
        source: names of the files that were imported: of the encoder, and of the head if it has a
            file of its own.
        sha256: SHA-256 of each of these files, in hexadecimal.
        dropped: number of tensors of each kind that were left out.
        outputs: number of outputs of the classifier; 0 without one.
        hidden: whether the classifier has a hidden layer.
    """

    encoder: str
    settings: dict[str, Any]
    format: str
    source: list[str]
    sha256: list[str]
    dropped: dict[str, int]
    outputs: int = 0
    hidden: bool = False


def fit(converted: "Converted", encoder: "Encoder", name: str) -> dict[str, "Tensor"]:
    """Checks that weights fit an encoder, and brings them to the encoder's number types.

    Args:
        converted: the weights in this project's names.
        encoder: the encoder that they are for.
        name: name of the encoder.

    Returns:
        The tensors to store, by name.

    Raises:
        InputError: if a tensor is missing, superfluous, of another shape or not finite, or the
            log-mel that comes with the weights is not the encoder's.
    """
    from torch import isfinite, zeros_like

    expected = {f"encoder.{key}": value for key, value in encoder.state_dict().items()}
    head: dict[str, Tensor] = {}
    given: dict[str, Tensor] = {}
    for key, value in converted.tensors.items():
        (head if key.startswith("classifier.") else given)[key] = value
    for key in expected:
        # BatchNorm's count of batches, which nothing reads, and PyTorch before 0.4.1 did not save.
        if key.endswith(".num_batches_tracked") and key not in given:
            given[key] = zeros_like(expected[key])
    _check_shapes(given, expected, name)
    _check_numbers(given, expected)
    _check_frontend(converted, encoder, name)
    _check_classifier(head, encoder.width)
    kept = {key: given[key].to(expected[key].dtype).contiguous() for key in expected}
    kept |= {key: value.float().contiguous() for key, value in head.items()}
    if strange := [
        key
        for key, value in kept.items()
        if value.is_floating_point() and not isfinite(value).all()
    ]:
        raise InputError(f"the file holds numbers that are not finite: {_list('in', strange)}")
    return kept


def _check_shapes(
    given: Mapping[str, "Tensor"], expected: Mapping[str, "Tensor"], name: str
) -> None:
    """Refuses tensors that are missing, superfluous or of another shape, all in one message."""
    missing = (f"{key} {_shape(expected[key])}" for key in expected if key not in given)
    superfluous = (f"{key} {_shape(given[key])}" for key in given if key not in expected)
    misshapen = (
        f"{key} {_shape(given[key])} in place of {_shape(expected[key])}"
        for key in expected
        if key in given and given[key].shape != expected[key].shape
    )
    complaints = [
        _list("missing", missing),
        _list("not the encoder's", superfluous),
        _list("of another shape", misshapen),
    ]
    if any(complaints):
        raise InputError(
            f"the file does not fit the encoder '{name}': {'; '.join(filter(None, complaints))}"
        )


def _check_numbers(given: Mapping[str, "Tensor"], expected: Mapping[str, "Tensor"]) -> None:
    """Refuses integers, quantised or complex numbers where the encoder has floating-point weights.

    Converted to floats they would have another meaning.
    """
    wrong = (
        f"{key} {str(given[key].dtype).removeprefix('torch.')}"
        for key, value in expected.items()
        if value.is_floating_point() and not given[key].is_floating_point()
    )
    if listed := _list("of other numbers", wrong):
        raise InputError(f"the file does not hold the weights as floating-point numbers: {listed}")


def _check_frontend(converted: "Converted", encoder: "Encoder", name: str) -> None:
    """Compares the constants of a log-mel in the file with those of the encoder's front end."""
    from bench.data.frontend import build_frontend

    ours = build_frontend(encoder.frontend).state_dict()
    for key, theirs in converted.frontend.items():
        what = f"the log-mel in the file is not that of the encoder '{name}' with these settings"
        if key not in ours:
            raise InputError(f"{what}: it has {key} {_shape(theirs)}")
        if theirs.shape != ours[key].shape:
            raise InputError(f"{what}: {key} is {_shape(theirs)} in place of {_shape(ours[key])}")
        apart = float((theirs.double() - ours[key].double()).abs().max())
        if not apart <= _TOLERANCE:
            raise InputError(
                f"{what}: {key} differs by up to {apart:.2g}; "
                "see the encoder's settings of bands and edges"
            )


def _check_classifier(head: Mapping[str, "Tensor"], width: int) -> None:
    """Refuses a classifier that is not one or two linear layers on the encoder's output.

    Args:
        head: tensors of the classifier; none for weights without one.
        width: output width of the encoder.
    """
    if not head:
        return
    layers = ["classifier."]
    if "classifier.0.weight" in head:
        layers = ["classifier.0.", "classifier.2."]
    if wrong := set(head) ^ {layer + part for layer in layers for part in ("weight", "bias")}:
        raise InputError(
            f"the head does not fit: {_list('found or missing', sorted(wrong))}; expected "
            "classifier.weight and .bias, or classifier.0 and classifier.2 with theirs"
        )
    for layer in layers:
        weight, bias = head[f"{layer}weight"], head[f"{layer}bias"]
        if weight.ndim != 2 or weight.shape[1] != width or bias.shape != weight.shape[:1]:
            raise InputError(
                f"the head does not fit: {layer}weight and bias are {_shape(weight)} and "
                f"{_shape(bias)} behind a width of {width}"
            )
        width = weight.shape[0]


def write_imported(path: Path, tensors: Mapping[str, "Tensor"], about: Imported) -> None:
    """Writes weights and their description as one file, atomically.

    Args:
        path: the file to write.
        tensors: weights by name, see `fit`.
        about: description, stored as metadata.
    """
    from safetensors.torch import save

    # Sorted keys, so that the same import gives the same bytes.
    text = json.dumps(asdict(about), sort_keys=True)
    write_atomically(path, save(dict(tensors), metadata={_KEY: text}))


def read_imported(path: Path) -> Imported:
    """Reads the description in a file of imported weights, without its tensors.

    Args:
        path: the file.

    Raises:
        InputError: if the file is missing or damaged, or was not written by `bench import`.
    """
    import safetensors

    try:
        with safetensors.safe_open(path, framework="np") as file:
            text = (file.metadata() or {}).get(_KEY)
    except FileNotFoundError as error:
        raise InputError(f"no such file: {path}") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from error
    except safetensors.SafetensorError as error:
        raise InputError(
            f"{path} is no file of `bench import`, or a damaged one: bench import {path}"
        ) from error
    try:
        return Imported(**json.loads(text or ""))
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{path} was not written by `bench import`: bench import {path} --out NEW"
        ) from error


def _list(what: str, items: Iterable[str]) -> str:
    """Says what is wrong with the first few items, and how many more there are; "" for none."""
    listed = list(items)
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return f"{what} {', '.join(listed[:_SHOWN])}{more}" if listed else ""


def _shape(tensor: "Tensor") -> str:
    """Formats the shape of a tensor for a message."""
    return str(tuple(tensor.shape))
