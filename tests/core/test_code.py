"""Digests of code: what can change a number changes them, and words, imports and moves do not."""

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
    with pytest.raises(InputError, match=r"no source file for bench\.nowhere"):
        code_digest("bench.nowhere")
    with pytest.raises(InputError, match=r"main\.py.*invalid syntax"):
        digest(main="def f(:\n")


FROM_TOOLS = "from somebodys.tools import helper"
PROGRESS = "from bench.core.progress import progress, say\n"


def lines(*parts: str) -> str:
    return "\n".join(parts) + "\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # What a name of a library stands for.
        ("from torch.nn import GELU as Unit\nUNIT = Unit()",
         "from torch.nn import ReLU as Unit\nUNIT = Unit()"),
        ("import numpy as np\nX = np.ones(1)", "import torch as np\nX = np.ones(1)"),
        ("from numpy import *\nX = ones(1)", "from torch import *\nX = ones(1)"),
        # One name with several imports: which of them stands where.
        (lines("def f():", "    from somebodys.tools import helper", "    return helper(1)",
               "def g():", "    from somebodys.other import helper", "    return helper(1)"),
         lines("def f():", "    from somebodys.other import helper", "    return helper(1)",
               "def g():", "    from somebodys.tools import helper", "    return helper(1)")),
        (lines("try:", "    from somebodys.tools import helper", "except ImportError:",
               "    from somebodys.other import helper", "X = helper(1)"),
         lines("try:", "    from somebodys.other import helper", "except ImportError:",
               "    from somebodys.tools import helper", "X = helper(1)")),
        (lines("def helper(x):", "    return x", FROM_TOOLS, "X = helper(1)"),
         lines(FROM_TOOLS, "def helper(x):", "    return x", "X = helper(1)")),
        # Constants that are printed in plug-ins, and computed with here.
        ("COST = 2\n", "COST = 3\n"),
        ("COST = 'a'\nX = len(COST)", "COST = 'ab'\nX = len(COST)"),
        ("COST = FACTOR = 'a'", "COST = FACTOR = 'b'"),
        # What is run, whatever it is called.
        ("if TYPE_CHECKING:\n    import x\nelse:\n    X = 1",
         "if TYPE_CHECKING:\n    import x\nelse:\n    X = 2"),
        ("class Found(Exception): pass\nraise Found(1 + 1)",
         "class Found(Exception): pass\nraise Found(1 + 2)"),
        ("raise StopIteration('head')", "raise StopIteration('body')"),
        ("raise ValueError('a', 1)", "raise ValueError('a', 2)"),
        # What only looks like progress.
        ("class Progress: ...\ndef f(add: Progress):\n    add(1)",
         "class Progress: ...\ndef f(add: Progress):\n    add(2)"),
        (PROGRESS + "def f(say):\n    say(1)", PROGRESS + "def f(say):\n    say(2)"),
        (PROGRESS + "with progress('a', 'b') as r: ...\nr = print\nr(1)",
         PROGRESS + "with progress('a', 'b') as r: ...\nr = print\nr(2)"),
        (PROGRESS + "say(f'{model.train()}')", PROGRESS + "say(f'{model.eval()}')"),
        (PROGRESS + "say(str(n := 1))", PROGRESS + "say(str(n := 2))"),
    ],
)  # fmt: skip
def test_what_is_no_mere_word_counts(digest: Package, before: str, after: str) -> None:
    other = TOOLS.replace("2", "3")
    assert digest(main=before, other=other) != digest(main=after, other=other)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("PAPER, COST = 'a', 'b'", "PAPER, COST = 'a', 'c'"),
        (PROGRESS + "say(f'{len(x)} done')", PROGRESS + "say(f'of all {len(x)}, {y:.1f}')"),
        ("class OwnError(Exception): pass\nraise OwnError('a')",
         "class OwnError(Exception): pass\nraise OwnError(f'{x}')"),
        ("from bench.core.errors import unknown\nraise unknown(f'a {b}', c, d)",
         "from bench.core.errors import unknown\nraise unknown('a', c, d)"),
        ("import torch.nn as nn\nX = nn.GELU()", "from torch import nn\nX = nn.GELU()"),
        ("X = 1", "\ufeffX = 1"),
        ("X = 1", "# -*- coding: latin-1 -*-\nX = 1"),
        ("from bench.core.progress import Report\ndef f(report: Report):\n    report(1, 2, 'a')",
         "from bench.core.progress import Report\ndef f(report: Report):\n    report(1, 2, 'b')"),
        ("from bench.data.manifest import Progress\ndef f(p: Progress):\n    p(1, 2)",
         "from bench.data.manifest import Progress\ndef f(p: Progress):\n    p(1, 3)"),
    ],
)  # fmt: skip
def test_other_words_change_nothing(digest: Package, before: str, after: str) -> None:
    assert digest(main=before) == digest(main=after)


