"""The folder of a report: replaces nothing but an earlier report, and is written whole or not."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from bench.core.errors import InputError
from bench.core.progress import progress
from bench.core.store import explain

_MARK = ".pretext-bench-report"
"""A file that every report has; a folder that holds it may be replaced."""
_OWN = {
    _MARK,
    "assets",
    "runs",
    "comparisons",
    "index.html",
    "runs.html",
    "comparisons.html",
    "leaderboard.csv",
    "runs.csv",
    "comparisons.csv",
}
"""Files and folders that a report may hold."""


def require_place(results: Path, out: Path) -> None:
    """Checks the folders before anything is read.

    Args:
        results: the results folder.
        out: the folder of the report.

    Raises:
        InputError: there is no results folder, or the folder of the report holds anything but an
            earlier report.
    """
    if not results.is_dir():
        raise InputError(
            f"no results folder {results}: `bench run` makes one, --results names another"
        )
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out} is a file: name a folder for the report")
    target = out.resolve()
    if (
        target == Path.cwd()
        or target in Path.cwd().parents
        or target in (results.resolve(), *results.resolve().parents)
    ):
        raise InputError(
            f"--out {out} holds this command's own place or the results: name a folder of its own"
        )
    held = {entry.name for entry in out.iterdir()} if out.is_dir() else set()
    if held and _MARK not in held:
        raise InputError(
            f"--out {out} holds something that is no report ({min(held)}): name another folder"
        )
    foreign = sorted(held - _OWN)
    if foreign:
        raise InputError(
            f"--out {out} holds {foreign[0]}, which is no part of a report: "
            "take it out of there first"
        )


def write_folder(out: Path, files: Mapping[str, bytes]) -> None:
    """Writes the files of a report; an earlier report is replaced.

    They are written into a folder beside the target, which then takes the target's place.

    Args:
        out: the target.
        files: name in the folder -> content.

    Raises:
        InputError: the file system refuses.
    """
    target = out.resolve()  # a link to a folder stays a link
    made, old = (
        target.with_name(f".{target.name}.{os.getpid()}.{word}") for word in ("new", "old")
    )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(made, ignore_errors=True)
        with progress("write", "files") as report:
            for number, (name, content) in enumerate({**files, _MARK: b"1\n"}.items(), 1):
                path = made / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
                report(number, len(files) + 1)
        if target.exists():
            target.rename(old)
        made.rename(target)
    except OSError as error:
        raise explain(error) or error from error
    finally:
        if old.exists() and not target.exists():
            old.rename(target)
        shutil.rmtree(made, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
