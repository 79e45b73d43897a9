"""Time of `bench figures` and `bench table` on 2 000 made-up cells.

    python tests/benchmarks/bench_figures.py [CELLS]

Draws every kind in all three formats, then all papers in all modes, each in a process of its own,
as the commands do.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_COMMAND = """
import sys
from cyclopts import App
from bench import cli_figures
app = App()
app.command(cli_figures.figures)
app.command(cli_figures.table)
app(sys.argv[1:])
"""


def main() -> None:
    """Prints a line a command: seconds, files, bytes, memory."""
    cells = sys.argv[1] if len(sys.argv) > 1 else "2000"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = [
            sys.executable,
            str(ROOT / "tests" / "synthetic_results.py"),
            str(folder / "results"),
            cells,
        ]
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
                sys.executable,
                "-c",
                _COMMAND,
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
                f"{title}: {seconds:.1f} s, {len(files)} files, {size:.1f} MiB, peak {peak:.0f} MiB",
                flush=True,
            )


if __name__ == "__main__":
    main()
