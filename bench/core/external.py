"""Somebody else's model in a folder of the user's: which files it is, and one digest of them.

Light: no torch. An encoder's file says `EXTERNAL = "folder"`, the name of the setting that holds
the path. What a product depends on is what lies there, not where it lies: keys take the digest in
place of the path.
"""

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from bench.core.errors import InputError

DESCRIPTIONS = ("config.json", "preprocessor_config.json")
"""What the architecture and its input are, as the Hugging Face libraries write it."""
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""Of these the first that is there."""


def weights_of(folder: Path) -> Path:
    """The file of weights in a model's folder.

    Raises:
        InputError: no such folder, or a file is missing.
    """
    if not folder.is_dir():
        raise InputError(f"encoder.folder {folder}: there is no such folder; nothing is downloaded")
    for name in DESCRIPTIONS:
        if not (folder / name).is_file():
            raise InputError(f"encoder.folder {folder}: {name} is missing")
    for name in WEIGHTS:
        if (folder / name).is_file():
            return folder / name
    raise InputError(f"encoder.folder {folder}: neither {' nor '.join(WEIGHTS)} is there")


def description(folder: Path, name: str) -> dict[str, Any]:
    """One of the DESCRIPTIONS.

    Raises:
        InputError: it is not there or no JSON.
    """
    path = folder / name
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"encoder.folder {folder}: {name} cannot be read; nothing is downloaded"
        ) from error
    except ValueError as error:
        raise InputError(f"{path} is no JSON ({str(error).splitlines()[0]})") from error
    if not isinstance(found, dict):
        raise InputError(f"{path}: expected a JSON object")
    return found


def identity(settings: dict[str, Any], setting: str) -> dict[str, Any]:
    """An encoder's given settings with the digest of what lies in a folder in place of its path.

    Args:
        settings: as given.
        setting: which of them is the folder; "" where there is none.

    Raises:
        InputError: the folder does not hold a model.
    """
    if not setting or not settings.get(setting):
        return settings
    folder = Path(str(settings[setting])).expanduser()
    files = [*(folder / name for name in DESCRIPTIONS), weights_of(folder)]
    return {
        **settings,
        setting: hashlib.sha256("".join(map(_digest, files)).encode()).hexdigest()[:16],
    }


def _digest(path: Path) -> str:
    status = path.stat()
    return _digest_of(path.resolve(), status.st_size, status.st_mtime_ns)


@cache
def _digest_of(path: Path, size: int, mtime_ns: int) -> str:
    """Of one state of a file; hundreds of megabytes are read once a process."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
