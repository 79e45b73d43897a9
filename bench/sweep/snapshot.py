"""The code of a sweep, frozen when it is launched: jobs run a copy, and check that they do.

So the source may be edited while jobs wait.
"""

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
    """Copies the code that this process runs, with the user's plug-ins.

    Beside the code, `origin.json` holds the commit, the versions of Python and of all packages, and
    `changes.diff` what was not committed.

    Args:
        folder: folder of the copies of a sweep.

    Returns:
        The copy, named by the digest of its content; an equal one that is there already is used.
    """
    folder.mkdir(parents=True, exist_ok=True)
    work = folder / f".{os.getpid()}.part"
    shutil.rmtree(work, ignore_errors=True)
    package = Path(bench.__file__).resolve().parent
    # In a checkout methods/ and datasets/ lie beside the package, in an installation inside it.
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
            if not final.is_dir():  # else another launch was first with the same content
                raise
    shutil.rmtree(work, ignore_errors=True)
    return final


def _plugins() -> list[Path]:
    """The folders of the user's plug-ins."""
    return [Path(part) for part in os.environ.get("BENCH_PLUGINS", "").split(os.pathsep) if part]


def environment(snapshot: Path) -> dict[str, str]:
    """The environment variables with which Python finds a copy of the code first.

    Args:
        snapshot: the copy, as `take` returned it.
    """
    plugins = sorted((snapshot / "plugins").glob("*"), key=lambda path: int(path.name))
    others = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    return {
        "PYTHONPATH": os.pathsep.join([str(snapshot), *others]),
        # `python -m` would look into the current folder first, which may be a checkout.
        "PYTHONSAFEPATH": "1",
        "BENCH_PLUGINS": os.pathsep.join(map(str, plugins)),
        # The command `bench` sets these two for itself and gives the reasons (see
        # `bench.cli.main`); they only count when they are set before libraries are loaded.
        "GOMP_SPINCOUNT": "1000",
        "THP_MEM_ALLOC_ENABLE": "1",
    }


def check(snapshot: Path) -> Tree:
    """Makes sure that this process runs a copy of the code, and that nobody has changed the copy.

    Args:
        snapshot: the copy, as `take` returned it.

    Returns:
        The content of its `origin.json`.

    Raises:
        InputError: the process runs other code.
    """
    running = Path(bench.__file__).resolve().parent.parent
    if running != snapshot.resolve():
        raise InputError(
            f"this job was to run the code in {snapshot}, and runs that in {running}: "
            "look at site.setup"
        )
    if digest_of(snapshot) != snapshot.name:
        raise InputError(
            f"the frozen code in {snapshot} was changed after the launch: launch again"
        )
    return dict(read_json(snapshot / _ORIGIN))


def digest_of(folder: Path) -> str:
    """Digest of the names and contents of all files in a copy of the code."""
    whole = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and "__pycache__" not in path.parts and name not in (_ORIGIN, _CHANGES):
            whole.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()[:16]


def _origin(root: Path, changes: str) -> Tree:
    """Where the code comes from: the checkout's state, and the versions of Python and packages.

    Args:
        root: root of the checkout.
        changes: the difference to its last commit.
    """
    commit = _git(root, "rev-parse", "HEAD")
    others = _git(root, "ls-files", "--others", "--exclude-standard", "--", *_FOLDERS) or ""
    packages = [(package.name, package.version) for package in distributions() if package.name]
    return {
        "root": str(root),
        "commit": commit.strip() if commit else None,
        "changes": hashlib.sha256(changes.encode()).hexdigest()[:16] if changes else None,
        "untracked": others.split("\n")[:-1],
        "python": sys.version.split()[0],
        "packages": dict(sorted(packages)),
    }


def _git(root: Path, *arguments: str) -> str | None:
    """What a git command prints; None where there is no checkout or git fails."""
    if not (root / ".git").exists():
        return None
    try:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=20, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
