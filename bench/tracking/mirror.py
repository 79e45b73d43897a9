"""The mirror into MLflow, made from stored results and the files of sweeps, after the fact.

The runs to be shown (`bench.tracking.runs`) are compared with those that MLflow's store holds, and
the difference is written (`bench.tracking.writer`); a second synchronisation writes nothing. Jobs
never write to MLflow. This file and the writer are the only ones that import mlflow.
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
from bench.tracking.cells import Experiment, of_result
from bench.tracking.known import Known
from bench.tracking.writer import Synced, Writer

_DEFAULT_STORE = "sqlite:///mlflow.db"
_SQLITE = "sqlite:///"
_EXPERIMENT = "pretext-bench"


def mirror(results: Sequence[Result], folder: Path, home: Path) -> str:
    """Mirrors results into the experiment of results that belong to no sweep.

    Args:
        results: results of finished cells.
        folder: folder of the results, for their files.
        home: the home folder; holds the lock where the store is not a file.

    Returns:
        The address of the store.

    Raises:
        InputError: the store does not answer.
    """
    cells = [of_result(folder, result) for result in results]
    Mirror(home).sync(lambda: [Experiment(default_experiment(), cells)])
    return address()


def default_experiment() -> str:
    """Name of the experiment of results that belong to no sweep."""
    return os.environ.get("MLFLOW_EXPERIMENT_NAME") or _EXPERIMENT


def address() -> str:
    """Address of the store: MLFLOW_TRACKING_URI, or `mlflow.db` in the current folder.

    `mlflow ui` looks into that file by itself.
    """
    return os.environ.get("MLFLOW_TRACKING_URI") or _DEFAULT_STORE


class Mirror:
    """A store of MLflow, and what it is known to hold."""

    def __init__(self, home: Path) -> None:
        """Opens nothing yet.

        Args:
            home: the home folder; holds the lock where the store is not a file.
        """
        self._home = home
        self._known: dict[str, Known] = {}

    def sync(self, gather: Callable[[], Sequence[Experiment]]) -> list[Synced]:
        """Makes the store show some experiments; writes only what differs.

        One process at a time writes to a store. What is interrupted is completed the next time.

        Args:
            gather: returns the experiments; it is called when no other process writes, so that what
                it returns is the latest.

        Returns:
            What was found and written, one entry for each experiment.

        Raises:
            InputError: the store does not answer or takes nothing.
        """
        with _alone(self._home):
            experiments = gather()
            # Forgotten until the end: after an interruption everything is looked up again.
            known, self._known = self._known, {}
            try:
                client, shown, done = _client(), set[str](), list[Synced]()
                for experiment in sorted(experiments, key=lambda experiment: experiment.rest):
                    writer = Writer(client, experiment, known)
                    done.append(writer.write(shown if experiment.rest else set()))
                    shown |= writer.keys
                self._known = known
                return done
            except InputError:
                raise
            except Exception as error:  # of mlflow, sqlalchemy or requests, as the store is made
                raise InputError(
                    f"MLflow at {address()}{_in_words(error)}; the same command goes on when it "
                    "does, and MLFLOW_TRACKING_URI names another store"
                ) from error


def _in_words(error: Exception) -> str:
    """What is wrong with a store: the first line, or the reason why a server does not answer."""
    text = str(error) or type(error).__name__
    refused = r"\[Errno -?\d+\] ([^)\"']+)|(Read timed out)"
    # A server that ended while it was being asked.
    ended = r"\w+Error\(\d+, '([^']+)'\)|RemoteDisconnected\('([^']+)'\)"
    reasons = re.findall(f"{refused}|{ended}", text)
    if "Max retries exceeded" in text and reasons:
        return f" does not answer ({' '.join(reasons[-1]).strip().lower()})"
    return f": {text.splitlines()[0]}"


def _client() -> Any:
    """A client of the store, without telemetry and with little output."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    # A server that does not answer is reported within half a minute; mlflow's defaults are seven
    # tries of two minutes each.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    # Otherwise mlflow prints dozens of lines for a new database, and one line for every run.
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    from mlflow.tracking import MlflowClient

    return MlflowClient(address())


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Holds a lock so that one process at a time writes to the store.

    Processes that create a database at the same time make each other fail (seen with mlflow 3.17),
    and two that look for the same run and find none would make it twice. The lock lies beside a
    database, else in home.
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
