"""Digests of code: whatever can change a number changes them, and words, imports and moves do not."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.core.code import CANNOT_MATTER, code_digest, modules_of
from bench.core.errors import InputError

Package = Callable[..., str]

PLAIN = "from somebodys.tools import helper\n\n\ndef f(x):\n    return helper(x) + 1\n"
TOOLS = "FACTOR = 2\n\n\ndef helper(x):\n    return FACTOR * x\n"


@pytest.fixture
def digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """Writes the modules of a third party's package, and gives the digest of the first."""
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = tmp_path / "somebodys"
    folder.mkdir()
    (folder / "__init__.py").write_text("")

    def write(root: str = "main", **modules: str) -> str:
        for path in folder.glob("*.py"):
            path.unlink()
        for name in [name for name in sys.modules if name.partition(".")[0] == "somebodys"]:
            del sys.modules[name]
        (folder / "__init__.py").write_text("")
        for name, text in {"main": PLAIN, "tools": TOOLS, **modules}.items():
            (folder / f"{name}.py").write_text(text)
        importlib.invalidate_caches()
        return code_digest(f"somebodys.{root}")

    return write


@pytest.mark.parametrize(
    "text",
    [
        '"""Words."""\n' + PLAIN,
        PLAIN.replace("    return", '    """More words."""\n    return'),
        PLAIN.replace("    return", "    # why\n    return"),
        "import os\nimport sys\n" + PLAIN,
        PLAIN.replace("from somebodys.tools import", "from somebodys.tools import FACTOR,"),
        PLAIN.replace("from somebodys", "from "),
        "from typing import TYPE_CHECKING\n" + PLAIN + "\nif TYPE_CHECKING:\n    import pandas\n",
        PLAIN + '\nPAPER = "another"\n',
    ],
    ids=["docstring", "inner", "comment", "imports", "unused", "relative", "types", "listed"],
)
def test_words_and_imports_change_nothing(digest: Package, text: str) -> None:
    assert digest(main=text) == digest()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('raise ValueError(f"{x} is wrong")', "raise ValueError('no')"),
        ("raise ValueError('a') from None", "raise ValueError('b')"),
        ("assert x, 'a message'", "assert x"),
        ("say('done')", "say(f'{x} done')"),
        ("with progress('a title', 'steps') as report:\n        report(1, 2, 'words')",
         "with progress('another', 'tracks') as report:\n        report(1, 2, 'other words')"),
    ],
)  # fmt: skip
def test_messages_and_progress_change_nothing(digest: Package, before: str, after: str) -> None:
    start = "from bench.core.progress import progress, say\n" + PLAIN + "\n\ndef g(x):\n    "
    assert digest(main=start + before + "\n") == digest(main=start + after + "\n")


def test_the_kind_of_an_error_counts(digest: Package) -> None:
    assert digest(main=PLAIN + "\nraise ValueError('a')\n") != digest(
        main=PLAIN + "\nraise TypeError('a')\n"
    )


def test_code_that_is_reached_counts_whatever_the_way(digest: Package) -> None:
    plain = digest()
    changed = TOOLS.replace("2", "3")
    assert digest(main=PLAIN.replace("+ 1", "+ 2")) != plain
    assert digest(tools=changed) != plain
    # Through a module in between, an import inside a function, and a module by its name.
    for text in (
        "from somebodys.between import helper\nVALUE = helper(1)\n",
        "def f(x):\n    from somebodys.tools import helper\n    return helper(x)\n",
        "from somebodys import tools\nVALUE = tools.helper(1)\n",
        "import somebodys.tools\nVALUE = somebodys.tools.helper(1)\n",
        "from .tools import helper\nVALUE = helper(1)\n",
    ):
        between = "from somebodys.tools import helper\n\n\ndef twice(x):\n    return helper(x)\n"
        between += "\nhelper = twice\n" if "between" in text else ""
        first = digest(main=text, between=between)
        assert digest(main=text, between=between, tools=changed) != first, text


def test_a_file_that_moves_keeps_the_digest(digest: Package) -> None:
    moved = PLAIN.replace("somebodys.tools", "somebodys.elsewhere")
    assert digest(main=moved, elsewhere=TOOLS) == digest()
    assert digest(root="renamed", renamed=PLAIN) == digest()


def test_a_name_that_comes_from_elsewhere_is_another(digest: Package) -> None:
    """Both modules are used in both; only what is called `helper` changes sides."""
    other = "def helper(x):\n    return x\n\n\ndef second(x):\n    return -x\n"
    tools = TOOLS + "\n\ndef second(x):\n    return -x\n"
    body = "\nVALUE = helper(second(1))\n"
    first = "from somebodys.tools import helper\nfrom somebodys.other import second" + body
    second = "from somebodys.other import helper\nfrom somebodys.tools import second" + body
    assert digest(main=first, tools=tools, other=other) != digest(
        main=second, tools=tools, other=other
    )


def test_a_circle_of_imports_has_a_digest(digest: Package) -> None:
    tools = "from somebodys import main\n" + TOOLS + "\nAGAIN = main\n"
    plain = digest(tools=tools)
    assert digest(tools=tools) == plain
    assert digest(tools=tools.replace("2", "3")) != plain


def test_a_package_is_all_modules_of_its_folder(tmp_path: Path, digest: Package) -> None:
    digest()
    plain = code_digest("somebodys")
    (tmp_path / "somebodys/more.py").write_text("MORE = 1\n")
    assert code_digest("somebodys") != plain


def test_what_cannot_matter_is_there_and_left_out() -> None:
    root = Path(__file__).resolve().parents[2]
    for module in CANNOT_MATTER:
        path = root.joinpath(*module.split("."))
        assert path.with_suffix(".py").is_file() or (path / "__init__.py").is_file(), module
    reached = modules_of(*(f"bench.stages.{stage}" for stage in ("pretrain", "probe", "score")))
    assert "bench.data.views" in reached
    assert not set(reached) & set(CANNOT_MATTER)


def test_an_encoder_built_on_another_changes_with_it() -> None:
    assert "bench.encoders.resnet" in modules_of("bench.encoders.resnet_small")


def test_no_source_file_is_one_line(tmp_path: Path, digest: Package) -> None:
    with pytest.raises(InputError, match="no source file for bench.nowhere"):
        code_digest("bench.nowhere")
    with pytest.raises(InputError, match=r"main\.py.*invalid syntax"):
        digest(main="def f(:\n")
