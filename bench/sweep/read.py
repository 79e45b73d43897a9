"""Reading sweep files: their includes, and errors that name the line where a setting stands."""

import re
import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from bench.core.errors import InputError, unknown
from bench.settings.specs import digest
from bench.sweep.spec import AXES, SweepSpec

Tree = dict[str, Any]
SHIPPED = Path(__file__).resolve().parent.parent / "sweeps"
_LISTS = ("also", "exclude")  # lists that an includer adds to; all others it replaces


@dataclass(frozen=True)
class Sweep:
    """A sweep file as read.

    Attributes:
        path: the file.
        spec: what it says.
        texts: path -> text of every file that was read, the included ones first; errors look up
            lines in them.
    """

    path: Path
    spec: SweepSpec
    texts: dict[Path, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The file's name without the ending."""
        return self.path.stem

    @property
    def identity(self) -> str:
        """Digest of what is computed; where it runs and on how many machines does not count."""
        grid = self.spec.model_dump(
            mode="json", include={"axes", "also", "exclude", "settings", "scale"}
        )
        return digest(grid, 10)

    def error(self, text: str, *where: str | int) -> InputError:
        """An error that begins with the file, line and column of a setting.

        Args:
            text: what is wrong.
            where: sections, keys and indices that lead to the setting, from the outermost.
        """
        return InputError(f"{_place(self.texts, self.path, where)}: {text}")


def shipped() -> list[str]:
    """Names of the sweeps that come with the project."""
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def read_sweep(name: str) -> Sweep:
    """Reads a sweep file with everything that it includes.

    Args:
        name: path of a TOML file, or name of a shipped sweep (with or without `.toml`).

    Raises:
        InputError: no such file, unreadable TOML, an unknown key, a wrong value, or files that
            include each other in a circle.
    """
    path = Path(name)
    if not path.is_file() and len(path.parts) == 1:
        path = SHIPPED / f"{name.removesuffix('.toml')}.toml"
        if not path.is_file():
            if name.endswith(".toml"):
                raise InputError(
                    f"no such sweep file: {name}; shipped ones: {', '.join(shipped())}"
                )
            raise unknown("sweep", name, shipped())
    texts: dict[Path, str] = {}
    tree = _tree(path, texts, ())
    try:
        spec = SweepSpec.model_validate(tree)
    except ValidationError as error:
        raise _explained(error, texts, path) from error
    return Sweep(path, spec, texts)


def with_site(sweep: Sweep, path: Path) -> Sweep:
    """A sweep with the [site] and [resources] of another file laid over its own.

    Args:
        sweep: the sweep.
        path: a TOML file with these two sections alone.

    Raises:
        InputError: the file cannot be read, or holds anything else.
    """
    texts: dict[Path, str] = {}
    tree = _tree(path, texts, ())
    for section in tree:
        if section not in ("site", "resources"):
            place = _place(texts, path, (section,))
            raise InputError(
                f"{place}: a site file holds [site] and [resources] alone, not '{section}'"
            )
    below = sweep.spec.model_dump(mode="json", include={"site", "resources"}, exclude_unset=True)
    try:
        laid = SweepSpec.model_validate(_over(below, tree))
    except ValidationError as error:
        raise _explained(error, texts, path) from error
    return replace(
        sweep, spec=sweep.spec.model_copy(update={"site": laid.site, "resources": laid.resources})
    )


def _tree(path: Path, texts: dict[Path, str], above: tuple[Path, ...]) -> Tree:
    """The content of a file, laid over that of the files that it includes.

    Args:
        path: the file.
        texts: gains the text of every file that is read.
        above: the files that include it, the outermost first.
    """
    resolved = path.resolve()
    if resolved in above:
        circle = [*above[above.index(resolved) :], resolved]
        names = " -> ".join(member.name for member in circle)
        raise InputError(f"includes go in a circle: {names}")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        by = f", included by {above[-1]}" if above else ""
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"cannot read the sweep file {path} ({str(reason).lower()}){by}"
        ) from error
    content = _parsed(text, path)
    includes = content.pop("include", [])
    if not isinstance(includes, list) or not all(isinstance(name, str) for name in includes):
        where = _place({path: text}, path, ("include",))
        raise InputError(
            f"{where}: include = {includes!r}: "
            'give a list of files, such as include = ["site.toml"]'
        )
    tree: Tree = {}
    for name in includes:
        tree = _over(tree, _tree(path.parent / name, texts, (*above, resolved)))
    texts.pop(path, None)  # a file that is read twice counts where it was read last
    texts[path] = text
    return _over(tree, content)


