"""A pretrained model in a folder that the user names: its files, and one digest of them.

An encoder that reads such a folder says so by the constant `EXTERNAL`, which holds the name of the
setting with the path, such as "folder". Products depend on the content of the folder and not on
where it lies, so keys hold the digest in place of the path. torch is not imported.
"""

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from bench.core.errors import InputError

DESCRIPTIONS = ("config.json", "preprocessor_config.json")
"""Files that describe the architecture and its input, as the Hugging Face libraries write them."""
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""Names that the file of weights may have; the first that exists is read."""


def weights_of(folder: Path) -> Path:
    """The file of weights in a model's folder.

    Args:
        folder: of the model.

    Raises:
        InputError: there is no such folder, or one of the model's files is missing.
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
    """The content of one of the files of `DESCRIPTIONS`.

    Args:
        folder: of the model.
        name: of the file.

    Raises:
        InputError: the file cannot be read, or is no JSON object.
    """
    path = folder / name
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"encoder.folder {folder}: {name} cannot be read; nothing is downloaded"
        ) from error
    except ValueError as error:
        raise InputError(f"{path} is no JSON ({str(error).splitlines()[0]})") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a JSON object")
    return content


def identity(settings: dict[str, Any], setting: str) -> dict[str, Any]:
    """An encoder's settings, with the digest of a model's files in place of the folder's path.

    Args:
        settings: as they were given.
        setting: name of the setting that holds the folder; "" where there is none.

    Returns:
        The settings as keys hold them.

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
    """SHA-256 of a file's content."""
    status = path.stat()
    return _digest_of(path.resolve(), status.st_size, status.st_mtime_ns)


@cache
def _digest_of(path: Path, size: int, mtime_ns: int) -> str:
    """SHA-256 of a file in one state: hundreds of megabytes are read once a process."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
