"""Finds the source files of modules, without importing them or their packages.

Importing torch takes seconds, and a finished cell must be found again without it.
"""

import importlib.util
import sys
from functools import cache
from pathlib import Path

import bench
from bench.core.errors import InputError


def source_of(module: str) -> Path:
    """The file of a module.

    Args:
        module: dotted name.

    Raises:
        InputError: there is none.
    """
    path = find(module)
    if path is None:
        raise InputError(f"no source file for {module}")
    return path


def find(module: str) -> Path | None:
    """The file of a module, or the `__init__.py` of a package; None where there is none."""
    top, *rest = module.split(".")
    if not all(rest):
        return None
    if top == "bench":
        folders = list(bench.__path__)
    else:
        origin, folders = _top(top)
        if not folders:  # a single file
            return origin if not rest else None
    for folder in folders:
        place = Path(folder, *rest)
        # As Python does: a package before a module of the same name.
        candidates = [place / "__init__.py", *([Path(f"{place}.py")] if rest else [])]
        for path in candidates:
            if path.is_file():
                return path
    return None


def is_own(module: str, importer: str) -> bool:
    """Whether a module's code is looked at: this package's, a plug-in's, or code that lies beside.

    What is installed (torch, numpy) is known by its version, and is not read.

    Args:
        module: dotted name.
        importer: dotted name of the module that imports it.
    """
    top = module.partition(".")[0]
    return top in ("bench", importer.partition(".")[0]) or _is_loose(top)


@cache
def _is_loose(top: str) -> bool:
    """Whether a package or module lies in a folder of code, not in one of installed packages."""
    if top in sys.stdlib_module_names:
        return False
    origin, places = _top(top)
    folder = Path(places[0]).parent if places else origin.parent if origin is not None else None
    if folder is None or folder.name in ("site-packages", "dist-packages"):
        return False
    return not any(folder.glob("*.dist-info"))


def _top(name: str) -> tuple[Path | None, list[str]]:
    """The file of a top-level module, and the folders of a package."""
    try:
        spec = importlib.util.find_spec(name)
    except ValueError:  # a module that was made by hand has none
        return None, []
    if spec is None:
        return None, []
    origin = Path(spec.origin) if spec.has_location and spec.origin else None
    is_source = origin is not None and origin.suffix == ".py"
    return origin if is_source else None, list(spec.submodule_search_locations or ())
