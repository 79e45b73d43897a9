"""Versions of what numbers depend on: the libraries, this package and its commit; and the time."""

import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import bench

_LIBRARIES = (
    "torch", "torchaudio", "lightly", "numpy", "scipy", "soundfile", "soxr", "av", "pydantic", "symusic",
)  # fmt: skip
"""Libraries whose versions are recorded."""
COMPUTING = ("torch", "torchaudio", "lightly", "numpy", "scipy")
"""Libraries that training, embedding, probing and scoring compute with."""
DECODING = ("numpy", "soundfile", "soxr", "av", "symusic")
"""Libraries that make samples of audio files, or of scores."""


@cache
def library_versions() -> dict[str, str]:
    """The installed versions of the libraries that numbers depend on; none of them is imported."""
    versions = {}
    for name in _LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def differing(before: dict[str, str], now: dict[str, str], names: tuple[str, ...]) -> list[str]:
    """Libraries of another major or minor version, such as "torch 2.11.0 (here 2.14.1)".

    A library that one of the two lacks does not count: whether it takes part depends on the files.

    Args:
        before: versions under which something was made.
        now: versions that are installed.
        names: the libraries to look at.
    """
    return [
        f"{name} {before[name]} (here {now[name]})"
        for name in names
        if name in before and name in now and _series(before[name]) != _series(now[name])
    ]


def _series(version_: str) -> tuple[str, ...]:
    """Major and minor version."""
    return tuple(version_.split("+")[0].split(".")[:2])


def now() -> str:
    """The time in UTC, as results state it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def code_version() -> dict[str, Any]:
    """Version of the package, the commit of its checkout, and whether the checkout has changes."""
    root = Path(bench.__file__).resolve().parent.parent
    code: dict[str, Any] = {"version": bench.__version__, "commit": None, "changed": None}
    if (root / ".git").exists():
        code["commit"] = _git(root, "rev-parse", "HEAD")
        folders = ("bench", "methods", "datasets")
        code["changed"] = bool(_git(root, "status", "--porcelain", "--", *folders))
    return code


def _git(root: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
