"""The house: who imports whom, plug-ins by name, and what a new file brings."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import bench
from bench.core import registry
from bench.core.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
ALLOWED = {"methods": ("bench.method", "bench.heads"), "datasets": ("bench.data.manifest",)}


def imported(path: Path) -> set[str]:
    """Every module of the harness that a file imports, with `from bench import x` as `bench.x`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            packages = ("bench", "bench.data")
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inside if node.module in packages else {str(node.module)}
    return {module for module in found if module.split(".")[0] in ("bench", "methods", "datasets")}


@pytest.mark.parametrize("kind", ["methods", "datasets"])
def test_plug_ins_import_only_their_contract(kind):
    files = list((ROOT / kind).rglob("*.py"))
    assert files
    for path in files:
        assert imported(path) <= set(ALLOWED[kind]), path


def test_nothing_in_the_core_names_a_plug_in():
    for path in (ROOT / "bench").rglob("*.py"):
        assert not {
            module
            for module in imported(path)
            if module.startswith(("bench.methods", "bench.datasets", "methods", "datasets"))
        }


def test_plug_in_folders_are_no_packages():
    assert not (ROOT / "methods/__init__.py").exists()
    assert not (ROOT / "datasets/__init__.py").exists()


@pytest.mark.parametrize("kind", registry.KINDS)
def test_everything_is_described(kind):
    assert registry.names(kind)
    for name in registry.names(kind):
        about = {key.lower(): value for key, value in registry.describe(kind, name).items()}
        assert all(about[key] for key in ("summary", "paper", "cost")), (kind, name)


def test_importing_bench_leaves_other_packages_called_datasets_alone(tmp_path):
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets/__init__.py").write_text("name = 'somebody else'")
    code = "import bench.datasets.midiband, datasets; print(datasets.name)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "somebody else"


PLUG_IN = '''"""A method of a third party."""
from bench import method
PAPER, COST = "nobody", "nothing"
TRAINS = False
class Settings(method.Settings):
    """None."""
class Method(method.Method):
    """The encoder alone."""
'''


def test_a_third_partys_file_is_a_method(main, tones, tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "__path__", list(bench.__path__))
    monkeypatch.delenv("BENCH_PLUGINS", raising=False)
    folder = tmp_path / "mine" / "methods"
    folder.mkdir(parents=True)
    (folder / "homemade.py").write_text(PLUG_IN)
    arguments = ["--method", "homemade", "--plugins", folder.parent, "--dataset", tones]
    status, out, err = main(
        "run", *arguments, "--encoder.width", 4, "--encoder.seconds", 1.0, "--probe.steps", 5
    )
    assert status == 0, err
    assert "homemade" in out
    assert "A method of a third party." in main("list", "methods", "--plugins", folder.parent)[1]
    registry._all.cache_clear()


def test_two_plug_ins_of_one_name_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "__path__", list(bench.__path__))
    monkeypatch.delenv("BENCH_PLUGINS", raising=False)
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods/vicreg.py").write_text(PLUG_IN)
    registry.add_plugins(tmp_path)
    with pytest.raises(InputError, match="two methods are called 'vicreg'"):
        registry.names("methods")
    registry._all.cache_clear()


def test_entry_points_bring_plug_ins(tmp_path, monkeypatch):
    info = tmp_path / "somebodys-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: somebodys\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pretext_bench.methods]\ntheirs = somebodys_method\n")
    (tmp_path / "somebodys_method.py").write_text(PLUG_IN)
    monkeypatch.syspath_prepend(str(tmp_path))
    registry._all.cache_clear()
    assert registry.describe("methods", "theirs")["summary"] == "A method of a third party."
    assert registry.load("methods", "theirs").TRAINS is False
    registry._all.cache_clear()


def test_code_digest_sees_code_and_not_words(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    path = tmp_path / "somewhere.py"

    def digest(text: str) -> str:
        path.write_text(text)
        registry._file_digest.cache_clear()
        return registry.code_digest("somewhere")

    plain = digest("def f(x):\n    return x + 1\n")
    assert (
        digest('"""Words."""\n\ndef f(x):  # why\n    """More words."""\n    return x + 1\n')
        == plain
    )
    assert digest("def f(x):\n    return x + 2\n") != plain


def test_an_encoder_built_on_another_changes_with_it(tmp_path, monkeypatch):
    small = registry.code_digest("bench.encoders.resnet_small")
    original = registry._file_digest

    def changed(path: Path) -> str:
        return "other" if path.name == "resnet.py" else original(path)

    monkeypatch.setattr(registry, "_file_digest", changed)
    assert registry.code_digest("bench.encoders.resnet_small") != small
