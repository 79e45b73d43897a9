"""Reads and writes the files of results: one JSON for each cell, and a .npz of arrays beside it."""

import gc
import hashlib
import json
import re
import zlib
from collections.abc import Iterator, Set
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile, is_zipfile

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from pydantic_core import from_json

from bench.core.errors import InputError
from bench.core.progress import say
from bench.core.store import write_atomically
from bench.results.schema import SCHEMA, Part, Result, Values, cell_path, file_stem, path_of
from bench.settings.specs import RunSpec

_NPY_START = 10
"""Bytes of a .npy file before its header: the magic word, the version, the header's length."""
_DIGEST = re.compile(rb'(\n "digest": ")([0-9a-f]*)"')
"""Where a result states the digest of its text, at the first level of the JSON."""
_MANY = 2_000
"""Number of results above which Python's garbage collector is told not to look at them."""


def find(folder: Path, spec: RunSpec, cell: str, part: Part = "runs") -> Result | None:
    """The stored result of a cell.

    Args:
        folder: results folder.
        spec: the cell.
        cell: key of the cell.
        part: of the results folder.

    Returns:
        The result; None where it is not there, or where a file of it is damaged or of another
        schema, which is printed.
    """
    path = cell_path(folder, spec, cell, part)
    if not path.is_file() or not path.with_suffix(".npz").is_file():
        return None
    try:
        read_values(path)
        result = read(path)
        if result.cell != cell:
            raise InputError(f"{path} is of another cell, {result.cell}")
        return result
    except InputError as error:
        say(f"{error}; it is made again")
        return None


def read(path: Path) -> Result:
    """Reads the JSON of one result.

    Args:
        path: of the JSON.

    Raises:
        InputError: the file is damaged, or is no result of this schema.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({(error.strerror or str(error)).lower()})"
        ) from error
    try:
        content = _parsed(text)
    except RecursionError as error:
        raise InputError(f"{path} is no result: its JSON is nested without end") from error
    except ValueError as error:
        raise InputError(f"{path} is no whole JSON ({str(error).splitlines()[0]})") from error
    if isinstance(content, dict) and content.get("digest") not in ("", None, _digest(text)):
        raise InputError(f"{path} is not as it was written: its digest is that of another text")
    schema = content.get("schema_version") if isinstance(content, dict) else None
    if schema != SCHEMA:
        known = isinstance(schema, int)
        what = f"a result of schema {schema}" if known else "no result of this harness"
        raise InputError(f"{path} is {what}; this version reads schema {SCHEMA}")
    try:
        return Result.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{path} is no whole result ({where}: {first['msg'].lower()})") from error


def _digest(text: bytes) -> str:
    """SHA-256 of a result's text with an empty digest in it."""
    return hashlib.sha256(_DIGEST.sub(rb'\1"', text, count=1)).hexdigest()


def _parsed(text: bytes) -> Any:
    """Parses JSON as Python's own `json` does, which takes more than twice the time.

    Raises:
        ValueError: the text is no JSON.
    """
    try:
        return from_json(text)
    except ValueError:
        # `json` reads some texts that pydantic refuses, and says better what is wrong with others.
        return json.loads(text.decode("utf-8"))


def read_all(
    folder: Path, part: Part = "runs", but: Set[str] = frozenset()
) -> tuple[list[Result], list[str]]:
    """Reads all results of a part of a results folder.

    Args:
        folder: results folder.
        part: of the results folder.
        but: names of files, without their endings, that are passed over.

    Returns:
        The results, sorted by the names of their files, and a line for each file left out.
    """
    results, left_out = [], []
    with _no_collector():
        for path in sorted((folder / part).glob("*.json")):
            if path.stem in but:
                continue
            try:
                result = read(path)
            except InputError as error:
                left_out.append(str(error))
                continue
            if wrong := _misplaced(path, folder, result):
                left_out.append(wrong)
            else:
                results.append(result)
        if len(results) > _MANY:
            # Otherwise the first garbage collection, which looks at all of them, takes as long as a
            # quarter of the reading.
            gc.freeze()
    return results, left_out


