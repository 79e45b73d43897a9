"""Specs of cells for the tests of settings."""

from bench.settings.resolve import Request
from bench.settings.resolve import resolve as resolve_request
from bench.settings.specs import RunSpec


def resolve(method="simclr", **given) -> RunSpec:
    """The spec of a cell on all labels; further arguments are those of `Request`."""
    return resolve_request(Request(method, given.pop("fraction", 1.0), **given))
