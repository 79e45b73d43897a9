"""Runs part of the tests with the lowest version of every dependency that pyproject.toml allows.

    python3.11 tests/lowest.py                                # torch is installed, too: several GB
    python3.11 tests/lowest.py --torch-of .venv/bin/python    # torch and torchaudio are borrowed

Lower bounds that nobody tries go stale: a call that is newer than its bound still works for whoever
installs the newest release. So this script makes a virtual environment, installs every requirement
of `[project] dependencies` at exactly its lower bound (and what the tests need at any version), and
runs in it the tests of TESTS and the commands of COMMANDS. It needs nothing but Python itself.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

TESTS = (
    "tests/data",
    "tests/methods",
    "tests/report/html",
    "tests/settings",
    "tests/stages/probe",
    "tests/statistics",
)
"""Folders of tests that, with the commands, call every dependency."""

EXTRA_TESTS = {
    "m4a": ("tests/weights/test_embed_files.py",),
    "onnx": ("tests/weights/test_onnx.py",),
    "mert": ("tests/encoders/test_mert.py",),
}
"""Further tests that call the dependencies of an optional extra."""

TEST_TOOLS = ("pytest", "pytest-xdist", "hypothesis", "scikit-learn")
"""What the tests need beyond the dependencies; the newest version that agrees with these."""

SMALL = (
    *("--train.steps", "4", "--train.batch_size", "8", "--train.diagnose_times", "2"),
    *("--encoder.width", "4", "--encoder.embedding", "16", "--encoder.seconds", "1.0"),
    *("--probe.steps", "20", "--score.resamples", "50"),
)
"""Settings that let a training on tones end in seconds."""

COMMANDS = (
    ("run", "--method", "random_init,vicreg", "--dataset", "tones/tracks.csv", *SMALL, "--track"),
    ("table",),
    ("table", "--format", "latex"),
    ("figures", "--all"),
    ("report",),
    ("track", "sync"),
    ("doctor",),
)
"""Commands of `bench` that are run one after another in a folder with a data set of tones."""

SHARED = re.compile(r"torch|torchaudio|torchvision|triton|nvidia-.*|cuda-.*")
"""Distributions that are borrowed with --torch-of: torch, what is built for it, its CUDA."""

# Runs in the environment that torch is borrowed from, so it may use nothing but Python.
LIST_DISTRIBUTIONS = """
import importlib.metadata, json
found = []
for each in importlib.metadata.distributions():
    tops = sorted({file.parts[0] for file in each.files or ()} - {"..", "__pycache__"})
    found.append([each.metadata["Name"], each.version, str(each.locate_file("")), tops])
print(json.dumps(found))
"""


def main() -> None:
    """Makes the environment, shows its versions, runs the tests and the commands in it."""
    options = parse_arguments()
    lowest = read_bounds(ROOT / "pyproject.toml", options.extras)
    if options.bounds:
        lines = options.bounds.read_text(encoding="utf-8").splitlines()
        lowest.update(parse_requirement(line) for line in lines if line.strip())
    python = options.environment / "bin" / "python"
    started = time.monotonic()
    print(
        f"== lowest versions of {len(lowest)} dependencies, into {options.environment}", flush=True
    )
    borrowed = make_environment(options.environment, options.torch_of)
    lowest.update({name: version for name, version in borrowed.items() if name in lowest})
    pins = [f"{name}=={version}" for name, version in lowest.items()]
    install(python, [*pins, *TEST_TOOLS])
    print("   " + ", ".join(pins))
    if borrowed:
        print(f"   borrowed, not the lowest: {', '.join(sorted(set(borrowed) & set(lowest)))}")
    print(f"== installed in {time.monotonic() - started:.0f} s", flush=True)
    if options.install_only:
        return
    started = time.monotonic()
    run_tests(python, [*TESTS, *(path for name in options.extras for path in EXTRA_TESTS[name])])
    run_commands(python)
    print(f"== tests and commands passed in {time.monotonic() - started:.0f} s")


def parse_arguments() -> argparse.Namespace:
    """The flags of the command line."""
    parser = argparse.ArgumentParser(
        description="Runs part of the tests with the lowest allowed version of every dependency. "
        "Run it with the lowest Python that pyproject.toml allows: the lowest versions have no "
        "wheels for much later ones."
    )
    parser.add_argument(
        "--environment",
        type=Path,
        default=ROOT / ".venv-lowest",
        help="folder of the virtual environment, which is made anew (default: .venv-lowest)",
    )
    parser.add_argument(
        "--torch-of",
        type=Path,
        metavar="PYTHON",
        help="borrow torch, torchaudio, torchvision and their CUDA libraries from the environment "
        "of this Python, in whatever version they are there, instead of installing several GB: "
        "the lower bounds of torch and torchaudio are then NOT tested",
    )
    parser.add_argument(
        "--extras",
        nargs="*",
        default=[],
        choices=list(EXTRA_TESTS),
        help="optional extras whose lower bounds are tested, too",
    )
    parser.add_argument(
        "--bounds",
        type=Path,
        metavar="FILE",
        help="requirements, one a line (pandas>=2.2.2), that take the place of pyproject.toml's, "
        "to try other bounds",
    )
    parser.add_argument(
        "--install-only", action="store_true", help="make the environment and run nothing in it"
    )
    options = parser.parse_args()
    options.environment = options.environment.resolve()
    return options


def read_bounds(path: Path, extras: list[str]) -> dict[str, str]:
    """Lower bounds of a project's dependencies and of some of its extras, by name."""
    project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    optional = project["optional-dependencies"]
    texts = [*project["dependencies"], *(text for name in extras for text in optional[name])]
    return dict(parse_requirement(text) for text in texts)


