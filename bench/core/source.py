"""A Python file as digests of code see it: what can change a number, and what it takes from where.

Left out are comments, docstrings, annotations for type checkers alone (`if TYPE_CHECKING:`), the
form and order of imports, the words of errors, what is only told to somebody (progress), and the
constants of plug-ins that are printed and nothing else. Where it is not certain that something is
one of these, it counts: a product that is made once too often is cheaper than a stale one.
"""

import ast
import importlib.util
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from bench.core.bindings import DEFINITIONS, Bindings, Import, called, dotted_name, imports_of

_PRINTED = {"PAPER", "COST", "PUBLISHED_IN", "HOMEPAGE", "LICENCE", "CITATION", "INSTRUCTIONS"}
"""Constants of plug-ins that are printed and nothing else."""
_PURE = {"len", "str", "repr", "round", "int", "float", "min", "max", "sum", "abs"}
"""Functions that change nothing, whose result does not matter where it is only shown."""
_ACTS = (ast.Call, ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom)
_OWN_PATH = {"__file__", "__path__"}
_RESOURCES = {"importlib", "importlib.resources", "importlib_resources", "pkgutil"}
"""What files that lie beside the code are found by."""
_BY_NAME = {"import_module", "__import__", "iter_modules", "walk_packages"}
"""Functions that import modules by names that may be computed."""


@dataclass
class Source:
    """What counts of a file.

    Attributes:
        text: its syntax tree as text.
        imports: the names that it binds by imports, in the order of the file.
        modules: modules that it imports as a whole, such as `import a.b`.
        dotted: the names that it reads, each with those that begin with it, such as
            "tools" -> ["tools.helper", "tools.other"].
        bound: the names that it gives a value, by imports or otherwise.
        varying: the imported names that it binds in more than one way, so that their order counts.
        printed: constants that are left out, with their values, for files that read them.
        acts: whether importing the file does more than to define names.
        by_name: whether it imports modules by names that are computed.
        files: texts that may name files beside it, where it reads such files.
    """

    text: str = ""
    imports: list[Import] = field(default_factory=list)
    modules: set[str] = field(default_factory=set)
    dotted: dict[str, list[str]] = field(default_factory=dict)
    bound: set[str] = field(default_factory=set)
    varying: set[str] = field(default_factory=set)
    printed: dict[str, str] = field(default_factory=dict)
    acts: bool = False
    by_name: bool = False
    files: set[str] = field(default_factory=set)

    def reads_of(self, name: str) -> list[str]:
        """The dotted names that the file reads and that begin with a name, sorted."""
        return ["*"] if name == "*" else self.dotted.get(name, [])

    def defines(self, name: str, package: str) -> bool:
        """Whether a package's own file gives a name a value, other than the module of that name."""
        return name in self.bound and Import(name, package, name) not in self.imports


def parse(content: bytes, package: str, path: str = "") -> Source:
    """Reads a file.

    Args:
        content: of the file.
        package: dotted name of the package that it is in, for its relative imports.
        path: of the file, for messages.

    Raises:
        SyntaxError: it is no Python.
        ValueError: likewise.
    """
    tree = ast.parse(content, filename=path)
    source = Source()
    bindings = Bindings(list(ast.walk(tree)), package)
    source.bound, source.varying = set(bindings.all), bindings.varying
    plain = _Plain(bindings, source, package).visit(tree)
    source.text = _text(plain)
    for name in sorted(set(_dotted(plain))):
        source.dotted.setdefault(name.partition(".")[0], []).append(name)
    source.acts = not all(map(_only_defines, plain.body))
    if source.dotted.keys() & _OWN_PATH or {name.module for name in source.imports} & _RESOURCES:
        source.files = {
            part.value
            for part in ast.walk(plain)
            if isinstance(part, ast.Constant) and isinstance(part.value, str)
        }
    return source


