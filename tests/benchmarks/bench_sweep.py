"""Seconds to plan a sweep of 10 000 cells, read its state, and collect as many results.

    python tests/benchmarks/bench_sweep.py [--cells 10000]

No cell is computed. Timed are planning with the estimate (nothing stored; then everything stored),
status (nothing run; half done; all done), listing the result files, and reading them. What is read
are copies of the committed results of `results/quick`, each under several seeds of the probe (550
MB for 10 000 cells, in a temporary folder that is removed at the end).
"""

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bench
from bench import results
from bench.core.store import Store
from bench.report.stock import read_stock
from bench.report.tables import score_tables
from bench.settings.specs import RunSpec, digest
from bench.stages import keys as plans
from bench.sweep.cost.estimate import estimate
from bench.sweep.plan import Plan, make_plan, stored_names
from bench.sweep.read import Sweep, read_sweep
from bench.sweep.status import read_status


def timed(what: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls a function and prints how long it took."""
    started = time.perf_counter()
    value = function(*arguments)
    print(f"{what:<50} {time.perf_counter() - started:6.2f} s", flush=True)
    return value


def planned(sweep: Sweep, home: Path, stored: Path) -> Plan:
    """The plan of a sweep, made with its estimate as `bench sweep --dry-run` does."""
    made = make_plan(sweep, home, stored)
    estimate(made, home, stored)
    return made


def copies(stored: Path, cells: int) -> None:
    """Writes whole results: copies of the committed ones, each under several seeds of the probe."""
    committed = Path(bench.__file__).resolve().parent.parent / "results/quick/runs"
    contents = [(path, json.loads(path.read_bytes())) for path in sorted(committed.glob("*.json"))]
    (stored / "runs").mkdir(parents=True)
    for number in range(cells):
        path, content = contents[number % len(contents)]
        content["cell"] = digest([number])
        content["spec"]["probe_seed"] = number // len(contents)
        stem = results.file_stem(RunSpec.model_validate(content["spec"]), content["cell"])
        (stored / "runs" / f"{stem}.json").write_text(json.dumps(content, indent=1))
        shutil.copyfile(path.with_suffix(".npz"), stored / "runs" / f"{stem}.npz")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=10_000)
    cells = parser.parse_args().cells
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file, home, stored = folder / "big.toml", folder / ".bench", folder / "results"
        seeds = list(range(-(-cells // (4 * 2 * 50))))
        file.write_text(
            f'[axes]\nmethods = ["random_init", "vicreg", "simclr", "byol"]\nseeds = {seeds}\n'
            f"fractions = [0.01, 0.02, 0.05, 0.1, 0.2]\ndraws = 10\nprobes = ['linear', 'mlp']\n"
        )
        sweep = read_sweep(str(file))
        made = timed("plan and estimate, data not prepared", planned, sweep, home, stored)
        print(f"    {len(made.cells)} cells in {len(made.jobs)} jobs")
        # As if the data were prepared: a plan asks for their hash alone.
        key = plans.Keys(made.cells[0].cell.spec, Store(home)).prepare
        (home / "prepared" / key).mkdir(parents=True)
        (home / "prepared" / key / "data.json").write_text('{"data_hash": "0"}')
        made = timed("plan and estimate, nothing stored", planned, sweep, home, stored)
        made.folder.path.mkdir(parents=True)
        (made.folder.path / "cells.json").write_text(json.dumps(made.record()))
        jobs = [job.name for job in made.jobs]
        place = made.folder.new_launch()
        record = {
            "cluster": "local",
            "created": 0.0,
            "jobs": jobs,
            "ids": {},
            "name": "",
            "process": None,
        }
        (place / "launch.json").write_text(json.dumps(record))
        for job in jobs:
            made.folder.write_job(job, {"needs": []})
        timed("status, nothing run", read_status, made.folder, stored)
        (stored / "runs").mkdir(parents=True)
        for cell in made.cells[::2]:
            for ending in ("json", "npz"):
                (stored / "runs" / f"{cell.stem}.{ending}").touch()
        timed("status, half done", read_status, made.folder, stored)
        for cell in made.cells:
            for ending in ("json", "npz"):
                (stored / "runs" / f"{cell.stem}.{ending}").touch()
        assert len(timed("names of all results", stored_names, stored)) == len(made.cells)
        state = timed("status, all done", read_status, made.folder, stored)
        assert state.counts["done"] == len(made.cells)
        made = timed("plan and estimate, everything stored", planned, sweep, home, stored)
        assert all(cell.done for cell in made.cells)
        timed("collecting result files that cannot be read", results.read_all, stored)
        copies(folder / "copies", len(made.cells))
        whole, left_out = timed(
            "collecting whole result files", results.read_all, folder / "copies"
        )
        assert (len(whole), left_out) == (len(made.cells), [])
        del whole
        stock = timed(
            "the same with resampled values, as bench table", read_stock, folder / "copies"
        )
        timed("    and the tables of them", score_tables, stock)


if __name__ == "__main__":
    main()
