"""The command `bench track sync`: results and sweeps as runs of MLflow."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App

from bench.cli.flags import Flag, Home, Plugins, Results, begin
from bench.core.errors import InputError

if TYPE_CHECKING:
    from bench.tracking.cells import Experiment
    from bench.tracking.writer import Synced

_WATCH_SECONDS = 30.0
_SHOWN = 10  # the most files that are named as left out

track = App(name="track", help="Mirror results and sweeps into MLflow.")


@track.command
def sync(
    *files: str,
    watch: Flag = False,
    home: Home = Path(".bench"),
    results: Results = Path("results"),
    plugins: Plugins = None,
) -> None:
    """Have MLflow show what is stored and under way.

    A second time changes nothing; what was interrupted goes on. Goes to `mlflow.db` in the current
    folder, where `mlflow ui` looks, or to MLFLOW_TRACKING_URI. A sweep is an experiment of its
    name, a cell a run with its scores, settings and result file; above the cells of one pretraining
    stands a run with its curve. A cell that waits, runs or has failed is a run too, with the reason
    as tag `why`, and the same run is completed later. A result that is made anew gets a run of its
    own, and the earlier one the tag `superseded_by`. Jobs never write to MLflow; this does, also
    long after they have ended.

    Parameters
    ----------
    files
        Sweep files, or names of shipped ones; without any: every sweep that was launched from home,
        and every result that stands in none, as experiment pretext-bench (or
        MLFLOW_EXPERIMENT_NAME).
    watch
        Again every 30 s until nothing is under way.
    """
    from bench.core.progress import say
    from bench.sweep.gather import gather
    from bench.tracking.mirror import Mirror, address, default_experiment

    begin(plugins)
    told: set[str] = set()
    active: list[int] = []

    def look() -> "list[Experiment]":
        gathered = gather(home, results, files, default_experiment())
        _say_left_out([line for line in gathered.left_out if line not in told])
        told.update(gathered.left_out)
        if not gathered.experiments:
            raise InputError(
                f"nothing to mirror: no result in {results}/runs and no sweep in {home}/sweeps; "
                "--results and --home name other folders"
            )
        active.append(gathered.active)
        return gathered.experiments

    mirror = Mirror(home)
    _print(mirror.sync(look))
    store = address()
    where = store if store.startswith("http") else f"mlflow ui --backend-store-uri {store}"
    print(f"look: {where}", flush=True)
    while watch and active[-1]:
        time.sleep(_WATCH_SECONDS)
        try:
            done = mirror.sync(look)
        except InputError as error:  # such as a server that restarts: the next time may succeed
            say(f"bench: {error}; again in {_WATCH_SECONDS:g} s")
            continue
        _print([synced for synced in done if synced.new or synced.changed])


def _print(done: "list[Synced]") -> None:
    """Prints a line for each experiment."""
    for synced in done:
        states = ", ".join(f"{number} {state}" for state, number in synced.cells.most_common())
        print(
            f"{synced.name}: {synced.cells.total()} cells in MLflow ({states or 'nothing yet'}); "
            f"{synced.new} runs new, {synced.changed} changed"
        )
    sys.stdout.flush()


def _say_left_out(lines: list[str]) -> None:
    """Names the files that were left out, each with the reason."""
    from bench.core.progress import say

    for line in lines[:_SHOWN]:
        say(f"left out: {line}")
    if len(lines) > _SHOWN:
        say(f"left out: {len(lines) - _SHOWN} files more")
