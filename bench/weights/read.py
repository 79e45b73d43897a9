"""Reads checkpoints of any origin without running code that they may contain.

A pickle is a program: it names functions and calls them. It is read here by torch's unpickler for
weights (`weights_only=True`), which calls only what builds tensors, numbers and containers.
Checkpoints of PyTorch Lightning also name classes, as keys of the state of their callbacks; the
known ones are replaced by an empty class, so that none of them is imported. Any other name is
refused.
"""

import hashlib
import pickletools
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from bench.core.errors import InputError

_SHOWN = 3  # names in a message
_LONGEST = 200  # characters of a name in a message
# Keys under which checkpoints keep their state dictionary.
_STATES = ("state_dict", "model", "model_state_dict", "weights")
_LIGHTNING = ("pytorch_lightning", "lightning.pytorch")
# Classes that checkpoints of Lightning 1.x name beside the tensors; reading tensors needs none.
_INERT = (
    *(f"{package}.callbacks.model_checkpoint.ModelCheckpoint" for package in _LIGHTNING),
    *(f"{package}.callbacks.early_stopping.EarlyStopping" for package in _LIGHTNING),
    *(f"{package}.callbacks.lr_monitor.LearningRateMonitor" for package in _LIGHTNING),
    *(f"{package}.utilities.parsing.AttributeDict" for package in _LIGHTNING),
    "argparse.Namespace",
    "pathlib.PosixPath",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
)


# Endings of files that may be checkpoints.
_ENDINGS = (".pt", ".pth", ".ckpt", ".bin", ".safetensors")


class _Inert(dict[Any, Any]):
    """Replaces a class that a checkpoint names; ignores all arguments and any state."""

    def __new__(cls, *_: object, **__: object) -> "_Inert":
        return super().__new__(cls)

    def __init__(self, *_: object, **__: object) -> None:
        super().__init__()

    def __setstate__(self, _: object) -> None:
        pass


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint file.

    Attributes:
        name: name of the file.
        sha256: SHA-256 of the file, in hexadecimal.
        tensors: tensors by their names in the file.
        metadata: texts from the header of a safetensors file.
        others: names of what is not a tensor (epochs, optimisers, settings) and is left out.
    """

    name: str
    sha256: str
    tensors: dict[str, Tensor]
    metadata: dict[str, str]
    others: tuple[str, ...]


def read_checkpoint(path: Path) -> Checkpoint:
    """Reads a safetensors file, or one that `torch.save` wrote.

    Args:
        path: the file.

    Returns:
        The tensors by name, on the CPU, and what else is known of the file.

    Raises:
        InputError: if the file is missing, cut short or no checkpoint, or names code.
    """
    head, size = _head(path)
    metadata: dict[str, str] = {}
    if not head:
        raise InputError(f"{path} is empty: get it again")
    if _is_safetensors(head, size):
        content, metadata = _read_safetensors(path)
    else:
        _refuse_what_is_no_pickle(path, head)
        content = _read_pickle(path)
    tensors, others = _unwrap(content)
    if not tensors:
        held = type(content).__name__
        if isinstance(content, dict):
            held = ", ".join(map(_word, list(content)[:_SHOWN])) or "nothing"
        raise InputError(
            f"{path} holds no tensors by name (found: {held}); give a state dictionary"
        )
    with open(path, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    dense = {name: _dense(path, name, tensor) for name, tensor in tensors.items()}
    return Checkpoint(path.name, sha256, dense, metadata, others)


def _head(path: Path) -> tuple[bytes, int]:
    """Reads the first bytes of a file, and its size."""
    try:
        with open(path, "rb") as file:
            return file.read(512), path.stat().st_size
    except FileNotFoundError as error:
        raise InputError(f"no such file: {path}") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from error


def _is_safetensors(head: bytes, size: int) -> bool:
    """Whether a file begins like safetensors: with the length of a JSON object, and that object."""
    return (
        len(head) > 8
        and head[8:9] == b"{"
        and 0 < int.from_bytes(head[:8], "little") < max(size, 2**27)
    )


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Reads the tensors and the metadata of a safetensors file."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, dict(file.metadata() or {})
    # Besides SafetensorError, odd names and types in the header raise errors of several kinds.
    except Exception as error:
        raise InputError(
            f"{path} is a damaged or cut-off safetensors file: get it again ({_word(error)})"
        ) from error


def _refuse_what_is_no_pickle(path: Path, head: bytes) -> None:
    """Raises an error that names what a file is, if it is not what `torch.save` writes."""
    start = head.lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise InputError(
            f"{path} is a web page, not a checkpoint: "
            "the download led to a page in place of the file"
        )
    if start.startswith(b"version https://git-lfs"):
        raise InputError(
            f"{path} is a pointer of Git LFS, not the file itself: get it with `git lfs pull`"
        )
    if head.startswith(b"PK"):
        _refuse_other_archives(path)
    elif head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"Rar!")):
        raise InputError(f"{path} is a compressed archive: unpack it and give the file inside")
    elif not head.startswith(b"\x80"):
        raise InputError(f"{path} is no checkpoint: neither safetensors nor what torch.save writes")


def _refuse_other_archives(path: Path) -> None:
    """Refuses ZIP archives that are damaged, or are not what `torch.save` writes."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            damaged = archive.testzip()  # torch does not look at the checksums
    except Exception as error:  # zipfile may raise anything, depending on the bytes
        raise InputError(f"{path} is cut short or damaged: get it again") from error
    if damaged is not None:
        raise InputError(
            f"{path} is damaged (the checksum of {_word(damaged)} is another): get it again"
        )
    if any(name.endswith("/constants.pkl") and "/code/" in "".join(names) for name in names):
        raise InputError(
            f"{path} is a TorchScript program, which is code: "
            "give its state dictionary, saved by torch.save"
        )
    if not any(name.endswith("data.pkl") for name in names):
        inside = [name for name in names if name.endswith(_ENDINGS)]
        give = "a checkpoint that is in it"
        if inside:
            give = f"one of {', '.join(map(_word, inside[:6]))}"
        raise InputError(f"{path} is an archive: unpack it and give {give}")


