"""Imported weights: whether they fit an encoder, and the one file that holds them.

The file is safetensors with the names of a pretraining's `weights.safetensors` (`encoder.*`, and
`classifier.*` where there is one), so that nothing downstream knows the difference. What they are
and where they come from lies in its metadata, which is read without torch.
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

_KEY = "pretext_bench"  # in the metadata
_SHOWN = 3  # tensors in a message
_TOLERANCE = 1e-6  # of a window or mel filter, whose largest values are between 0.01 and 1


@dataclass(frozen=True)
class Imported:
    """What a file of imported weights says of itself.

    Attributes:
        encoder: the name of the encoder.
        settings: of the encoder, those that are not its defaults.
        format: how the source was read.
        source: name of the file that was imported, and of the head's file.
        sha256: of that file, or those.
        dropped: how many tensors of each kind were left out.
        outputs: of the classifier; 0 without one.
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
    """The tensors that are stored, in the encoder's own types, once they are all there and of the right shapes.

    Args:
        converted: the tensors in this project's names.
        encoder: the encoder that they are for.
        name: its name.

    Raises:
        InputError: tensors are missing, superfluous, misshapen or not finite, or the log-mel is
            another.
    """
    from torch import isfinite, zeros_like

    expected = {f"encoder.{key}": value for key, value in encoder.state_dict().items()}
    given = {
        key: value for key, value in converted.tensors.items() if not key.startswith("classifier.")
    }
    for key in expected:
        # Not saved before PyTorch 0.4.1, and of no use: a count of batches that nothing reads.
        if key.endswith(".num_batches_tracked") and key not in given:
            given[key] = zeros_like(expected[key])
    complaints = [
        _list(
            "missing", (f"{key} {_shape(expected[key])}" for key in expected if key not in given)
        ),
        _list(
            "not the encoder's",
            (f"{key} {_shape(given[key])}" for key in given if key not in expected),
        ),
        _list(
            "of another shape",
            (
                f"{key} {_shape(given[key])} in place of {_shape(expected[key])}"
                for key in expected
                if key in given and given[key].shape != expected[key].shape
            ),
        ),
    ]
    if any(complaints):
        raise InputError(
            f"the file does not fit the encoder '{name}': {'; '.join(filter(None, complaints))}"
        )
    _check_numbers(given, expected)
    _check_frontend(converted, encoder, name)
    kept = {key: given[key].to(expected[key].dtype).contiguous() for key in expected}
    heads = {
        key: value for key, value in converted.tensors.items() if key.startswith("classifier.")
    }
    _check_classifier(heads, encoder.width)
    kept |= {key: value.float().contiguous() for key, value in heads.items()}
    if strange := [
        key
        for key, value in kept.items()
        if value.is_floating_point() and not isfinite(value).all()
    ]:
        raise InputError(f"the file holds numbers that are not finite: {_list('in', strange)}")
    return kept


def _check_numbers(given: Mapping[str, "Tensor"], expected: Mapping[str, "Tensor"]) -> None:
    """Refuses whole, quantised or complex numbers in place of weights: turned into floats they would mean else."""
    wrong = (
        f"{key} {str(given[key].dtype).removeprefix('torch.')}"
        for key, value in expected.items()
        if value.is_floating_point() and not given[key].is_floating_point()
    )
    if listed := _list("of other numbers", wrong):
        raise InputError(f"the file does not hold the weights as floating-point numbers: {listed}")


def _check_frontend(converted: "Converted", encoder: "Encoder", name: str) -> None:
    """Compares a log-mel that comes with the weights with the encoder's own, number by number."""
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
                f"{what}: {key} differs by up to {apart:.2g}; see the encoder's settings of bands and edges"
            )


def _check_classifier(heads: Mapping[str, "Tensor"], width: int) -> None:
    if not heads:
        return
    layers = (
        [f"classifier.{layer}" for layer in ("0.", "2.")]
        if "classifier.0.weight" in heads
        else ["classifier."]
    )
    if wrong := set(heads) ^ {layer + part for layer in layers for part in ("weight", "bias")}:
        expected = "classifier.weight and .bias, or classifier.0 and classifier.2 with theirs"
        raise InputError(
            f"the head does not fit: {_list('found or missing', sorted(wrong))}; expected {expected}"
        )
    for layer in layers:
        weight, bias = heads[f"{layer}weight"], heads[f"{layer}bias"]
        if weight.ndim != 2 or weight.shape[1] != width or bias.shape != weight.shape[:1]:
            shapes = f"{_shape(weight)} and {_shape(bias)}"
            raise InputError(
                f"the head does not fit: {layer}weight and bias are {shapes} behind a width of {width}"
            )
        width = weight.shape[0]


def write_imported(path: Path, tensors: Mapping[str, "Tensor"], about: Imported) -> None:
    """Writes weights and what they are, whole or not at all."""
    from safetensors.torch import save

    # Canonical, so that the same import is the same file.
    text = json.dumps(asdict(about), sort_keys=True)
    write_atomically(path, save(dict(tensors), metadata={_KEY: text}))


def read_imported(path: Path) -> Imported:
    """What a file of imported weights says of itself; its tensors are not read.

    Raises:
        InputError: the file is not there, is damaged, or was not written by `bench import`.
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
    listed = list(items)
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return f"{what} {', '.join(listed[:_SHOWN])}{more}" if listed else ""


def _shape(tensor: "Tensor") -> str:
    return str(tuple(tensor.shape))
