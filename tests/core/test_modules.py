"""Source files are found as Python finds modules; installed libraries are not read."""

from pathlib import Path

import pytest

from bench.core.code import code_digest
from bench.core.errors import InputError
from tests.core.packages import TOOLS, Package, lines


def test_no_source_file_is_one_line(tmp_path: Path, digest: Package) -> None:
    with pytest.raises(InputError, match=r"no source file for bench\.nowhere"):
        code_digest("bench.nowhere")
    with pytest.raises(InputError, match=r"main\.py.*invalid syntax"):
        digest(main="def f(:\n")


def test_a_package_goes_before_a_module_of_its_name(tmp_path: Path, digest: Package) -> None:
    digest()
    package = tmp_path / "somebodys/tools"
    package.mkdir()
    (package / "__init__.py").write_text(TOOLS.replace("2", "3"))
    first = code_digest("somebodys.main")
    (package / "__init__.py").write_text(TOOLS.replace("2", "4"))
    assert code_digest("somebodys.main") != first


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