@pytest.mark.parametrize(
    ("main", "init"),
    [
        # Modules that are run and of which no name is read.
        ("import somebodys.tools\nX = 1", ""),
        ("from somebodys import tools\nX = 1", ""),
        ("import importlib\nX = importlib.import_module('somebodys.tools')", ""),
        ("import importlib\nX = importlib.import_module('.tools', __package__)", ""),
        ("import importlib\n\ndef f(x):\n    return importlib.import_module(x)", ""),
        ("import pkgutil\nX = [m.name for m in pkgutil.iter_modules(__path__)]", ""),
        # Modules that are reached through their package.
        ("import somebodys.other\nX = somebodys.tools.helper(1)", ""),
        ("import somebodys as s\nX = s.tools.helper(1)", ""),
        ("from somebodys import helper\nX = helper(1)", "from somebodys.tools import helper"),
        ("from somebodys import *\nX = helper(1)", "from .tools import *"),
        ("from somebodys import other\nX = other(1)", "from .tools import helper as other"),
        # A package that changes what its modules are.
        ("X = 1", "from somebodys import tools\ntools.FACTOR = 4\n"),
        ("from somebodys.other import second\nX = second(1)",
         "from .tools import helper\nhelper(1)\n"),
    ],
)  # fmt: skip
def test_modules_that_are_run_count(digest: Package, main: str, init: str) -> None:
    modules = {"main": main, "__init__": init, "other": "def second(x):\n    return x\n"}
    assert digest(**modules) != digest(**modules, tools=TOOLS.replace("2", "3"))


def test_a_name_that_is_handed_on_is_followed(digest: Package) -> None:
    """`between` does not read what it imports; in the second case it uses both modules besides."""
    other = "FACTOR = 2\n\n\ndef helper(x):\n    return -x\n\n\ndef plain(x):\n    return x\n"
    uses_both = lines(
        "from somebodys.tools import FACTOR as a",
        "from somebodys.other import FACTOR as b",
        "X = a + b",
    )
    by_name = "from somebodys.between import helper\nX = helper(1)\n"
    by_attribute = "from somebodys import between\nX = between.helper(1)\n"
    for main, rest in ((by_name, ""), (by_name, uses_both), (by_attribute, uses_both)):
        tools, aside = (
            digest(main=main, other=other, between=f"from somebodys.{name} import helper\n{rest}")
            for name in ("tools", "other")
        )
        assert tools != aside
    words = "from somebodys.between import COST\nX = len(COST)\n"
    assert digest(main=words, between="COST = 'a'\n") != digest(main=words, between="COST = 'b'\n")


def test_in_a_circle_of_imports_names_count_too(digest: Package) -> None:
    constants = "def one():\n    return 1\n\n\ndef two():\n    return 2\n"
    main = f"{FROM_TOOLS}\n\n\n{constants}\n\nX = helper(1)\n"
    tools = "from somebodys.main import one as n\n\n\ndef helper(x):\n    return n()\n"
    assert digest(main=main, tools=tools) != digest(main=main, tools=tools.replace("one", "two"))


def test_a_package_goes_before_a_module_of_its_name(tmp_path: Path, digest: Package) -> None:
    digest()
    package = tmp_path / "somebodys/tools"
    package.mkdir()
    (package / "__init__.py").write_text(TOOLS.replace("2", "3"))
    first = code_digest("somebodys.main")
    (package / "__init__.py").write_text(TOOLS.replace("2", "4"))
    assert code_digest("somebodys.main") != first


def test_files_that_the_code_reads_count(tmp_path: Path, digest: Package) -> None:
    main = lines(
        "from pathlib import Path",
        "TABLE = (Path(__file__).parent / 'tables' / 'a.txt').read_text()",
    )
    missing = digest(main=main)
    (tmp_path / "somebodys/tables").mkdir()
    (tmp_path / "somebodys/tables/a.txt").write_text("1")
    first = digest(main=main)
    (tmp_path / "somebodys/tables/a.txt").write_text("2 3")
    assert len({missing, first, digest(main=main)}) == 3


def test_code_beside_a_package_counts_and_installed_code_does_not(
    tmp_path: Path, digest: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = lines(
        "from loose_tools import helper",
        "from installed_tools import helper as other",
        "X = helper(other(1))",
    )
    installed = tmp_path / "site-packages"
    installed.mkdir()
    monkeypatch.syspath_prepend(str(installed))
    for folder, name in ((tmp_path, "loose_tools"), (installed, "installed_tools")):
        (folder / f"{name}.py").write_text(TOOLS)
    first = digest(main=main)
    (installed / "installed_tools.py").write_text(TOOLS.replace("2", "3"))
    assert digest(main=main) == first
    (tmp_path / "loose_tools.py").write_text(TOOLS.replace("2", "3"))
    assert digest(main=main) != first