def _read_pickle(path: Path) -> Any:
    """Loads what `torch.save` wrote, without running code."""
    try:
        # torch warns of what it then refuses, and of sparse tensors, which `_dense` refuses.
        with torch.serialization.safe_globals(_allowed()), warnings.catch_warnings(action="ignore"):
            return torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        # torch raises the same error for some kinds of damage.
        named = _code_named(path, str(error))
        if named is None:
            reason = "is cut short or damaged, or was not written by torch.save: get it again"
            raise InputError(f"{path} {reason}") from error
        raise InputError(
            f"{path} is refused: it names {named}, which is code that loading it would run; "
            "whoever made it can save the tensors alone, "
            "with torch.save(model.state_dict(), ...) or safetensors"
        ) from error
    # A damaged pickle is a random program, and may raise anything.
    except Exception as error:
        raise InputError(f"{path} is cut short or damaged: get it again") from error


def _allowed() -> list[Any]:
    """Lists the names that torch shall replace by the inert class."""
    return [(_Inert, name) for name in _INERT]


def _code_named(path: Path, message: str) -> str | None:
    """Finds the names of code in a refused pickle.

    Args:
        path: the file.
        message: torch's error message, which may name the code.

    Returns:
        The names for a message; None if the pickle names nothing and is merely damaged.
    """
    try:
        with torch.serialization.safe_globals(_allowed()):
            names = list(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except Exception:  # the format that torch wrote before 1.6, or damage
        names = []
    if names:
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        return ", ".join(map(_word, sorted(names)[:_SHOWN])) + more
    if "GLOBAL " in message:
        return _word(message.partition("GLOBAL ")[2].split(" ")[0].rstrip(".,")) or None
    return _first_global(path)


def _first_global(path: Path) -> str | None:
    """Finds the first name in a pickle of protocol 4 or later, which torch's unpickler cannot read.

    Returns:
        The name; None if there is none.
    """
    texts: list[str] = []
    try:
        with open(path, "rb") as file:
            for opcode, argument, _ in pickletools.genops(file):
                if opcode.name == "STACK_GLOBAL":
                    return _word(".".join(texts[-2:]))
                if isinstance(argument, str):
                    texts.append(argument)
    except Exception:  # damage
        return None
    return None


def _unwrap(content: Any) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Finds the state dictionary in the content of a checkpoint.

    Returns:
        The tensors by name, and the names of everything else.
    """
    if not isinstance(content, dict):
        return {}, ()
    for key in _STATES:
        inner = content.get(key)
        if isinstance(inner, dict) and any(isinstance(value, Tensor) for value in inner.values()):
            tensors, others = _unwrap({**inner})
            return tensors, (*(_word(name) for name in content if name != key), *others)
    tensors = {_word(name): value for name, value in content.items() if isinstance(value, Tensor)}
    rest = [_word(name) for name, value in content.items() if not isinstance(value, Tensor)]
    return tensors, tuple(rest)


def _word(name: object) -> str:
    """Makes a name from a file fit for a message: on one line, and not too long."""
    text = str(name)
    return text if text.isprintable() and len(text) <= _LONGEST else repr(text[:_LONGEST])


def _dense(path: Path, name: str, tensor: Tensor) -> Tensor:
    """Refuses tensors that are not plain numbers on the CPU."""
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
        raise InputError(
            f"{path}: {name} is sparse, quantised or empty of data; give plain tensors"
        )
    return tensor.detach()
