"""Errors that end a command with one line: what is wrong, where, and what would be right."""

import difflib
from collections.abc import Iterable


class InputError(Exception):
    """Something that the user gave cannot be used.

    The command prints the message as one line and exits with status 2.
    """


class UnplacedError(InputError):
    """The files of a data set are needed, and nobody has said in which folder they lie."""


class DivergedError(InputError):
    """The loss of a training is no longer finite.

    All processes that train together raise it at the same step.
    """


class LostProcessError(OSError):
    """One of the processes that train together is gone.

    The same command, given again, goes on from the last checkpoint.
    """


def unknown(what: str, name: str, known: Iterable[str]) -> InputError:
    """The error for an unknown name, with the most similar known name as a suggestion.

    Args:
        what: what was named, such as "method".
        name: the name that was given.
        known: the names that exist.

    Returns:
        The error, to be raised by the caller.
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(names) or 'none'}"
    return InputError(f"unknown {what} '{name}'; {hint}")
