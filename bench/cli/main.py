"""The command `bench`: its subcommands, and how errors end it.

Nothing heavy is imported before a subcommand runs.
"""

import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from cyclopts import App, CycloptsError

from bench import __version__
from bench.cli import (
    data,
    export,
    figures,
    listen,
    report,
    robustness,
    run,
    scores,
    sweep,
    track,
    weights,
)
from bench.cli.flags import (
    Flag,
    Home,
    Plugins,
    Results,
    overrides,
    split_overrides,
)
from bench.core.errors import InputError, LostProcessError
from bench.core.progress import interruptible
from bench.core.world import end_process

app = App(
    name="bench",
    version=__version__,
    suppress_keyboard_interrupt=False,
    help="""Compare self-supervised pretext tasks for music tagging under one protocol.

    First score, from nothing, on music that the project makes itself: `bench run --method vicreg
    --fraction 0.1`. What there is to compare: `bench list methods`. When something does not work:
    `bench doctor`.""",
)
app.command(run.run)
app.command(scores.compare)
app.command(scores.rescore)
app.command(robustness.robustness)
app.command(scores.subsets)
app.command(data.data)
app.command(weights.import_, name="import")
app.command(export.export)
app.command(export.embed)
app.command(listen.listen)
app.command(report.report)
app.command(figures.figures)
app.command(figures.table)
app.command(track.track)
for _command in (sweep.sweep, sweep.status, sweep.logs, sweep.cancel):
    app.command(_command)

_TAKE_SETTINGS = (["run"], ["rescore"], ["subsets"], ["data"], ["import"], ["listen"])
"""Subcommands that take dotted settings, such as `--train.steps 100`."""


@app.command(name="list")
def list_(
    kind: Literal["methods", "datasets", "encoders", "recipes"], *, plugins: Plugins = None
) -> None:
    """List what can be named: methods, datasets, encoders or recipes, one line each.

    Parameters
    ----------
    kind
        What to list.
    """
    from bench.core import registry
    from bench.core.table import Table, show

    if plugins is not None:
        registry.add_plugins(plugins)
    rows = []
    for name in registry.names(kind):
        about = {key.lower(): value for key, value in registry.describe(kind, name).items()}
        rows.append([name, *(str(about.get(key, "")) for key in ("summary", "paper", "cost"))])
    show(Table(["name", "what it is", "paper", "cost"], rows, words=4))


@app.command
def doctor(
    *, home: Home = Path(".bench"), results: Results = Path("results"), products: Flag = False
) -> None:
    """Look at versions, known broken mixes, GPU, Slurm, disk and folders.

    Say what mends what is wrong. Exit status 1 when something would keep `bench run` from working.

    Parameters
    ----------
    products
        Read every file of every product in home as well, and name those that are damaged.
    """
    from bench.cli import doctor as doctors

    findings = doctors.examine(home, results)
    findings += doctors.products(home) if products else []
    for finding in findings:
        print(f"{finding.state:<5} {finding.what}: {finding.text}")
        if finding.mend:
            print(f"      mend: {finding.mend}")
    sys.exit(1 if any(finding.state == "bad" for finding in findings) else 0)


def main(tokens: Sequence[str] | None = None) -> None:
    """Runs the command line; an error that the user can mend is one line and exit status 2.

    Args:
        tokens: words of the command line after `bench`; None for those of this process.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1":
        _main(tokens)
        return
    status: Any = 0
    try:
        _main(tokens)
    except SystemExit as ended:
        status = ended.code
    except BaseException:
        traceback.print_exc()
        status = 1
    end_process(status or 0)


def _main(tokens: Sequence[str] | None) -> None:
    """Runs the command line in this process, and turns errors into lines and exit statuses."""
    _set_up_threads()
    try:
        rest, dotted = split_overrides(sys.argv[1:] if tokens is None else tokens)
        if dotted and rest[:1] not in _TAKE_SETTINGS:
            raise InputError(
                f"dotted settings belong to `bench run`, not to `bench {' '.join(rest[:1])}`"
            )
        overrides.clear()
        overrides.update(dotted)
        with interruptible():
            app(rest, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        _fail(" ".join(str(error).split()))
    except InputError as error:
        _fail(str(error))
    except BrokenPipeError:
        # The reader of a pipe has closed it (`bench list methods | head`); flushing the rest at the
        # exit would raise again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except LostProcessError as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        from bench.core.store import explain

        explained = explain(error)
        if explained is None:
            raise
        _fail(str(explained))
    except KeyboardInterrupt:
        print("\nbench: interrupted; the same command goes on from what is stored", file=sys.stderr)
        sys.exit(130)


def _set_up_threads() -> None:
    """Sets environment variables that OpenMP and torch read when they are loaded."""
    # OpenMP's threads wait for each other by spinning, which beside other work starves the thread
    # that is waited for. A short spin costs up to a fifth alone and gains half or much more beside
    # another training, depending on the moment (tests/benchmarks/threads.py: 6.0 -> 4.9 and 1.5 ->
    # 2.1 steps/s on 2 cores).
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    # Large pages: training on waveforms spends half its time on page faults otherwise (sample_cnn:
    # 5.0 -> 3.6 s for 24 crops on one core).
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def _fail(text: str) -> None:
    """Ends the process with one line on standard error and status 2."""
    print(f"bench: {text}", file=sys.stderr)
    sys.exit(2)
