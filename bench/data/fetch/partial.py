"""The beginning of a file that is being downloaded, `NAME.part`, and what is known of it.

`NAME.part.json` beside it says of which version of the file on the server it is the beginning, so
that a later attempt may ask for the rest alone.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.core.store import read_json, write_json
from bench.data.fetch.disk import writing
from bench.data.manifest import File


def state_of(part: Path, file: File) -> dict[str, Any]:
    """Of which version of a file `part` is the beginning.

    Returns:
        "url"; "validator", what names the version on its server ("" where nothing has arrived that
        could be taken up); and "bytes", the whole file's size (None where it is not known).
    """
    nothing = {"url": file.url, "validator": "", "bytes": None}
    try:
        state: dict[str, Any] = read_json(_state_path(part))
    except (OSError, ValueError):
        return nothing
    known = isinstance(state, dict) and state.keys() == nothing.keys()
    return state if known and state["url"] == file.url else nothing


def start(part: Path, state: Mapping[str, Any]) -> None:
    """Begins a file anew, with the state of the version that is to come (see `state_of`)."""
    # In this order: the beginning of one version never lies beside the state of another.
    with writing(part):
        part.unlink(missing_ok=True)
        write_json(_state_path(part), dict(state))


def forget(part: Path) -> None:
    """Removes what has arrived of a file, and what is known of it."""
    part.unlink(missing_ok=True)
    _state_path(part).unlink(missing_ok=True)


def _state_path(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")
