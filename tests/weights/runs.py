"""The stored runs of the tests of exports."""

from pathlib import Path

from bench import results
from bench.weights import export


def run_of(place: Path, method: str) -> results.Result:
    return export.find_run(method, place / "results")
