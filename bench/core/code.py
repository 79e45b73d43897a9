"""What code computes, as a digest: part of the name of every product.

So no product of other code is ever used.

The code of a module is its own text and that of every module of this package that it uses, followed
import by import. What cannot change a number does not count: comments, docstrings, the order and
form of imports, names that are imported and not used, messages of errors, progress, and the few modules
of `CANNOT_MATTER`. Paths and names of files do not count either, so that moving a file changes no digest.

Files are read, never imported: a finished cell is found again without torch.
"""

import ast
import hashlib
import importlib.util
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import bench
from bench.core.errors import InputError

CANNOT_MATTER = {
    "bench": "the version, and the folders of plug-ins",
    "bench.core.code": "names products; takes no part in making them",
    "bench.core.errors": "kinds and messages of errors",
    "bench.core.progress": "progress bars and lines on the terminal",
    "bench.core.registry": "finds plug-ins, whose own files count",
    "bench.core.store": "where files lie, how they are locked and renamed",
    "bench.core.table": "how tables are printed",
    "bench.settings.base": "checks the values of settings, which are in the keys themselves",
    "bench.settings.plug_ins": "checks the values of settings, which are in the keys themselves",
    "bench.settings.specs": "names and defaults of settings, whose values are in the keys themselves",
    "bench.stages.keys": "names products; takes no part in making them",
    "bench.stages.prepare.estimate": "foretells the time and disk space that preparing takes",
    "bench.stages.prepare.words": "what preparing says of itself while it runs",
    "bench.stages.words": "titles, notes and names of devices",
}
"""Modules that no key looks at, each with the reason why no product can depend on it."""

_PROGRESS = "bench.core.progress"
_LISTED = {"PAPER", "COST", "PUBLISHED_IN", "HOMEPAGE", "LICENCE", "CITATION", "INSTRUCTIONS"}
"""Constants of plug-ins that are printed and nothing else."""


@dataclass(frozen=True)
class _Used:
    """A name that a module uses from another.

    Attributes:
        name: as the module calls it.
        module: where it comes from, such as "bench.data.views".
        attribute: what it is called there; "" for the module itself.
        handed_on: whether others may find it in this module (`import x as x`, `import *`).
    """

    name: str
    module: str
    attribute: str
    handed_on: bool = False


@dataclass(frozen=True)
class _Read:
    """A file as digests see it.

    Attributes:
        text: its syntax tree, without what cannot matter.
        used: the names that it uses from other modules, sorted.
    """

    text: str
    used: tuple[_Used, ...]


def code_digest(*modules: str, without: Collection[str] = ()) -> str:
    """Digest of what modules compute, with everything of this package that they use.

    Args:
        modules: dotted names; a package stands for all modules in its folder.
        without: modules that are left out, with what only they use, beside those of CANNOT_MATTER.

    Returns:
        16 hexadecimal digits.

    Raises:
        InputError: there is no source file for a module.
    """
    left_out = frozenset(without) | frozenset(CANNOT_MATTER)
    known: dict[str, str] = {}
    found = sorted(
        _digest(name, left_out, known, ())
        for module in modules
        for name in _members(module, left_out)
    )
    return hashlib.sha256("".join(found).encode()).hexdigest()[:16]


def modules_of(*modules: str, without: Collection[str] = ()) -> list[str]:
    """Every module whose code `code_digest` looks at, sorted by name.

    Args:
        modules: as for `code_digest`.
        without: as for `code_digest`.
    """
    left_out = frozenset(without) | frozenset(CANNOT_MATTER)
    known: dict[str, str] = {}
    for module in modules:
        for name in _members(module, left_out):
            _digest(name, left_out, known, ())
    return sorted(known)


def _members(module: str, left_out: Collection[str]) -> Iterator[str]:
    """The modules in a package's folder, or the module itself."""
    origin = _source(module)
    if origin.name != "__init__.py":
        yield module
        return
    for path in sorted(origin.parent.glob("*.py")):
        name = module if path.name == "__init__.py" else f"{module}.{path.stem}"
        if name not in left_out:
            yield name


def _digest(
    module: str, left_out: Collection[str], known: dict[str, str], above: tuple[str, ...]
) -> str:
    """Digest of a module and of what it uses.

    Args:
        module: dotted name.
        left_out: modules that do not count.
        known: digests that are known already; those found are added.
        above: the modules on the way here, so that a circle of imports ends.
    """
    if module in known:
        return known[module]
    path = _source(module)
    read = _read(module, path, path.stat().st_mtime_ns)
    parts = [read.text]
    for used in read.used:
        if used.module not in left_out and used.module not in (*above, module):
            parts.append(
                f"{used.name}={used.attribute}:{_digest(used.module, left_out, known, (*above, module))}"
            )
    known[module] = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    return known[module]


