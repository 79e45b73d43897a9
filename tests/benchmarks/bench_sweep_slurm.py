"""Time of a sweep of 500 trivial cells on a real Slurm of 64 pretend nodes on this machine.

    python tests/benchmarks/bench_sweep_slurm.py
        [--cells 500] [--fractions 1] [--nodes 64] [--slots 4] [--poll 5]

Needs root and Slurm. Prints the seconds from the command to the end of the launch and to the last
result, how many jobs it took, and how often Slurm was asked: squeue and sacct stand behind scripts
that write down each call. `bench status` is called every few seconds meanwhile.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.conftest import make_tones
from tests.slurm.conftest import slurm
from tests.sweeping import Runner, write_sweep


def counted(folder: Path) -> tuple[Path, Path]:
    """A folder of tools that write down when they are called, and the file in which they do."""
    log, tools = folder / "asked.txt", folder / "bin"
    tools.mkdir()
    log.touch()
    for tool in ("squeue", "sacct", "scontrol", "sbatch"):
        path = tools / tool
        path.write_text(
            f"#!/bin/sh\necho {tool} $(date +%s.%N) >> {log}\n"
            f'exec {shutil.which(tool) or "false"} "$@"\n'
        )
        path.chmod(0o755)
    return tools, log


def most_in(seconds: float, times: list[float]) -> int:
    """The largest number of events in any span of that length."""
    counts = (sum(start <= time < start + seconds for time in times) for start in times)
    return max(counts, default=0)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=500)
    parser.add_argument("--fractions", type=int, default=1, help="cells that share a pretraining")
    parser.add_argument("--nodes", type=int, default=64)
    parser.add_argument("--slots", type=int, default=4, help="jobs that run at the same time")
    parser.add_argument(
        "--poll", type=float, default=5.0, help="seconds between calls of `bench status`"
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, slurm(nodes=given.nodes, cpus=1, mem=4096):
        folder = Path(name)
        runner = Runner(folder / "place")
        tools, log = counted(folder)
        runner.environment["PATH"] = f"{tools}{os.pathsep}{os.environ['PATH']}"
        tones = make_tones(folder / "tones")
        seeds = list(range(given.cells // given.fractions))
        shares = [round(1 - 0.1 * number, 1) for number in range(given.fractions)]
        axes = f'methods = ["random_init"]\nfractions = {shares}\nseeds = {seeds}'
        file = write_sweep(
            folder / "many.toml", tones, axes, f"[site]\njobs_at_once = {given.slots}\n"
        )
        started = time.monotonic()
        runner("sweep", file, "--cluster", "slurm")
        launched = time.monotonic() - started
        while True:
            counts = json.loads(runner("status", file, "--json"))["counts"]
            print(f"{time.monotonic() - started:6.1f} s: {counts}", flush=True)
            if not {"queued", "running"} & set(counts):
                break
            time.sleep(given.poll)
        seconds = time.monotonic() - started
        calls = [line.split() for line in log.read_text().splitlines()]
        asked = [float(at) for tool, at in calls if tool in ("squeue", "sacct")]
        records = runner.home.glob("sweeps/*/launches/*/launch.json")
        jobs = sum(len(json.loads(path.read_text())["jobs"]) for path in records)
        print(
            f"{counts.get('done', 0)} of {len(seeds) * len(shares)} cells done, "
            f"{jobs} jobs on {given.nodes} nodes"
        )
        print(f"launch {launched:.1f} s, all {seconds:.1f} s (to reach: 240 s)")
        print(
            f"calls: {dict(Counter(tool for tool, _ in calls))}; "
            f"most queries in any 30 s: {most_in(30.0, asked)}"
        )


if __name__ == "__main__":
    main()
