"""The command `bench import`: other people's weights as an encoder of this project."""

import contextlib
import json
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from bench.cli.flags import Plugins, begin, overrides
from bench.core.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from bench.encoders import Encoder
    from bench.weights.formats import Converted
    from bench.weights.imported import Imported
    from bench.weights.read import Checkpoint


def import_(
    file: Path,
    *,
    encoder: str | None = None,
    format: str = "auto",
    mapping: Path | None = None,
    head: Path | None = None,
    out: Path = Path("weights.safetensors"),
    plugins: Plugins = None,
) -> None:
    """Read a published checkpoint as weights of an encoder, without running code in it.

    Known are Deezer's five models (`resnet`), CLMR's (`sample_cnn`) and TUNe's (`tune`,
    `tune_plus`), in the forms that PyTorch, Lightning and safetensors save, and this project's own.
    Settings of the encoder that the file does not say are given by their dotted names, such as
    `--encoder.width 8`. The result is used as `bench run --weights weights.safetensors`.

    Parameters
    ----------
    file
        The checkpoint: what `torch.save` or safetensors wrote.
    encoder
        Name of `bench list encoders`, where the file does not say.
    format
        auto, deezer, deezer-teacher, clmr, tune, or own for `weights.safetensors` of a pretraining.
    mapping
        JSON or TOML of their names to ours, for any other format: `"backbone." = "encoder."`
        renames a beginning, a whole name renames one tensor, and "" leaves out. Ours begin with
        `encoder.` or `classifier.`.
    head
        CLMR's fine-tuned classifier (linear, or with a hidden layer) in a file of its own.
    out
        Where to write.
    """
    from bench.weights.imported import fit, write_imported

    begin(plugins)
    if mapping is not None and format != "auto":
        raise InputError("--mapping takes the place of --format: give one of them")
    given = _encoder_settings()
    _check_out(out, [file, *([head] if head else [])])
    checkpoint, converted = _converted(file, format, mapping)
    sources = [checkpoint, *([_add_head(converted, file, head)] if head else [])]
    name = encoder or converted.encoder or _unnamed(file)
    of_the_file = converted.settings if name == converted.encoder else {}
    built, settings = _build(name, {**of_the_file, **given})
    with _naming(file):
        tensors = fit(converted, built, name)
    about = _about(name, settings, converted, sources, tensors)
    write_imported(out, tensors, about)
    print(f"{file.name}: {converted.format} format, {len(checkpoint.tensors)} tensors")
    parameters = sum(parameter.numel() for parameter in built.parameters())
    # Each layer of a classifier has a weight and a bias.
    in_encoder = len(tensors) - 2 * len(_classifier_weights(tensors))
    print(f"encoder: {name}, {in_encoder} tensors, {parameters:,} parameters")
    _print_imported(converted, about, checkpoint.others)
    print(
        f"written: {out}\nnext: bench run --weights {out} --encoder {name} --dataset magnatagatune"
    )


def _unnamed(file: Path) -> NoReturn:
    raise InputError(
        f"{file} does not say which encoder it is for: give --encoder NAME of `bench list encoders`"
    )


def _about(
    name: str,
    settings: dict[str, Any],
    converted: "Converted",
    sources: "list[Checkpoint]",
    tensors: "dict[str, Tensor]",
) -> "Imported":
    """The description that is stored with imported weights.

    Args:
        name: name of the encoder.
        settings: all its settings.
        converted: the weights by the encoder's names.
        sources: the files that were read.
        tensors: what is stored.
    """
    from bench.weights.imported import Imported

    layers = _classifier_weights(tensors)
    return Imported(
        encoder=name,
        settings=settings,
        format=converted.format,
        source=[source.name for source in sources],
        sha256=[source.sha256 for source in sources],
        dropped=dict(sorted(converted.dropped.items())),
        outputs=int(layers[-1].shape[0]) if layers else 0,
        hidden=len(layers) > 1,
    )


def _classifier_weights(tensors: "dict[str, Tensor]") -> "list[Tensor]":
    """The weights of the classifier's layers, each (outputs, inputs), in their order."""
    return [
        tensor
        for key, tensor in sorted(tensors.items())
        if key.startswith("classifier.") and "weight" in key
    ]


