"""The command `bench report`: all stored results as pages of HTML."""

from pathlib import Path

from bench.cli.flags import Results
from bench.core.errors import InputError


def report(
    *,
    out: Path = Path("report"),
    results: Results = Path("results"),
    permutations: int = 10_000,
) -> None:
    """Write a report of all stored results: a folder of pages that opens without a network.

    Leaderboard with filters, a page a run (spec, curves, tags, the command that makes it again),
    paired comparisons, CSV and JSON for further use. What could not be read is named in it. The
    same results give the same bytes.

    Parameters
    ----------
    out
        Folder to write; missing, empty, or an earlier report, which is replaced.
    permutations
        The most permutations of each test; fewer where there are very many pairs, which the report
        then says.
    """
    from bench.core.progress import say
    from bench.report.html.write import write_report

    if permutations < 1:
        raise InputError(f"--permutations {permutations}: give 1 or more")
    made = write_report(results, out, permutations)
    for line in made.left_out:
        say(f"left out: {line}")
    left_out = f", {len(made.left_out)} files left out (named in it)" if made.left_out else ""
    print(f"{made.index}: {made.runs} runs, {made.size / 1e6:.1f} MB{left_out}")