@cache
def _read(module: str, path: Path, _mtime_ns: int) -> _Read:
    """Reads a file once while it is unchanged: thousands of cells ask for the same few files."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    except (SyntaxError, ValueError) as error:
        raise InputError(f"{path}: {error}") from error
    imported = list(_imported(tree, module, path))
    plain = _Plain({used.name for used in imported if used.module == _PROGRESS}).visit(tree)
    names = {node.id for node in ast.walk(plain) if isinstance(node, ast.Name)}
    if path.name == "__init__.py" or "__all__" in names:
        names |= {used.name for used in imported}  # handed on, not used here
    kept = {used for used in imported if used.name in names or used.handed_on}
    return _Read(ast.dump(plain), tuple(sorted(kept, key=lambda used: (used.name, used.module))))


def _imported(tree: ast.Module, module: str, path: Path) -> Iterator[_Used]:
    """The names that a file imports from this package, or from the third party's that it is of."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    home = module.partition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] in ("bench", home) and _has_source(alias.name):
                    yield _Used(alias.asname or alias.name.partition(".")[0], alias.name, "")
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name(
                "." * node.level + (node.module or ""), package or None
            )
            if base.partition(".")[0] not in ("bench", home):
                continue
            for alias in node.names:
                name, inner = alias.asname or alias.name, f"{base}.{alias.name}"
                handed_on = alias.name in ("*", alias.asname)
                if _has_source(inner):
                    yield _Used(name, inner, "", handed_on)
                elif _has_source(base):
                    yield _Used(name, base, alias.name, handed_on)


class _Plain(ast.NodeTransformer):
    """Takes out of a syntax tree what no product can depend on."""

    def __init__(self, progress: set[str]) -> None:
        """Takes the names that the file imports from `bench.core.progress`."""
        self._progress = progress
        self._reports: set[str] = set()

    def visit_Module(self, node: ast.Module) -> ast.AST:
        """Leaves out the constants of plug-ins that are printed and nothing else."""
        node.body = [one for one in node.body if not _targets(one) & _LISTED]
        return self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        """Imports are followed, not read."""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Imports are followed, not read."""

    def visit_If(self, node: ast.If) -> ast.AST | None:
        """What only type checkers read computes nothing."""
        return None if ast.unparse(node.test) == "TYPE_CHECKING" else self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Notes which arguments report progress."""
        outside = set(self._reports)
        for argument in [*node.args.args, *node.args.kwonlyargs]:
            if argument.annotation is not None and ast.unparse(argument.annotation) in (
                "Report",
                "Progress",
            ):
                self._reports.add(argument.arg)
        plain = self.generic_visit(node)
        self._reports = outside
        return plain

    def visit_With(self, node: ast.With) -> ast.AST:
        """Notes what reports progress."""
        for item in node.items:
            if self._is_progress(item.context_expr) and isinstance(item.optional_vars, ast.Name):
                self._reports.add(item.optional_vars.id)
        return self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        """Leaves out docstrings, and what is done only to tell somebody."""
        if isinstance(node.value, ast.Constant) or self._is_progress(node.value):
            return None
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Leaves out the texts that a progress bar is given."""
        if self._is_progress(node):
            node.args, node.keywords = [], []
        return self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        """Keeps the kind of an error, not its message."""
        if isinstance(node.exc, ast.Call):
            node.exc = node.exc.func
        node.cause = None
        return self.generic_visit(node)

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        """Keeps what is claimed, not the message."""
        node.msg = None
        return self.generic_visit(node)

    def _is_progress(self, node: ast.AST) -> bool:
        return (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in self._progress | self._reports
        )


def _targets(node: ast.stmt) -> set[str]:
    """The names that a statement gives a value, where it does nothing else."""
    targets = (
        node.targets
        if isinstance(node, ast.Assign)
        else [node.target]
        if isinstance(node, ast.AnnAssign)
        else []
    )
    return {target.id for target in targets if isinstance(target, ast.Name)}


def _has_source(module: str) -> bool:
    return _path(module) is not None


def _source(module: str) -> Path:
    """The file of a module.

    Raises:
        InputError: there is none.
    """
    path = _path(module)
    if path is None:
        raise InputError(f"no source file for {module}")
    return path


def _path(module: str) -> Path | None:
    """The file of a module, found without importing it or its package, which may import torch."""
    top, *rest = module.split(".")
    if top == "bench":
        folders = [Path(folder) for folder in bench.__path__]
    else:
        spec = importlib.util.find_spec(top)
        if spec is None:
            return None
        folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
        if not folders:  # a single file
            return Path(spec.origin) if spec.origin and not rest else None
    for folder in folders:
        place = folder.joinpath(*rest)
        candidates = [place / "__init__.py"]
        candidates += [place.with_suffix(".py")] if rest else []
        for path in reversed(candidates):
            if path.is_file():
                return path
    return None
