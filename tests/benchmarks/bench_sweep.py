"""Planning and reading the state of sweeps of 10 000 cells, without computing any.

    python tests/benchmarks/bench_sweep.py [--cells 10000]

Prints seconds of: planning (nothing stored; then everything stored), status (nothing run; half done), and listing
the result files.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import plan as plans
from bench import results
from bench.store import Store
from bench.sweep.plan import make_plan, stored_names
from bench.sweep.read import read_sweep
from bench.sweep.status import read_status


def timed(what: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls a function and prints how long it took."""
    started = time.perf_counter()
    found = function(*arguments)
    print(f"{what:<50} {time.perf_counter() - started:6.2f} s", flush=True)
    return found


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
        made = timed("plan, data not prepared", make_plan, sweep, home, stored)
        print(f"    {len(made.cells)} cells in {len(made.jobs)} jobs")
        # As if the data were prepared: a plan asks for their hash alone.
        key = plans.Keys(made.cells[0].cell.spec, Store(home)).prepare
        (home / "prepared" / key).mkdir(parents=True)
        (home / "prepared" / key / "data.json").write_text('{"data_hash": "0"}')
        made = timed("plan, nothing stored", make_plan, sweep, home, stored)
        made.folder.path.mkdir(parents=True)
        (made.folder.path / "cells.json").write_text(json.dumps(made.record()))
        jobs = [job.name for job in made.jobs]
        place = made.folder.new_launch()
        record = {"cluster": "local", "created": 0.0, "jobs": jobs, "ids": {}, "name": "", "process": None}
        (place / "launch.json").write_text(json.dumps(record))
        for job in jobs:
            made.folder.write_job(job, {"needs": []})
        timed("status, nothing run", read_status, made.folder, stored)
        (stored / "runs").mkdir(parents=True)
        for one in made.cells[::2]:
            for ending in ("json", "npz"):
                (stored / "runs" / f"{one.stem}.{ending}").touch()
        timed("status, half done", read_status, made.folder, stored)
        for one in made.cells:
            for ending in ("json", "npz"):
                (stored / "runs" / f"{one.stem}.{ending}").touch()
        assert len(timed("names of all results", stored_names, stored)) == len(made.cells)
        made = timed("plan, everything stored", make_plan, sweep, home, stored)
        assert all(one.done for one in made.cells)
        timed("collecting result files that cannot be read", results.read_all, stored)


if __name__ == "__main__":
    main()
