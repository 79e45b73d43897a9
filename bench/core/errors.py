"""The errors that a user may see: a sentence that says what is wrong, where, and what would be right."""

import difflib
from collections.abc import Iterable


class InputError(Exception):
    """Something the user gave cannot be used.

    Printed as one line; the command exits with status 2.
    """


class UnplacedError(InputError):
    """A data set lies somewhere, and nobody has said where."""


class DivergedError(InputError):
    """The loss of a training is not finite.

    All processes that train together raise it at the same step.
    """


class LostProcessError(OSError):
    """Of several processes that train together one is gone.

    The same command goes on from the last checkpoint.
    """


def unknown(what: str, name: str, known: Iterable[str]) -> InputError:
    """The error for a `name` that is none of the `known` ones, with the nearest of them as a suggestion."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(names) or 'none'}"
    return InputError(f"unknown {what} '{name}'; {hint}")
