"""The mirror into MLflow, and its only writer: made from stored results and the files of sweeps, after the fact.

What is to be shown (`bench.tracking.runs`) is compared with what the store holds, and the
difference is written (`bench.tracking.mirror.writer`): a second time there is none. These two files
are the only ones that import mlflow.
"""

import fcntl
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.core.errors import InputError
from bench.core.progress import say
from bench.results import Result
from bench.settings.specs import digest
from bench.tracking.runs import Experiment, of_result
from bench.tracking.writer import Known, Synced, Writer

_DEFAULT_STORE = "sqlite:///mlflow.db"
_SQLITE = "sqlite:///"
_EXPERIMENT = "pretext-bench"


def mirror(results: Sequence[Result], folder: Path, home: Path) -> str:
    """Mirrors results into the experiment of what stands in no sweep, as `Mirror.sync` does.

    Args:
        results: finished cells.
        folder: results folder, for the files.
        home: for the lock where the store is no file.

    Returns:
        The address of the store.

    Raises:
        InputError: the store does not answer.
    """
    cells = [of_result(folder, result) for result in results]
    Mirror(home).sync(lambda: [Experiment(default_experiment(), cells)])
    return address()


def default_experiment() -> str:
    """The experiment of results that stand in no sweep."""
    return os.environ.get("MLFLOW_EXPERIMENT_NAME") or _EXPERIMENT


def address() -> str:
    """The store: MLFLOW_TRACKING_URI, or `mlflow.db` in the current folder, which is where `mlflow ui` looks."""
    return os.environ.get("MLFLOW_TRACKING_URI") or _DEFAULT_STORE


class Mirror:
    """The store and what it is known to hold."""

    def __init__(self, home: Path) -> None:
        """Opens nothing yet.

        Args:
            home: for the lock where the store is no file.
        """
        self._home = home
        self._known: dict[str, Known] = {}

    def sync(self, gather: Callable[[], Sequence[Experiment]]) -> list[Synced]:
        """Has the store show what is to be shown; writes nothing where it does.

        One process at a time writes to a store. What is interrupted is completed the next time.

        Args:
            gather: says what is to be shown; called when no other process writes, so that what it
                says is the latest.

        Raises:
            InputError: the store does not answer or takes nothing.
        """
        with _alone(self._home):
            experiments = gather()
            known, self._known = self._known, {}  # what is interrupted is looked up again
            try:
                client, shown, done = _client(), set[str](), list[Synced]()
                for experiment in sorted(experiments, key=lambda one: one.rest):
                    writer = Writer(client, experiment, known)
                    done.append(writer.write(shown if experiment.rest else set()))
                    shown |= writer.keys
                self._known = known
                return done
            except InputError:
                raise
            except (
                Exception
            ) as error:  # mlflow's own, sqlalchemy's, requests': whatever the store is made of
                raise InputError(
                    f"MLflow at {address()}{_in_words(error)}; the same command goes on when it does, and "
                    "MLFLOW_TRACKING_URI names another store"
                ) from error


def _in_words(error: Exception) -> str:
    """What is wrong with a store: the first line, and of a server that is not there the reason alone."""
    text = str(error) or type(error).__name__
    refused = r"\[Errno -?\d+\] ([^)\"']+)|(Read timed out)"
    ended = (
        r"\w+Error\(\d+, '([^']+)'\)|RemoteDisconnected\('([^']+)'\)"  # while it was being asked
    )
    reasons = re.findall(f"{refused}|{ended}", text)
    if "Max retries exceeded" in text and reasons:
        return f" does not answer ({' '.join(reasons[-1]).strip().lower()})"
    return f": {text.splitlines()[0]}"


def _client() -> Any:
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    # A server that does not answer is said within half a minute, not after mlflow's seven tries of
    # two minutes each.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    os.environ.setdefault(
        "MLFLOW_LOGGING_LEVEL", "WARNING"
    )  # a new database is told of in dozens of lines
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # a line a run
    from mlflow.tracking import MlflowClient

    return MlflowClient(address())


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Held by the one process that writes to the store.

    Processes that create a database at once make each other fail (seen with mlflow 3.17), and two
    that look for the same run and find none would make it twice. The lock lies beside a database,
    else in home.
    """
    store = address()
    path = home / "mlflow" / f"{digest(store)}.lock"
    if store.startswith(_SQLITE):
        database = Path(store.removeprefix(_SQLITE).partition("?")[0])
        path = database.with_name(f"{database.name}.lock")
    try:
        if path.is_relative_to(home):
            path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "a")  # noqa: SIM115
    except OSError as error:
        raise InputError(
            f"MLflow at {store}: cannot write {path} ({(error.strerror or '').lower()})"
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting: another process writes to {store}")
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:
            pass  # a file system without locks
        yield
