"""The benchmark of coverage as a module, for the tests that use its simulations."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def coverage() -> ModuleType:
    """The benchmark's own simulations."""
    path = Path(__file__).resolve().parents[1] / "benchmarks" / "bench_coverage.py"
    spec = importlib.util.spec_from_file_location("coverage", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["coverage"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
