"""The README: every `bench` command in it works as it stands, every target and link exists."""

import re
import shlex
from pathlib import Path

import pytest

import bench
from bench.core import registry
from tests.conftest import TINY

ROOT = Path(bench.__file__).resolve().parent.parent
NEED_RESULTS = {
    *("compare", "rescore", "robustness", "export", "embed", "figures", "table", "report"),
}  # fmt: skip
"""Commands that need stored results."""


def commands() -> list[str]:
    """Lines of the README's bash blocks that call bench, in one piece and without comments."""
    blocks = re.findall(
        r"```bash\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL
    )
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [
        " ".join(line.split("#")[0].split()) for line in lines if "bench " in line.split("#")[0]
    ]


@pytest.mark.parametrize("command", commands())
def test_readme_command(main, command, tones):
    words = [word.removeprefix(".venv/bin/") for word in shlex.split(command)]
    assert words[0] == "bench"
    files = {
        "results/quick": ROOT / "results/quick",
        "song.mp3": tones.parent / "audio/00.wav",
        "path/to/tracks.csv": tones,
        "other.csv": tones,
        "my.toml": registry.find("recipes", "quick").path,
    }
    words = [str(files.get(word, word)) for word in words]
    if words[1] == "run" and "--dry-run" not in words:
        words.append("--dry-run")
    if words[1] in NEED_RESULTS:
        store_cells(main, tones)
    if words[1] == "embed":
        assert main("export", "vicreg-resnet_small", "--to", "exported")[0] == 0
    if words[1] == "data":
        words = [
            str(tones) if word == "midiband" else "9" if word == "40" else word for word in words
        ]
    if "--exclude" in words:
        file = words[words.index("--exclude") + 1]
        assert main("data", "leaks", tones, tones, "--out", file)[0] == 0
    status, out, err = main(*words[1:])
    assert status == 0, err
    assert out


def store_cells(main, tones):
    """Computes results of the methods and probes that the README compares."""
    methods = ["--method", "simclr,vicreg,random_init"]
    run = ["run", *methods, "--fraction", "0.1", "--steps", "2", *TINY]
    for probe in ("linear", "mlp"):
        status, _, err = main(*run, "--probe", probe, "--dataset", tones)
        assert status == 0, err


def test_readme_make_targets_exist():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = set(re.findall(r"^make (\w+)|`make (\w+)`", readme, re.MULTILINE))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    names = {name for pair in targets for name in pair if name}
    assert {"demo", "test", "lint", "wheel"} <= names
    for name in names:
        assert re.search(rf"^{name}:", makefile, re.MULTILINE), name


def test_readme_files_exist():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", readme):
        assert (ROOT / link).exists(), link
