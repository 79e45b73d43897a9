"""The names in a Python file: which it binds and reads, and which of them only show progress."""

import ast
import importlib.util
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_PROGRESS = "bench.core.progress"
_REPORTS = {(_PROGRESS, "Report"), ("bench.data.manifest", "Progress")}
"""Types of functions that show progress, by the module that defines them."""
_REPORT_TYPE = "Progress = Callable[[int, int], None]"
"""How a module that must not import them defines one."""


@dataclass(frozen=True)
class Import:
    """A name that a file binds by an import.

    Attributes:
        name: as the file calls it; "*" for all names of a module.
        module: where it comes from, as a full dotted name.
        attribute: what it is called there; "" where the name stands for the module itself.
    """

    name: str
    module: str
    attribute: str = ""

    @property
    def target(self) -> str:
        """Full dotted name of what is imported, in whatever form it is."""
        return f"{self.module}.{self.attribute}" if self.attribute else self.module


class Bindings:
    """Which names a file binds, and which of them are certain to show progress.

    Attributes:
        all: how often each name is bound.
        varying: imported names that are bound in more than one way.
        reports: names that stand for a function of `bench.core.progress`, wherever they are bound.
        read: names that are read.
    """

    def __init__(self, nodes: list[ast.AST], package: str) -> None:
        """Looks through all parts of a file's syntax tree."""
        imports = [
            name
            for node in nodes
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in imports_of(node, package)
        ]
        times = Counter(name.name for name in imports)
        targets = Counter(name.name for name in set(imports))
        self.all = times + Counter(name for node in nodes for name in _names_bound(node))
        self.varying = {name for name in times if targets[name] > 1 or self.all[name] > times[name]}
        self.reports = self._reporting(nodes, imports)
        self.read = {
            name
            for node in nodes
            if (name := dotted_name(node) if isinstance(node, ast.Name) else "")
        }

    def _reporting(self, nodes: list[ast.AST], imports: list[Import]) -> set[str]:
        """The names that are bound as functions that show progress, and never as anything else."""
        types = {name.name for name in imports if (name.module, name.attribute) in _REPORTS}
        types |= {"Progress" for node in nodes if _is_report_type(node)}
        showing = Counter(name.name for name in imports if name.module == _PROGRESS)
        for node in nodes:
            if isinstance(node, ast.arg) and node.annotation is not None:
                showing[node.arg] += ast.unparse(node.annotation) in types
        certain = {name for name in showing if showing[name] == self.all[name]}
        for node in nodes:
            if isinstance(node, ast.withitem) and isinstance(node.optional_vars, ast.Name):
                showing[node.optional_vars.id] += called(node.context_expr) in certain
        return {name for name in showing if showing[name] == self.all[name]}


def _is_report_type(node: ast.AST) -> bool:
    """Whether a statement defines the type of functions that show progress."""
    return isinstance(node, ast.Assign) and ast.unparse(node) == _REPORT_TYPE


def _names_bound(node: ast.AST) -> Iterator[str]:
    """The names that a part of a syntax tree binds, but for imports."""
    if isinstance(node, ast.Name):
        if not isinstance(node.ctx, ast.Load):
            yield node.id
    elif isinstance(node, ast.arg):
        yield node.arg
    elif (
        isinstance(node, (*DEFINITIONS, ast.ExceptHandler, ast.MatchAs, ast.MatchStar))
        and node.name
    ):
        yield node.name


def imports_of(node: ast.Import | ast.ImportFrom, package: str) -> Iterator[Import]:
    """The names that an import statement binds."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            top = alias.name.partition(".")[0]
            yield Import(alias.asname or top, alias.name if alias.asname else top)
        return
    try:
        base = importlib.util.resolve_name("." * node.level + (node.module or ""), package or None)
    except ImportError:
        return  # from above the top: whoever runs it sees the same error
    for alias in node.names:
        yield Import(alias.asname or alias.name, base, alias.name)


def called(node: ast.AST | None) -> str:
    """The dotted name of the function that a call calls; "" for anything else."""
    return dotted_name(node.func) if isinstance(node, ast.Call) else ""


def dotted_name(node: ast.AST) -> str:
    """A name that is read, with the attributes behind it; "" for anything else."""
    attributes: list[str] = []
    while isinstance(node, ast.Attribute):
        attributes.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or not isinstance(node.ctx, ast.Load):
        return ""
    return ".".join([node.id, *reversed(attributes)])
