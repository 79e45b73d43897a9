"""Time and size of `bench report`, and the speed of its pages in Chromium.

    python tests/benchmarks/bench_report.py [--cells 2000] [--folder DIR]

Writes made-up cells into a folder (a temporary one unless it is given; cells that are there are
kept), reports on them, and loads the largest page of each kind three times. Prints milliseconds
until the page is loaded and until the browser has painted it, then for a sort by a metric, for a
filter, and for showing every row, each until the next frame.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from bench.report.html.write import write_report  # noqa: E402
from tests import browser  # noqa: E402

LOADED = """
const done = arguments[0];
const look = () => {
  const load = performance.getEntriesByType('navigation')[0];
  const paint = performance.getEntriesByType('paint');
  if (!paint.length || !load.loadEventEnd) return setTimeout(look, 10);
  const elements = document.querySelectorAll('*').length;
  done([load.loadEventEnd, paint[paint.length - 1].startTime, elements]);
};
look();
"""
# Two frames: the second begins when the first, with the new layout, has been drawn.
TIMED = """
const done = arguments[arguments.length - 1], start = performance.now();
%s
requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - start)));
"""
ACTIONS = {
    "sort": "document.querySelector('table.sortable th[data-first] button').click();",
    "all rows": "document.querySelector('button.more').click();",
    "filter": "const q = document.querySelector('input[type=search]'); q.value = 'vic';"
    "q.dispatchEvent(new Event('input', {bubbles: true}));",
}


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", type=int, default=2000)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        if not (folder / "results").is_dir():
            script = str(ROOT / "tests/synthetic_results.py")
            command = [sys.executable, script, str(folder / "results"), str(options.cells)]
            subprocess.run(command, check=True, cwd=ROOT)
        start = time.monotonic()
        made = write_report(folder / "results", folder / "report")
        print(f"{made.runs} runs: {time.monotonic() - start:.1f} s, {made.size / 1e6:.1f} MB")
        if browser.missing():
            print(browser.missing())
        else:
            _pages(folder / "report")


def _pages(report: Path) -> None:
    """Prints a line for each page: its size, and how fast it is in the browser."""
    named = ["index.html", "runs.html", "comparisons.html"]
    paths = [report / name for name in named]
    paths += [
        max(report.glob(f"{kind}/*.html"), key=lambda path: path.stat().st_size) for kind in _KINDS
    ]
    with browser.started() as driver:
        for path in paths:
            runs = [_loaded(driver, path) for _ in range(3)]
            load, paint = (sorted(run[place] for run in runs)[1] for place in (0, 1))
            line = f"{path.parent.name}/{path.name}"[-48:]
            actions = "".join(
                f"  {name} {_timed(driver, action):.0f} ms" for name, action in _possible(driver)
            )
            print(
                f"{line:48} {path.stat().st_size / 1e3:6.0f} kB  {runs[0][2]:6.0f} elements", end=""
            )
            print(f"  loaded {load:.0f} ms  painted {paint:.0f} ms{actions}")


_KINDS = ("runs", "comparisons")


def _loaded(driver: Any, path: Path) -> list[float]:
    """Loads a page: milliseconds until it is loaded and painted, and its number of elements."""
    browser.load(driver, path.as_uri())
    figures: list[float] = driver.execute_async_script(LOADED)
    return figures


def _possible(driver: Any) -> list[tuple[str, str]]:
    """Names and scripts of the actions whose controls the loaded page has."""
    wanted = {
        "sort": "table.sortable th[data-first] button",
        "filter": "input[type=search]",
        "all rows": "button.more:not([hidden])",
    }
    return [
        (name, action)
        for name, action in ACTIONS.items()
        if driver.find_elements("css selector", wanted[name])
    ]


def _timed(driver: Any, action: str) -> float:
    """Milliseconds from an action to the next frame."""
    milliseconds: float = driver.execute_async_script(TIMED % action)
    return milliseconds


if __name__ == "__main__":
    main()
