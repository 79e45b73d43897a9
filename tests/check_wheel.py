"""Builds the wheel, installs it in an empty environment, and loads everything that it holds.

    python tests/check_wheel.py

The environment gets the packages of the Python that runs this script through a path file, since
torch alone is several gigabytes; of pretext-bench it sees only the wheel's copy.
"""

import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Ends with a status other than 0 where anything is missing from the wheel."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build = (sys.executable, "-m", "build", "--wheel", "--outdir")
        run(*build, str(folder), str(ROOT), cwd=folder)
        (wheel,) = folder.glob("*.whl")
        venv.create(folder / "empty", with_pip=True)
        python = str(folder / "empty" / "bin" / "python")
        run(python, "-m", "pip", "install", "--quiet", "--no-deps", str(wheel), cwd=folder)
        # The packages come behind the wheel's own folder on the path. A path file's lines are not
        # searched for further path files, so the editable install of the checkout is not seen.
        code = "import sysconfig; print(sysconfig.get_path('purelib'))"
        packages = run(python, "-c", code, cwd=folder).strip()
        Path(packages, "packages.pth").write_text(sysconfig.get_path("purelib") + "\n")
        where = run(python, "-c", "import bench; print(bench.__file__)", cwd=folder)
        assert str(folder) in where, f"the checkout is imported, not the wheel: {where}"
        for kind, expected in (
            ("methods", "vicreg"),
            ("datasets", "midiband"),
            ("encoders", "resnet"),
            ("recipes", "quick"),
        ):
            listed = run(str(folder / "empty" / "bin" / "bench"), "list", kind, cwd=folder)
            assert expected in listed, (
                f"bench list {kind} of the wheel does not name {expected}:\n{listed}"
            )
        # Every plug-in is imported from the wheel; encoders of others only where their library is.
        code = (
            "import importlib.util as u; from bench.core import registry as r; "
            "extra = u.find_spec('transformers'); "
            "print([r.load(k, n).__file__ for k in r.KINDS[:3] for n in r.names(k) "
            "if extra or 'EXTERNAL' not in r.describe(k, n)])"
        )
        loaded = run(python, "-c", code, cwd=folder)
        assert str(ROOT) not in loaded, loaded
        code = "from bench.report import reference as r; print(r.folder(), len(r.read_published()))"
        published = run(python, "-c", code, cwd=folder).split()
        assert str(folder) in published[0], published
        assert int(published[1]) > 400, published
        print(
            f"{wheel.name}: methods, datasets, encoders and recipes "
            "listed and loaded from the wheel"
        )


def run(*command: str, cwd: Path) -> str:
    """Runs a command in a folder and returns its output; ends this process where it fails."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
