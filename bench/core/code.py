"""What code computes, as a digest that is part of the name of every product.

A product is found by its key, and other code gives other keys; so no product of other code is ever
used. The code of a module is its own text and that of every module that it uses, followed import by
import through this package, through the packages of third-party plug-ins and through code that lies
beside them. Installed libraries are not read: their versions are stored with each product.

What cannot change a number does not count: `bench.core.source` says what that is within a file, and
`CANNOT_MATTER` names whole modules. Names of files do not count either, so that moving a file
changes no digest. Files are read, never imported: a finished cell is found again without torch.

What cannot be seen in the text is missed: compiled extensions, code that is made of texts (`exec`),
and data files whose names are computed.
"""

import hashlib
import sys
from collections.abc import Collection, Iterator, Sequence
from functools import cache
from pathlib import Path

from bench.core.bindings import Import
from bench.core.errors import InputError
from bench.core.modules import find, is_own, source_of
from bench.core.source import Source, parse

CANNOT_MATTER = {
    "bench": "the version, and the folders of plug-ins",
    "bench.core.bindings": "names products; takes no part in making them",
    "bench.core.code": "names products; takes no part in making them",
    "bench.core.digests": "tells damaged products from whole ones",
    "bench.core.errors": "kinds and messages of errors",
    "bench.core.files": "how files are written, and the messages where they cannot be",
    "bench.core.modules": "finds the files of modules",
    "bench.core.progress": "progress bars and lines on the terminal",
    "bench.core.registry": "finds plug-ins, whose own files count",
    "bench.core.source": "names products; takes no part in making them",
    "bench.core.stamp": "what is written down of a product beside its content",
    "bench.core.store": "where files lie, how they are locked and renamed",
    "bench.core.table": "how tables are printed",
    "bench.settings.base": "checks the values of settings, which are in the keys",
    "bench.settings.canonical": "digests settings for the keys",
    "bench.settings.plug_ins": "checks the values of settings, which are in the keys",
    "bench.settings.specs": "names and defaults of settings, whose values are in the keys",
    "bench.stages.keys": "names products; takes no part in making them",
    "bench.stages.prepare.estimate": "foretells the time and disk space that preparing takes",
    "bench.stages.prepare.words": "what preparing says of itself while it runs",
    "bench.stages.words": "titles, notes and names of devices",
}
"""Modules that no key looks at, each with the reason why no product can depend on it."""
_LONGEST_NAME = 200  # characters of a text that may name a file


def code_digest(*modules: str, without: Collection[str] = ()) -> str:
    """Digest of what modules compute, with everything that they use.

    Args:
        modules: dotted names; a package stands for all modules in its folder.
        without: modules that are left out, with what only they use, beside those of CANNOT_MATTER.

    Returns:
        16 hexadecimal digits.

    Raises:
        InputError: there is no source file for a module, or a file is no Python.
    """
    walk = _Walk(modules, without)
    return hashlib.sha256("".join(sorted(walk.roots)).encode()).hexdigest()[:16]


def modules_of(*modules: str, without: Collection[str] = ()) -> list[str]:
    """Every module whose code `code_digest` looks at, sorted by name.

    Args:
        modules: as for `code_digest`.
        without: as for `code_digest`.
    """
    return sorted(_Walk(modules, without).digests)


