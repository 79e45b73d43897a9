"""A short `bench run` for the tests of the command line."""

from tests.conftest import TINY

RUN = ["run", "--method", "simclr", "--steps", "3", *TINY]
