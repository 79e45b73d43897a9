"""Texts of a small third-party package, whose digests the tests compare."""

from collections.abc import Callable

Package = Callable[..., str]
"""Writes the modules of the package, by keyword, and gives the digest of the first."""

PLAIN = "from somebodys.tools import helper\n\n\ndef f(x):\n    return helper(x) + 1\n"
TOOLS = "FACTOR = 2\n\n\ndef helper(x):\n    return FACTOR * x\n"
FROM_TOOLS = "from somebodys.tools import helper"
PROGRESS = "from bench.core.progress import progress, say\n"


def lines(*parts: str) -> str:
    return "\n".join(parts) + "\n"