def parse_requirement(text: str) -> tuple[str, str]:
    """Name and lowest allowed version of a requirement such as "torch>=2.11,<2.15".

    Raises:
        SystemExit: if the requirement has no lower bound, so that there is no lowest version.
    """
    matched = re.match(r"\s*([\w.-]+)[^;#]*?[>=~]=\s*([\w.]+)", text)
    if matched is None:
        sys.exit(f"{text!r} has no lower bound: write it as name>=version")
    return matched[1], matched[2]


def make_environment(folder: Path, torch_of: Path | None) -> dict[str, str]:
    """Makes an empty virtual environment that sees the checkout.

    Args:
        folder: where to make it; an earlier one is removed.
        torch_of: Python whose torch is linked into the environment; None for none.

    Returns:
        Versions of the distributions that were linked, by name.
    """
    if folder.exists() and not (folder / "pyvenv.cfg").exists():
        sys.exit(f"{folder} is there and is no virtual environment: name another folder")
    venv.create(folder, clear=True, with_pip=True)
    (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    asked = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(run(folder / "bin" / "python", "-c", asked).strip())
    # A path file instead of an editable install, which would write into the checkout.
    (packages / "checkout.pth").write_text(f"{ROOT}\n", encoding="utf-8")
    versions = {}
    if torch_of is not None:
        for name, version, source, tops in json.loads(run(torch_of, "-c", LIST_DISTRIBUTIONS)):
            if SHARED.fullmatch(name.lower().replace("_", "-")):
                versions[name] = version
                # Several of NVIDIA's share the folder `nvidia`, which is linked once.
                for top in tops:
                    if not (packages / top).exists():
                        (packages / top).symlink_to(Path(source, top))
        if "torch" not in versions:
            sys.exit(f"--torch-of {torch_of}: no torch is installed there")
    return versions


def install(python: Path, requirements: list[str]) -> None:
    """Installs requirements together, of which none may be a release that was withdrawn.

    Raises:
        SystemExit: if they cannot be installed together, or one of them was yanked.
    """
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*pip, *requirements], capture_output=True, text=True, check=False)
    said = f"{done.stdout}{done.stderr}"
    if done.returncode:
        sys.exit(f"the lowest versions cannot be installed together:\n{said}")
    if "yanked" in said:
        sys.exit(f"a lowest version was yanked by its authors: raise its bound:\n{said}")


def run_tests(python: Path, paths: list[str]) -> None:
    """Runs tests in two processes; a path that is gone is an error, too."""
    command = ("-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", "-p", "no:cacheprovider")
    print("== tests", flush=True)
    run(python, *command, *paths, cwd=ROOT, shown=True)


def run_commands(python: Path) -> None:
    """Runs the commands of COMMANDS on made-up tones, in a folder of their own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make = (
            "from pathlib import Path; from tests.conftest import make_tones as m; m(Path('tones'))"
        )
        run(python, "-c", make, cwd=folder)
        for command in COMMANDS:
            started = time.monotonic()
            run(python, "-m", "bench", *command, cwd=folder)
            spent = time.monotonic() - started
            print(f"== bench {' '.join(command[:3])}: {spent:.1f} s", flush=True)


def run(*command: str | Path, cwd: Path | None = None, shown: bool = False) -> str:
    """Runs a command to its end, with one thread for OpenMP.

    Args:
        command: the program and its arguments.
        cwd: the folder to run it in; None for this process's.
        shown: whether its output goes to this process's instead of being returned.

    Returns:
        What it wrote to standard output; empty with `shown`.

    Raises:
        SystemExit: if it fails, with all that it wrote.
    """
    # Nothing that the caller has set for `bench` or MLflow may reach what is tested.
    foreign = ("BENCH_", "MLFLOW_", "PYTHONPATH")
    kept = {name: text for name, text in os.environ.items() if not name.startswith(foreign)}
    environment = {**kept, "OMP_NUM_THREADS": "1"}
    words = list(map(str, command))
    done = subprocess.run(
        words, cwd=cwd, env=environment, capture_output=not shown, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"failed: {' '.join(words)}\n{done.stdout or ''}{done.stderr or ''}")
    return done.stdout or ""


if __name__ == "__main__":
    main()