def _misplaced(path: Path, folder: Path, result: Result) -> str:
    """What is wrong with the place of a result, or with its arrays; "" for nothing."""
    arrays, right = path.with_suffix(".npz"), path_of(folder, result)
    stem = file_stem(result.spec, result.cell)
    if not is_zipfile(arrays):
        return f"{path} has lost its resampled values ({arrays.name} is gone or damaged)"
    if path.stem != stem:
        return f"{path} is a copy: its cell's file is {stem}.json"
    return f"{path} belongs into {right.parent}" if path != right else ""


@contextmanager
def _no_collector() -> Iterator[None]:
    """Suspends garbage collection, which took half of the time of reading 10 000 results."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def read_values(path: Path) -> Values:
    """Reads the arrays of a cell, which lie beside its JSON.

    Args:
        path: of the JSON.

    Raises:
        InputError: the file cannot be read.
    """
    path = path.with_suffix(".npz")
    parts: dict[str, dict[str, NDArray[np.float64]]] = {
        "resampled": {},
        "influence": {},
        "jackknife": {},
    }
    try:
        with ZipFile(path) as stored:
            arrays = {
                info.filename.removesuffix(".npy"): _array(stored.read(info))
                for info in stored.infolist()
            }
        for name, array in arrays.items():
            part, _, metric = name.partition(".")
            if part in parts:
                parts[part][metric] = array.astype(np.float64)
        cell = bytes(arrays.get("cell", np.zeros(0, np.uint8))).decode()
        if cell and cell != path.stem.rpartition("-")[2]:
            raise InputError(f"{path} belongs to another cell, {cell}: run the cell again")
        return Values(**parts, groups=arrays["groups"])
    except (OSError, EOFError, ValueError, KeyError, RuntimeError, BadZipFile, zlib.error) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"{path} cannot be read ({reason}): run the cell again") from error


def _array(stored: bytes) -> NDArray[Any]:
    """An array from the content of a .npy file.

    `np.load` takes three times as long, since it parses each header anew.

    Raises:
        ValueError: the content is no .npy file, holds objects, or is not complete.
    """
    length = _NPY_START + int.from_bytes(stored[_NPY_START - 2 : _NPY_START], "little")
    shape, by_column, kind = _header(stored[:length])
    return np.frombuffer(stored, kind, offset=length).reshape(
        shape, order="F" if by_column else "C"
    )


@cache
def _header(start: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether the order is Fortran's, and type, from the header of a .npy file (NEP 1)."""
    text = BytesIO(start)
    version = np.lib.format.read_magic(text)
    if version != (1, 0):
        raise ValueError(f"version {version} of .npy is none that is written here")
    shape, by_column, kind = np.lib.format.read_array_header_1_0(text)
    return shape, by_column, kind


def write(folder: Path, result: Result, values: Values) -> Path:
    """Writes the files of a cell, the JSON last, since its presence says that the cell is done.

    Args:
        folder: results folder.
        result: the result.
        values: its arrays.

    Returns:
        The path of the JSON.
    """
    path = path_of(folder, result)
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = BytesIO()
    # float32 halves the file; the metrics themselves stand in the JSON as they are.
    arrays: dict[str, Any] = {}
    for part in ("resampled", "influence", "jackknife"):
        arrays |= {
            f"{part}.{name}": column.astype(np.float32)
            for name, column in getattr(values, part).items()
        }
    arrays["groups"] = values.groups.astype(np.int32)
    arrays["cell"] = np.frombuffer(result.cell.encode(), np.uint8)  # ties the two files
    np.savez_compressed(buffer, **arrays)
    write_atomically(path.with_suffix(".npz"), buffer.getvalue())
    content = {**result.model_dump(mode="json"), "digest": ""}
    text = (json.dumps(content, indent=1, allow_nan=False) + "\n").encode()
    write_atomically(path, _DIGEST.sub(rb"\g<1>" + _digest(text).encode() + b'"', text, count=1))
    return path