def _parsed(text: str, path: Path) -> Tree:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not a readable TOML: {error}") from error
    except RecursionError as error:
        raise InputError(
            f"{path}: not a readable TOML: lists or tables stand too deep in each other"
        ) from error


def _over(tree: Tree, above: Tree, top: bool = True) -> Tree:
    """Lays one tree over another.

    Tables are joined key by key, `_LISTS` at the top are put one behind the other, and any other
    value replaces the one below.

    Args:
        tree: the tree below.
        above: the tree that is laid over it.
        top: whether the trees are whole files.
    """
    result = dict(tree)
    for name, value in above.items():
        below = result.get(name)
        if isinstance(below, dict) and isinstance(value, dict):
            result[name] = _over(below, value, top=False)
        elif top and name in _LISTS and isinstance(below, list) and isinstance(value, list):
            result[name] = below + value
        else:
            result[name] = value
    return result


def _explained(error: ValidationError, texts: dict[Path, str], path: Path) -> InputError:
    """The first complaint of pydantic with its place; for an unknown key, with the nearest one.

    Args:
        error: the error.
        texts: texts of the files that were read.
        path: the sweep file.
    """
    first = error.errors()[0]
    where = [
        part for part in first["loc"] if isinstance(part, int) or not part.startswith("function-")
    ]
    place, name = _place(texts, path, where), ".".join(map(str, where))
    if first["type"] == "extra_forbidden":
        known = ["include"] if len(where) == 1 else []
        section = ".".join(str(part) for part in where[:-1])
        kind = f"key in [{section}]" if len(where) > 1 else "section"
        return InputError(
            f"{place}: {unknown(kind, str(where[-1]), [*known, *_known(where[:-1])])}"
        )
    if first["type"] == "too_short":
        return InputError(f"{place}: {name} is empty: give at least one value, or leave it out")
    if first["type"] == "value_error":
        return InputError(f"{place}: {name}: {first['msg'].removeprefix('Value error, ')}")
    message = first["msg"]
    return InputError(f"{place}: {name} = {first['input']!r}: {message[0].lower()}{message[1:]}")


def _known(where: list[str | int]) -> list[str]:
    """The keys that a section may have.

    Args:
        where: names and indices that lead to the section; none for the whole file.
    """
    if where and where[0] == "exclude":
        return list(AXES)
    if where and where[0] == "also":
        where = ["axes"]
    model: type[BaseModel] = SweepSpec
    for part in where:
        known = str(part) in model.model_fields
        inner = model.model_fields[str(part)].annotation if known else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        model = inner
    return sorted(model.model_fields)


_HEADER = re.compile(r"\s*(\[\[?)\s*([\w.\"' -]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"(\s*)([\w.\"'-]+)\s*=\s*")


def _place(
    texts: dict[Path, str], path: Path, where: tuple[str | int, ...] | list[str | int]
) -> str:
    """The file, line and column where a setting stands.

    Where the setting itself is not found, the line of the section around it; where that is not
    found either, the file alone. Which element of a list is wrong is not looked for: the column is
    that of the whole value.

    Args:
        texts: texts of the files that were read.
        path: the sweep file.
        where: sections, keys and indices that lead to the setting, from the outermost.
    """
    for given in range(len(where), 0, -1):
        for file, text in reversed(texts.items()):
            place = _find(text, tuple(where[:given]))
            if place:
                return f"{file}, line {place[0]}, column {place[1]}"
    return str(path)


def _find(text: str, where: tuple[str | int, ...]) -> tuple[int, int] | None:
    """Line and column, from 1, of a section or a key in a TOML text; None where there is none."""
    seen: dict[str, int] = {}  # how often a [[section]] has come, from 0
    section: tuple[str | int, ...] = ()
    for number, line in enumerate(text.splitlines(), start=1):
        header = _HEADER.match(line)
        if header:
            names = tuple(part.strip(" \"'") for part in header[2].split("."))
            section = names
            if header[1] == "[[":
                place = seen[header[2]] = seen.get(header[2], -1) + 1
                section = (*names, place)
            if section == where:
                return number, 1
            continue
        key = _KEY.match(line)
        if key:
            names = (*section, *(part.strip("\"'") for part in key[2].split(".")))
            if names == where[: len(names)]:
                return number, key.end() + 1
    return None
