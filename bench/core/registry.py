"""Methods, data sets, encoders and recipes by name.

The file's name is the registration; there is no central list. Plug-ins are looked for in
`methods/`, `datasets/`, `encoders/` and `recipes/` of every folder of `bench.__path__` (the
package, the checkout, `--plugins` folders) and among the entry points `pretext_bench.methods` and
so on. Listing and describing read the files without importing them, since importing torch and
lightly takes seconds.
"""

import ast
import importlib
import importlib.util
import os
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import bench
from bench.core.errors import InputError, unknown

KINDS = ("methods", "datasets", "encoders", "recipes")


@dataclass(frozen=True)
class Found:
    """One plug-in.

    Attributes:
        kind: one of KINDS.
        name: its file's name without the ending.
        path: its file, or the `__init__.py` of its package.
        module: what to import; empty for recipes.
    """

    kind: str
    name: str
    path: Path
    module: str


def add_plugins(folder: Path) -> None:
    """Makes the plug-ins under `folder` known to this process and to the workers that it starts.

    Raises:
        InputError: the folder does not exist or holds none of the four sub-folders.
    """
    if not any((folder / kind).is_dir() for kind in KINDS):
        raise InputError(
            f"--plugins {folder}: expected a folder that holds methods/, datasets/, encoders/ or recipes/"
        )
    resolved = str(folder.resolve())
    if resolved not in bench.__path__:
        bench.__path__.append(resolved)
        known = os.environ.get("BENCH_PLUGINS", "")
        os.environ["BENCH_PLUGINS"] = os.pathsep.join(filter(None, [known, resolved]))
    _all.cache_clear()


@cache
def _all(kind: str) -> dict[str, Found]:
    found: dict[str, Found] = {}
    ending = ".toml" if kind == "recipes" else ".py"
    for base in map(Path, bench.__path__):
        files = [
            path
            for path in sorted((base / kind).glob(f"*{ending}"))
            if not path.name.startswith("_")
        ]
        packages = sorted((base / kind).glob("*/__init__.py")) if kind != "recipes" else []
        for path in [*files, *packages]:
            name = path.parent.name if path.name == "__init__.py" else path.stem
            _add(
                found, Found(kind, name, path, "" if kind == "recipes" else f"bench.{kind}.{name}")
            )
    for point in entry_points(group=f"pretext_bench.{kind}"):
        spec = importlib.util.find_spec(point.value)
        if spec is None or spec.origin is None:
            raise InputError(
                f"entry point '{point.name}' of pretext_bench.{kind} names '{point.value}', which is not there"
            )
        _add(found, Found(kind, point.name, Path(spec.origin), point.value))
    return found


def _add(found: dict[str, Found], new: Found) -> None:
    if new.name in found:
        raise InputError(
            f"two {new.kind} are called '{new.name}': {found[new.name].path} and {new.path}; rename one"
        )
    found[new.name] = new


def names(kind: str) -> list[str]:
    """All names of one kind, sorted."""
    return sorted(_all(kind))


def find(kind: str, name: str) -> Found:
    """The plug-in of that name.

    Raises:
        InputError: there is none; the nearest name is suggested.
    """
    if name not in _all(kind):
        raise unknown(kind.removesuffix("s"), name, names(kind))
    return _all(kind)[name]


def describe(kind: str, name: str) -> dict[str, Any]:
    """The first line of a plug-in's docstring as "summary", and its literal constants, without importing it."""
    path = find(kind, name).path
    return dict(_described(kind, path, path.stat().st_mtime_ns))


@cache
def _described(kind: str, path: Path, _mtime_ns: int) -> dict[str, Any]:
    """See `describe`: a plan of thousands of cells asks for the same few files, which are read once while unchanged."""
    try:
        text = path.read_text(encoding="utf-8")
        if kind == "recipes":
            about = tomllib.loads(text).get("about", {})
            return (
                {str(key): value for key, value in about.items()} if isinstance(about, dict) else {}
            )
        tree = ast.parse(text, filename=str(path))
    except (SyntaxError, ValueError) as error:
        raise InputError(f"{path}: {error}") from error
    found: dict[str, Any] = {"summary": (ast.get_docstring(tree) or "").partition("\n")[0]}
    for node in tree.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        if isinstance(target, ast.Name) and target.id.isupper():
            try:
                found[target.id] = ast.literal_eval(node.value)
            except ValueError:
                continue  # a constant that is computed is of no use to a reader of the file's text
    return found


def load(kind: str, name: str) -> ModuleType:
    """Imports a plug-in.

    Raises:
        InputError: there is none of that name, it lacks a part of its contract, or a package that
            it needs.
    """
    found = find(kind, name)
    try:
        module = importlib.import_module(found.module)
    except ModuleNotFoundError as error:
        if str(error.name).split(".")[0] == "bench":
            raise InputError(f"{found.path} imports '{error.name}', which is not there") from error
        raise InputError(
            f"{kind.removesuffix('s')} '{name}' needs the package '{error.name}': pip install {error.name}"
        ) from error
    wanted = {"methods": "Method", "encoders": "Encoder", "datasets": "manifest"}[kind]
    for part in ("Settings", wanted):
        if not hasattr(module, part):
            raise InputError(f"{found.path} has no '{part}'; the contract of {kind} asks for it")
    return module
