"""What `bench doctor` looks at: versions, broken mixes, GPU, Slurm, disk, and how to mend them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = (
    "torch",
    "torchaudio",
    "torchvision",
    "lightly",
    "torchmetrics",
    "numpy",
    "pandas",
    "seaborn",
    "submitit",
    "mlflow",
    "soundfile",
    "soxr",
    "symusic",
    "pretty-midi",
    "cyclopts",
    "pydantic",
    "rich",
    "safetensors",
)
_MEND = 'pip install --upgrade "torch>=2.11,<2.15" "torchaudio>=2.11,<2.12" torchvision'
Version = Callable[[str], str | None]


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report.

    Attributes:
        what: what was looked at.
        state: "ok", "warn" or "bad"; "bad" means that `bench run` will not work.
        text: what was found.
        mend: the command or step that mends it; "" when nothing is wrong.
    """

    what: str
    state: str
    text: str
    mend: str = ""


def examine(home: Path, results: Path) -> list[Finding]:
    """Looks at everything, without importing torch into this process.

    Args:
        home: the home folder.
        results: folder of the results.
    """
    findings = [_python(), *packages(installed)]
    if not any(finding.state == "bad" for finding in findings):
        findings += [_imports(), _gpu()]
    return [*findings, _slurm(), _folder("home", home), _folder("results", results)]


def products(home: Path) -> list[Finding]:
    """Reads every file of every product in home, and names each product that is damaged.

    Args:
        home: the home folder.
    """
    from bench.core.progress import progress
    from bench.core.stamp import STAMP, damage_of

    folders = sorted(path.parent for path in home.glob(f"*/*/{STAMP}"))
    whole = [folder for folder in folders if not folder.suffix]  # not under way, nor set aside
    findings = []
    with progress("read", "products") as report:
        for number, folder in enumerate(whole):
            if wrong := damage_of(folder, in_full=True):
                name = f"{folder.parent.name}/{folder.name}"
                mend = "the command that needs it sets it aside and makes it again"
                findings.append(Finding("product", "warn", f"{name}: {wrong}", mend))
            report(number + 1, len(whole))
    sound = f"{len(whole) - len(findings)} of {len(whole)} in {home} are as they were made"
    return [*findings, Finding("products", "warn" if findings else "ok", sound)]


def installed(name: str) -> str | None:
    """The version of an installed distribution; None where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def packages(find: Version) -> list[Finding]:
    """The versions of packages, and mixes of versions that are known to break.

    Args:
        find: returns the version of a distribution, or None where it is not installed.
    """
    missing = [name for name in _PACKAGES if find(name) is None]
    versions = ", ".join(f"{name} {found}" for name in _PACKAGES if (found := find(name)))
    findings = [Finding("packages", "ok", versions)]
    if missing:
        text, mend = f"not installed: {', '.join(missing)}", f"pip install {' '.join(missing)}"
        findings.append(Finding("packages", "bad", text, mend))
    torch, audio, vision = (find(name) or "" for name in ("torch", "torchaudio", "torchvision"))
    if torch and _numbers(torch) >= (2, 15):
        text = (
            f"torch {torch} needs a newer CUDA than torchaudio {audio}: torchaudio fails to import"
        )
        findings.append(Finding("torch", "bad", text, _MEND))
    if torch and _numbers(torch) < (2, 11):
        text = f"torch {torch} is older than torchaudio {audio} was built for"
        findings.append(Finding("torch", "bad", text, _MEND))
    if "+cpu" in torch and any(found and "+cpu" not in found for found in (audio, vision)):
        mix = f"torch {torch} is a CPU build, torchaudio {audio} / torchvision {vision} are not"
        text = f"{mix}: 'operator torchvision::nms does not exist'"
        findings.append(Finding("torch", "bad", text, _MEND))
    if (find("symusic") or "0.5.9") != "0.5.9":
        text = (
            f"symusic {find('symusic')}: its synthesizer raises with numpy 2.4, "
            "midiband cannot be made"
        )
        findings.append(Finding("symusic", "warn", text, 'pip install "symusic==0.5.9"'))
    return findings


def _numbers(text: str) -> tuple[int, int]:
    """Major and minor number of a version."""
    major, minor = text.split("+")[0].split(".")[:2]
    return int(major), int(minor)


def _python() -> Finding:
    text = f"{sys.version.split()[0]} at {sys.executable}, {os.cpu_count()} cores"
    good = sys.version_info >= (3, 11)
    mend = "" if good else "install Python 3.11 or newer"
    return Finding("python", "ok" if good else "bad", text, mend)


def _imports() -> Finding:
    """Imports packages in a process of its own: a broken mix can crash rather than raise."""
    code = "import torch, torchaudio, lightly.loss, soundfile, soxr; print(torch.__version__)"
    done = _try([sys.executable, "-c", code], 120)
    if done is not None and done.returncode == 0:
        return Finding("imports", "ok", "torch, torchaudio, lightly, soundfile and soxr import")
    last = "no answer in two minutes"
    if done:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
    # Words of errors that come from packages built for different versions of torch or CUDA.
    mixed = any(
        word in last for word in ("nms", "libc10", "libcuda", "undefined symbol", "libtorch")
    )
    mend = _MEND if mixed else "pip install --force-reinstall pretext-bench"
    return Finding("imports", "bad", last, mend)


def _gpu() -> Finding:
    """The GPU that torch finds, or one that the driver finds and torch does not."""
    code = (
        "from torch import cuda; print(cuda.get_device_name(), cuda.is_bf16_supported()) "
        "if cuda.is_available() else 0"
    )
    done = _try([sys.executable, "-c", code], 120)
    name = done.stdout.strip() if done else ""
    if name:
        bfloat16 = "yes" if name.endswith("True") else "no"
        return Finding("gpu", "ok", f"{name.rpartition(' ')[0]}, bfloat16 {bfloat16}")
    listed = _try(["nvidia-smi", "-L"], 20) if shutil.which("nvidia-smi") else None
    if listed and listed.returncode == 0 and listed.stdout.strip():
        text = f"{listed.stdout.strip().splitlines()[0]}, but torch cannot use it"
        return Finding("gpu", "warn", text, _MEND)
    return Finding("gpu", "ok", "none: runs use the CPU")


def _slurm() -> Finding:
    if not shutil.which("sbatch"):
        return Finding("slurm", "ok", "none: runs are local")
    done = _try(["sinfo", "--noheader", "--format=%P %D nodes %a"], 20)
    if done is None or done.returncode:
        text = "sbatch is here, but sinfo does not answer"
        return Finding("slurm", "warn", text, "ask whether slurmctld runs: scontrol ping")
    return Finding("slurm", "ok", "; ".join(done.stdout.strip().splitlines()))


def _folder(what: str, path: Path) -> Finding:
    """Whether a folder, which need not exist yet, can be written, and how much space is free."""
    nearest = next(
        parent for parent in (path.resolve(), *path.resolve().parents) if parent.exists()
    )
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        mend = f"choose another folder with --{what} or BENCH_{what.upper()}"
        return Finding(what, "bad", f"{path} cannot be written", mend)
    free = shutil.disk_usage(nearest).free / 2**30
    text = f"{path.resolve()}, {free:.1f} GiB free"
    if free < 2:
        mend = f"free some space, or choose another disk with --{what} or BENCH_{what.upper()}"
        return Finding(what, "warn", text, mend)
    return Finding(what, "ok", text)


def _try(command: list[str], seconds: float) -> subprocess.CompletedProcess[str] | None:
    """Runs a command; None where there is no such command or it takes longer."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
