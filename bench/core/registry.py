"""Finds plug-ins by name: methods, data sets, encoders and recipes.

A plug-in is registered by the name of its file; there is no central list. Plug-ins are looked for
in `methods/`, `datasets/`, `encoders/` and `recipes/` of every folder of `bench.__path__` (the
package, the checkout, `--plugins` folders) and among the entry points `pretext_bench.methods` and
so on. Listing and describing read the files without importing them, since importing torch and
lightly takes seconds.
"""

import ast
import importlib
import importlib.util
import os
import sys
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
        name: name of its file without the ending, or of its entry point.
        path: its file, or the `__init__.py` of its package.
        module: dotted name of the module to import; "" for recipes.
    """

    kind: str
    name: str
    path: Path
    module: str


def add_plugins(folder: Path) -> None:
    """Makes the plug-ins in a folder known to this process and to the workers that it starts.

    Args:
        folder: holds methods/, datasets/, encoders/ or recipes/.

    Raises:
        InputError: the folder does not exist or holds none of the four sub-folders.
    """
    if not any((folder / kind).is_dir() for kind in KINDS):
        raise InputError(
            f"--plugins {folder}: expected a folder that holds methods/, datasets/, "
            "encoders/ or recipes/"
        )
    resolved = str(folder.resolve())
    if resolved not in bench.__path__:
        bench.__path__.append(resolved)
        known = os.environ.get("BENCH_PLUGINS", "")
        os.environ["BENCH_PLUGINS"] = os.pathsep.join(filter(None, [known, resolved]))
        for kind in KINDS:  # a package that is imported already has looked for its folders before
            package = sys.modules.get(f"bench.{kind}")
            if package is not None and (folder / kind).is_dir():
                package.__path__.append(f"{resolved}/{kind}")
    _all.cache_clear()


@cache
def _all(kind: str) -> dict[str, Found]:
    """Every plug-in of a kind, by name.

    Raises:
        InputError: two have one name, or an entry point names a module that is not there.
    """
    plug_ins: dict[str, Found] = {}
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
            module = "" if kind == "recipes" else f"bench.{kind}.{name}"
            _add(plug_ins, Found(kind, name, path, module))
    for point in entry_points(group=f"pretext_bench.{kind}"):
        spec = importlib.util.find_spec(point.value)
        if spec is None or spec.origin is None:
            raise InputError(
                f"entry point '{point.name}' of pretext_bench.{kind} names '{point.value}', "
                "which is not there"
            )
        _add(plug_ins, Found(kind, point.name, Path(spec.origin), point.value))
    return plug_ins


def _add(plug_ins: dict[str, Found], new: Found) -> None:
    """Adds a plug-in to those of its kind; two of one name are an error."""
    if new.name in plug_ins:
        paths = f"{plug_ins[new.name].path} and {new.path}"
        raise InputError(f"two {new.kind} are called '{new.name}': {paths}; rename one")
    plug_ins[new.name] = new


def names(kind: str) -> list[str]:
    """The names of all plug-ins of a kind, sorted.

    Args:
        kind: one of KINDS.
    """
    return sorted(_all(kind))


def find(kind: str, name: str) -> Found:
    """Finds a plug-in by its name.

    Args:
        kind: one of KINDS.
        name: of the plug-in.

    Raises:
        InputError: there is none of that name; the most similar name is suggested.
    """
    if name not in _all(kind):
        raise unknown(kind.removesuffix("s"), name, names(kind))
    return _all(kind)[name]


def describe(kind: str, name: str) -> dict[str, Any]:
    """Reads what a plug-in says of itself, without importing it.

    Args:
        kind: one of KINDS.
        name: of the plug-in.

    Returns:
        The first line of its docstring as "summary", and its literal constants by name; for a
        recipe, its table [about].
    """
    path = find(kind, name).path
    return dict(_described(kind, path, path.stat().st_mtime_ns))


@cache
def _described(kind: str, path: Path, _mtime_ns: int) -> dict[str, Any]:
    """`describe` for a file: a plan of thousands of cells asks for the same few files again."""
    try:
        text = path.read_text(encoding="utf-8")
        if kind == "recipes":
            about = tomllib.loads(text).get("about", {})
            return dict(about) if isinstance(about, dict) else {}
        tree = ast.parse(text, filename=str(path))
    except (SyntaxError, ValueError) as error:
        raise InputError(f"{path}: {error}") from error
    constants: dict[str, Any] = {"summary": (ast.get_docstring(tree) or "").partition("\n")[0]}
    for node in tree.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        if isinstance(target, ast.Name) and target.id.isupper():
            try:
                constants[target.id] = ast.literal_eval(node.value)
            except ValueError:
                continue  # the value of a computed constant is not known without importing the file
    return constants


def load(kind: str, name: str) -> ModuleType:
    """Imports a plug-in, and checks that it has the parts that its contract asks for.

    Args:
        kind: "methods", "encoders" or "datasets".
        name: of the plug-in.

    Raises:
        InputError: there is none of that name, it lacks a part of its contract, or a package that
            it needs is not installed.
    """
    plug_in = find(kind, name)
    try:
        module = importlib.import_module(plug_in.module)
    except ModuleNotFoundError as error:
        if str(error.name).split(".")[0] == "bench":
            raise InputError(
                f"{plug_in.path} imports '{error.name}', which is not there"
            ) from error
        raise InputError(
            f"{kind.removesuffix('s')} '{name}' needs the package '{error.name}': "
            f"pip install {error.name}"
        ) from error
    wanted = {"methods": "Method", "encoders": "Encoder", "datasets": "manifest"}[kind]
    for part in ("Settings", wanted):
        if not hasattr(module, part):
            raise InputError(f"{plug_in.path} has no '{part}'; the contract of {kind} asks for it")
    return module