def _print_imported(converted: "Converted", about: "Imported", others: Sequence[str]) -> None:
    """Prints what was found beside the encoder, and what was left out.

    Args:
        converted: the weights by the encoder's names.
        about: description of what is stored.
        others: entries of the checkpoint that are no tensors.
    """
    if about.outputs:
        kind = "one hidden layer" if about.hidden else "linear"
        print(f"classifier: {kind}, {about.outputs} outputs")
    if converted.frontend:
        print(f"log-mel: {len(converted.frontend)} tensors, equal to the encoder's own")
    left = [f"{number} {kind}" for kind, number in about.dropped.items()]
    if others:
        shown = ", ".join(others[:4]) + (", ..." if len(others) > 4 else "")
        left.append(f"{len(others)} entries that are no tensors ({shown})")
    print(f"left out: {'; '.join(left) or 'nothing'}")
    for note in converted.notes[:5]:
        print(f"note: {note}")


def _encoder_settings() -> dict[str, Any]:
    """The dotted settings, which can only be the encoder's."""
    for section, values in overrides.items():
        if section != "encoder" or "name" in values:
            raise InputError(
                f"--{section}.{next(iter(values))}: `bench import` takes settings of the encoder "
                "alone"
            )
    return overrides.get("encoder", {})


def _converted(file: Path, format: str, mapping: Path | None) -> "tuple[Checkpoint, Converted]":
    """A checkpoint as read, and its weights by an encoder's names."""
    from bench.weights.formats import convert, mapped
    from bench.weights.read import read_checkpoint

    rules = None if mapping is None else _read_mapping(mapping)
    checkpoint = read_checkpoint(file)
    with _naming(file):
        converted = (
            convert(checkpoint.tensors, format)
            if rules is None
            else mapped(checkpoint.tensors, rules)
        )
    return checkpoint, converted


def _add_head(converted: "Converted", file: Path, head: Path) -> "Checkpoint":
    """Adds a classifier from a file of its own; returns that file's content."""
    from bench.weights.formats import classifier
    from bench.weights.read import read_checkpoint

    if any(name.startswith("classifier.") for name in converted.tensors):
        raise InputError(f"{file} holds a classifier already: leave --head {head} out")
    checkpoint = read_checkpoint(head)
    with _naming(head):
        layers, left = classifier(checkpoint.tensors)
    converted.tensors.update(layers)
    converted.dropped.update(left)
    return checkpoint


def _build(name: str, given: dict[str, Any]) -> "tuple[Encoder, dict[str, Any]]":
    """The encoder that weights are for, and all its settings.

    All are stored, so that a later change of a default does not change the encoder.
    """
    from bench.core import registry
    from bench.settings.plug_ins import validated
    from bench.settings.specs import PlugIn

    module = registry.load("encoders", name)
    settings = validated(module.Settings, PlugIn(name=name, **given), "encoder")
    return module.Encoder(settings), settings.model_dump(mode="json")


def _read_mapping(path: Path) -> dict[str, str]:
    """Reads a mapping of names from a JSON or TOML file."""
    try:
        text = path.read_text(encoding="utf-8")
        mapping = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except FileNotFoundError as error:
        raise InputError(f"no such file: {path}") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from error
    except ValueError as error:
        raise InputError(
            f"{path}: not a readable {'JSON' if path.suffix == '.json' else 'TOML'} ({error})"
        ) from error
    if (
        not isinstance(mapping, dict)
        or not mapping
        or not all(isinstance(value, str) for value in mapping.values())
    ):
        raise InputError(
            f'{path}: expected names and their new names, such as "backbone." = "encoder."'
        )
    return mapping


def _check_out(out: Path, sources: list[Path]) -> None:
    """Refuses to write over anything but what an earlier import wrote."""
    from bench.weights.imported import read_imported

    if not out.parent.is_dir():
        raise InputError(f"--out {out}: no such folder as {out.parent}")
    if not out.exists():
        return
    if any(source.exists() and source.samefile(out) for source in sources):
        raise InputError(f"--out {out} is the file that is read: name another")
    try:
        read_imported(out)
    except InputError:
        raise InputError(
            f"--out {out} is there already, and not from `bench import`: name another"
        ) from None


@contextlib.contextmanager
def _naming(file: Path) -> Iterator[None]:
    """Puts the file's name before what is wrong with its content."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{file}: {error}") from error
