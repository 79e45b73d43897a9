"""What an experiment of MLflow is known to hold, so that it is looked up only once."""

from dataclasses import dataclass


@dataclass
class StoredRun:
    """A run as the store has it, kept up to date as it is written.

    Attributes:
        id: the run's id in MLflow.
        status: the run's status in MLflow.
        started: when it began, in milliseconds since 1970.
        tags: all its tags.
        bare: whether it has no settings yet: a process was killed before it wrote them.
    """

    id: str
    status: str
    started: int
    tags: dict[str, str]
    bare: bool


@dataclass
class Known:
    """What an experiment holds.

    Attributes:
        id: the experiment's id in MLflow.
        writer: name of the last synchronisation that wrote to it.
        runs: its runs, by their kind and by what is asked for, the oldest first.
    """

    id: str
    writer: str
    runs: dict[tuple[str, str], list[StoredRun]]
