"""The code of a sweep, frozen when it is launched: jobs run a copy, and check that it is the copy that they run."""

import hashlib
import os
import shutil
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import bench
from bench.core.errors import InputError
from bench.core.store import read_json, write_atomically, write_json
from bench.sweep.state import Tree

_FOLDERS = ("bench", "methods", "datasets")
_ORIGIN, _CHANGES = "origin.json", "changes.diff"
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")


def take(folder: Path) -> Path:
    """Copies the code that this process runs, with plug-ins of the user's, and records where it came from.

    `origin.json` holds commit, Python and packages; `changes.diff`, what was not committed.

    Args:
        folder: of the snapshots of a sweep.

    Returns:
        The copy, named by the digest of its content.
    """
    folder.mkdir(parents=True, exist_ok=True)
    work = folder / f".{os.getpid()}.part"
    shutil.rmtree(work, ignore_errors=True)
    package = Path(bench.__file__).resolve().parent
    for name in _FOLDERS:
        source = package.parent / name if name != "bench" else package
        if source.is_dir() and (name == "bench" or not (package / name).is_dir()):
            shutil.copytree(source, work / name, ignore=_LEFT_OUT)
    for place, plugins in enumerate(_plugins()):
        shutil.copytree(plugins, work / "plugins" / str(place), ignore=_LEFT_OUT)
    digest = digest_of(work)
    final = folder / digest
    if not final.is_dir():
        changes = _git(package.parent, "diff", "HEAD", "--", *_FOLDERS) or ""
        write_atomically(work / _CHANGES, changes.encode())
        write_json(work / _ORIGIN, {"digest": digest, **_origin(package.parent, changes)})
        try:
            work.rename(final)
        except OSError:
            if not final.is_dir():  # else: another launch was first with the same content
                raise
    shutil.rmtree(work, ignore_errors=True)
    return final


def _plugins() -> list[Path]:
    return [Path(one) for one in os.environ.get("BENCH_PLUGINS", "").split(os.pathsep) if one]


def environment(snapshot: Path) -> dict[str, str]:
    """The variables with which Python finds the copy first."""
    plugins = sorted((snapshot / "plugins").glob("*"), key=lambda path: int(path.name))
    others = [one for one in os.environ.get("PYTHONPATH", "").split(os.pathsep) if one]
    found = {
        "PYTHONPATH": os.pathsep.join([str(snapshot), *others]),
        # `python -m` would look into the current folder first, which may be a checkout
        "PYTHONSAFEPATH": "1",
        "BENCH_PLUGINS": os.pathsep.join(map(str, plugins)),
    }
    # As the command `bench` sets them (see `bench.cli.main.main`); here nothing has been loaded
    # yet.
    return {**found, "GOMP_SPINCOUNT": "1000", "THP_MEM_ALLOC_ENABLE": "1"}


def check(snapshot: Path) -> Tree:
    """Makes sure that this process runs the copy, and that nobody has changed it.

    Returns where it came from.

    Raises:
        InputError: it runs other code.
    """
    running = Path(bench.__file__).resolve().parent.parent
    if running != snapshot.resolve():
        raise InputError(
            f"this job was to run the code in {snapshot}, and runs that in {running}: look at site.setup"
        )
    found = digest_of(snapshot)
    if found != snapshot.name:
        raise InputError(
            f"the frozen code in {snapshot} was changed after the launch: launch again"
        )
    return dict(read_json(snapshot / _ORIGIN))


def digest_of(folder: Path) -> str:
    """Digest of the names and the content of all files of the code."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and "__pycache__" not in path.parts and name not in (_ORIGIN, _CHANGES):
            found.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return found.hexdigest()[:16]


def _origin(root: Path, changes: str) -> Tree:
    """Commit, digest of what was changed since and files that git does not know, Python, versions of all packages."""
    commit = _git(root, "rev-parse", "HEAD")
    others = _git(root, "ls-files", "--others", "--exclude-standard", "--", *_FOLDERS) or ""
    return {
        "root": str(root),
        "commit": commit.strip() if commit else None,
        "changes": hashlib.sha256(changes.encode()).hexdigest()[:16] if changes else None,
        "untracked": others.split("\n")[:-1],
        "python": sys.version.split()[0],
        "packages": dict(sorted((one.name, one.version) for one in distributions() if one.name)),
    }


def _git(root: Path, *arguments: str) -> str | None:
    if not (root / ".git").exists():
        return None
    try:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=20, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