class _Plain(ast.NodeTransformer):
    """Takes out of a syntax tree what no product can depend on, and notes what it imports."""

    def __init__(self, bindings: Bindings, source: Source, package: str) -> None:
        """Starts on a file, whose imports are added to `source`."""
        self._reports = bindings.reports
        self._read = bindings.read
        self._source = source
        self._package = package

    def visit_Module(self, node: ast.Module) -> ast.AST:
        """Leaves out the constants of plug-ins that are printed, unless the file reads them."""
        for statement in list(node.body):
            names = _words_only(statement)
            if names and names <= _PRINTED - self._read:
                value = _text(statement)
                self._source.printed |= dict.fromkeys(names, value)
                node.body.remove(statement)
        return self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> list[ast.stmt]:
        """Notes an import; where a name is bound in several ways, the place of each counts."""
        self._source.modules |= {alias.name for alias in node.names}
        return self._noted(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> list[ast.stmt]:
        """Notes an import; where a name is bound in several ways, the place of each counts."""
        return self._noted(node)

    def _noted(self, node: ast.Import | ast.ImportFrom) -> list[ast.stmt]:
        """Notes the names that an import binds; gives what stands in its place."""
        imports = list(imports_of(node, self._package))
        self._source.imports += imports
        names = [name.name for name in imports if name.name in self._source.varying]
        return [ast.Expr(ast.Name(name, ast.Store())) for name in names]

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        """Leaves out what only type checkers read."""
        if ast.unparse(node.test) not in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            return self.generic_visit(node)
        otherwise = ast.Module(node.orelse, [])
        self.generic_visit(otherwise)
        return otherwise.body

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        """Leaves out docstrings, and what is done only to tell somebody."""
        if isinstance(node.value, ast.Constant):
            return None
        if called(node.value) in self._reports:
            told = self._acting(node.value)
            return ast.Expr(ast.Tuple(told, ast.Load())) if told else None
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Leaves out what a progress bar is given, and notes imports of computed names."""
        if called(node) in self._reports:
            node.args, node.keywords = self._acting(node), []
            return node
        if called(node).rpartition(".")[2] in _BY_NAME:
            self._import_by_name(node)
        return self.generic_visit(node)

    def _acting(self, call: ast.expr) -> list[ast.expr]:
        """Of the arguments of a call, those parts that may do more than to have a value."""
        acting: list[ast.expr] = []
        waiting: list[ast.AST] = [*reversed(list(ast.iter_child_nodes(call)))]
        while waiting:
            part = waiting.pop()
            if isinstance(part, _ACTS) and called(part) not in _PURE:
                acting.append(self.visit(part))
            else:
                waiting += reversed(list(ast.iter_child_nodes(part)))
        return acting

    def _import_by_name(self, call: ast.Call) -> None:
        """Notes the module of `import_module("a.b")`, or that it is not known before it runs."""
        given = call.args[0] if call.args else None
        if not isinstance(given, ast.Constant) or not isinstance(given.value, str):
            self._source.by_name = True
            return
        try:
            name = importlib.util.resolve_name(given.value, self._package or None)
        except ImportError:
            self._source.by_name = True
        else:
            self._source.modules.add(name)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        """Keeps the kind of an error and the values that it carries, not its words."""
        name = called(node.exc).rpartition(".")[2]
        if isinstance(node.exc, ast.Call) and (name.endswith("Error") or name == "unknown"):
            node.exc.args = [_Wordless().visit(argument) for argument in node.exc.args]
        node.cause = None
        return self.generic_visit(node)

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        """Keeps what is claimed, not the message."""
        node.msg = None
        return self.generic_visit(node)


class _Wordless(ast.NodeTransformer):
    """Empties the texts in an expression."""

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        """A text with values in it."""
        return ast.Constant("")

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        """A plain text, or any other constant, which stays."""
        return ast.Constant("") if isinstance(node.value, str) else node


def _words_only(node: ast.stmt) -> set[str]:
    """The names that a statement gives texts, where it does nothing else."""
    if isinstance(node, ast.Assign):
        targets: Iterable[ast.expr] = node.targets
    elif isinstance(node, ast.AnnAssign):
        targets = [node.target]
    else:
        return set()
    parts = list(ast.walk(node.value)) if node.value is not None else []
    texts = [part for part in parts if isinstance(part, ast.Constant)]
    plain = all(isinstance(part, ast.Constant | ast.Tuple | ast.Load) for part in parts)
    named = [part for target in targets for part in ast.walk(target)]
    if not plain or not all(isinstance(text.value, str) for text in texts):
        return set()
    if not all(isinstance(part, ast.Name | ast.Tuple | ast.Store) for part in named):
        return set()
    return {part.id for part in named if isinstance(part, ast.Name)}


def _only_defines(node: ast.stmt) -> bool:
    """Whether a statement at the top of a file does nothing but to define names of the file."""
    if isinstance(node, ast.Assign):
        return all(isinstance(target, ast.Name | ast.Tuple) for target in node.targets)
    if isinstance(node, ast.AnnAssign):
        return isinstance(node.target, ast.Name)
    return isinstance(node, DEFINITIONS)


def _dotted(node: ast.AST) -> Iterator[str]:
    """Every name that is read, with the attributes that follow it directly, such as "a.b.c"."""
    if name := dotted_name(node):
        yield name
        return
    for part in ast.iter_child_nodes(node):
        yield from _dotted(part)


def _text(node: Any) -> str:
    """A syntax tree as text, the same in each version of Python that reads it as the same tree."""
    if isinstance(node, list):
        return f"[{','.join(map(_text, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = [
        f"{name}={_text(value)}"
        for name, value in ast.iter_fields(node)
        if value not in (None, []) and name not in ("kind", "type_comment")
    ]
    return f"{type(node).__name__}({','.join(fields)})"
