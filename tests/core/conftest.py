"""A third-party package on the path of imports."""

import importlib
import sys
from pathlib import Path

import pytest

from bench.core.code import code_digest
from tests.core.packages import PLAIN, TOOLS, Package


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
