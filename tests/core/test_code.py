"""Digests of code: whatever is reached by imports changes them, and moving a file does not."""

from pathlib import Path

import pytest

from bench.core.code import CANNOT_MATTER, code_digest, modules_of
from tests.core.packages import FROM_TOOLS, PLAIN, TOOLS, Package, lines


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