class _Walk:
    """The way through the imports of some modules, to the end.

    Attributes:
        roots: digests of the modules where the way starts.
        digests: digest of each module that was reached, by its dotted name.
    """

    def __init__(self, modules: Collection[str], without: Collection[str]) -> None:
        """Goes all the way.

        Args:
            modules: where to start; a package stands for all modules in its folder.
            without: modules that do not count, beside those of CANNOT_MATTER.
        """
        self._left_out = frozenset(without) | frozenset(CANNOT_MATTER)
        self._files: dict[str, tuple[Path, Source] | None] = {}
        self.digests: dict[str, str] = {}
        self.roots = [
            self._digest(name, ())
            for module in modules
            for name in _members(module)
            if name == module or name not in self._left_out
        ]

    def _digest(self, module: str, above: tuple[str, ...]) -> str:
        """Digest of a module and of all that it uses.

        Args:
            module: dotted name.
            above: the modules on the way here, so that a circle of imports ends.
        """
        if module in above:  # its text counts there; here, only which of those above it is
            return f"^{len(above) - above.index(module)}"
        if module not in self.digests:
            path, source = self._file(module) or (source_of(module), Source())
            above = (*above, module)
            parts = [source.text]
            parts += self._names(source, above)
            parts += sorted({self._digest(name, above) for name in self._run(module, source)})
            parts += _data_files(path, source)
            self.digests[module] = hashlib.sha256("\n".join(parts).encode()).hexdigest()
        return self.digests[module]

    def _file(self, module: str) -> tuple[Path, Source] | None:
        """The file of a module and what counts of it; None where there is no source file."""
        if module not in self._files:
            path = find(module)
            if path is None:
                self._files[module] = None
            else:
                package = module if path.name == "__init__.py" else module.rpartition(".")[0]
                self._files[module] = path, _parsed(path, package, _state(module, path))
        return self._files[module]

    def _names(self, source: Source, above: tuple[str, ...]) -> Iterator[str]:
        """What the imported names of a file stand for, where it reads them, sorted by name.

        The imports of one name stay in the order of the file: the last one may win.
        """
        once = dict.fromkeys(name for name in source.imports if name.name not in source.varying)
        again = [name for name in source.imports if name.name in source.varying]
        for imported in sorted([*once, *again], key=lambda name: name.name):
            for dotted in source.reads_of(imported.name):
                attributes = dotted.split(".")[1:]
                yield f"{dotted}={self._value(imported, attributes, above)}"

    def _value(self, imported: Import, attributes: Sequence[str], above: tuple[str, ...]) -> str:
        """What a name stands for, as text: the code behind it, or its name in a library.

        Args:
            imported: the name.
            attributes: those that are read of it, each of the one before.
            above: the modules on the way here; the last is the one that imports.
        """
        if not is_own(imported.module, above[-1]):
            return imported.target
        given = [imported.attribute] if imported.attribute else []
        module, attribute = self._resolved(imported.module, [*given, *attributes])
        if module in self._left_out or self._file(module) is None:
            return attribute
        behind = self._handed_on(module, attribute, above)
        return f"{attribute}:{self._digest(module, above)}{behind}"

    def _handed_on(self, module: str, name: str, above: tuple[str, ...]) -> str:
        """What a name stands for that a module only hands on, and so counts for those who ask."""
        file = self._file(module)
        if file is None or module in above:
            return ""
        source = file[1]
        printed = source.printed.values() if name == "*" else [source.printed.get(name, "")]
        asked = [
            self._value(imported, (), (*above, module))
            for imported in source.imports
            if name in (imported.name, "*") and not source.reads_of(imported.name)
        ]
        return "".join([*printed, *asked])

    def _resolved(self, module: str, attributes: Sequence[str]) -> tuple[str, str]:
        """The module that a dotted name leads to, and the name that is asked of it; "" for itself.

        A name that a package defines goes before a module of that name in its folder.
        """
        for attribute in attributes:
            file, inner = self._file(module), f"{module}.{attribute}"
            defined = file is not None and file[1].defines(attribute, module)
            if defined or self._file(inner) is None:
                return module, attribute
            module = inner
        return module, ""

    def _run(self, module: str, source: Source) -> Iterator[str]:
        """The modules that are run when a file is, whether it reads a name of theirs or not."""
        own = {
            self._resolved(imported.module, [imported.attribute])[0]
            for imported in source.imports
            if is_own(imported.module, module)  # no file of a library is read
        }
        own |= {name for name in source.modules if is_own(name, module)}
        yield from filter(self._counts, own)
        for package in {above for name in (module, *own) for above in _packages_of(name)}:
            file = self._file(package)
            if self._counts(package) and file is not None and file[1].acts:
                yield package
        if source.by_name:
            yield from filter(self._counts, _folder_of(module))

    def _counts(self, module: str) -> bool:
        """Whether a module has a source file, and is not left out."""
        return module not in self._left_out and self._file(module) is not None


def _packages_of(module: str) -> Iterator[str]:
    """The packages that a module is in, the innermost first."""
    while module := module.rpartition(".")[0]:
        yield module


def _members(module: str) -> Iterator[str]:
    """The modules in a package's folder, or the module itself."""
    origin = source_of(module)
    if origin.name != "__init__.py":
        yield module
        return
    for path in sorted(origin.parent.glob("*.py")):
        yield module if path.name == "__init__.py" else f"{module}.{path.stem}"


def _folder_of(module: str) -> Iterator[str]:
    """All modules in a module's folder and below, for one that imports by computed names."""
    origin = source_of(module)
    package = module if origin.name == "__init__.py" else module.rpartition(".")[0]
    for path in sorted(origin.parent.rglob("*.py")) if package else ():
        inside = path.relative_to(origin.parent).with_suffix("").parts
        name = ".".join([package, *(part for part in inside if part != "__init__")])
        if name != module and find(name) == path:
            yield name


_first_seen: dict[Path, int] = {}


def _state(module: str, path: Path) -> int:
    """The state of a file, by its time; of a module that runs in this process, the first one.

    Who edits a file while a process runs does not change the code that the process has loaded.
    """
    now = path.stat().st_mtime_ns
    first = _first_seen.setdefault(path, now)
    loaded = getattr(sys.modules.get(module), "__file__", None)
    return first if loaded == str(path) else now


@cache
def _parsed(path: Path, package: str, _mtime_ns: int) -> Source:
    """What counts of a file in one state: thousands of cells ask for the same few files."""
    try:
        return parse(path.read_bytes(), package, str(path))
    except (SyntaxError, ValueError) as error:
        raise InputError(f"{path}: {error}") from error


def _data_files(path: Path, source: Source) -> list[str]:
    """Digests of the files that a module names, where they lie beside it or in a folder there."""
    names = sorted(name for name in source.files if _may_name_a_file(name))
    folders = [path.parent, *(path.parent / name for name in names)]
    found = [folder / name for folder in folders if folder.is_dir() for name in names]
    return [
        _content(file, file.stat().st_size, file.stat().st_mtime_ns)
        for file in found
        if file.is_file() and file.suffix != ".py"
    ]


def _may_name_a_file(text: str) -> bool:
    """Whether a text may be the name of a file beside the code."""
    return 0 < len(text) < _LONGEST_NAME and text.isprintable() and text[0] not in "/~."


@cache
def _content(path: Path, _size: int, _mtime_ns: int) -> str:
    """Digest of a data file in one state, which is read once a process."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
