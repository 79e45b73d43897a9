"""Time of `bench figures` and `bench table` on 2 000 made-up cells.

    python tests/benchmarks/bench_figures.py [--cells 2000]

Draws every kind of figure in all three formats, then the figures of all papers in all modes, then
prints the table; each is a call of the command, in a process of its own.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Prints a line for each command: seconds, files, bytes, memory."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", type=int, default=2000)
    cells = parser.parse_args().cells
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        script = str(ROOT / "tests" / "synthetic_results.py")
        made = [sys.executable, script, str(folder / "results"), str(cells)]
        subprocess.run(made, cwd=ROOT, check=True, env={"PYTHONPATH": str(ROOT)})
        papers = "icassp2024,clmr,tune,vicreg-thesis"
        for title, arguments in (
            ("bench figures", ["figures", "--out", str(folder / "kinds")]),
            (
                f"bench figures --paper {papers}",
                ["figures", "--paper", papers, "--out", str(folder / "papers")],
            ),
            (
                "bench table --format markdown",
                ["table", "--format", "markdown", "--out", str(folder / "table.md")],
            ),
        ):
            started = time.monotonic()
            command = [
                *(sys.executable, "-m", "bench"),
                *arguments,
                "--results",
                str(folder / "results"),
            ]
            subprocess.run(command, cwd=folder, check=True, capture_output=True)
            seconds = time.monotonic() - started
            target = folder / Path(arguments[-1]).name
            files = list(target.iterdir()) if target.is_dir() else [target]
            size = sum(path.stat().st_size for path in files) / 2**20
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**10
            print(
                f"{title}: {seconds:.1f} s, {len(files)} files, {size:.1f} MiB, "
                f"peak {peak:.0f} MiB",
                flush=True,
            )


if __name__ == "__main__":
    main()
