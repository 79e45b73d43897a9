"""The house: who imports whom, plug-ins by name, and what a new file brings."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from bench.core import registry

ROOT = Path(__file__).resolve().parents[2]
ALLOWED = {"methods": ("bench.method", "bench.heads"), "datasets": ("bench.data.manifest",)}


def imported(path: Path) -> set[str]:
    """Every module of the harness that a file imports, with `from bench import x` as `bench.x`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            packages = ("bench", "bench.data")
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inside if node.module in packages else {str(node.module)}
    return {module for module in found if module.split(".")[0] in ("bench", "methods", "datasets")}


@pytest.mark.parametrize("kind", ["methods", "datasets"])
def test_plug_ins_import_only_their_contract(kind):
    files = list((ROOT / kind).rglob("*.py"))
    assert files
    for path in files:
        assert imported(path) <= set(ALLOWED[kind]), path


def test_nothing_in_the_core_names_a_plug_in():
    for path in (ROOT / "bench").rglob("*.py"):
        assert not {
            module
            for module in imported(path)
            if module.startswith(("bench.methods", "bench.datasets", "methods", "datasets"))
        }


def test_plug_in_folders_are_no_packages():
    assert not (ROOT / "methods/__init__.py").exists()
    assert not (ROOT / "datasets/__init__.py").exists()


@pytest.mark.parametrize("kind", registry.KINDS)
def test_everything_is_described(kind):
    assert registry.names(kind)
    for name in registry.names(kind):
        about = {key.lower(): value for key, value in registry.describe(kind, name).items()}
        assert all(about[key] for key in ("summary", "paper", "cost")), (kind, name)


def test_importing_bench_leaves_other_packages_called_datasets_alone(tmp_path):
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets/__init__.py").write_text("name = 'somebody else'")
    code = "import bench.datasets.midiband, datasets; print(datasets.name)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "somebody else"
