"""The command `bench` itself: what it imports, lists and leaves to pipes and the environment."""

import subprocess
import sys

from tests.cli.commands import RUN


def test_finished_cells_need_no_heavy_import(bench, tones):
    arguments = [*RUN, "--dataset", tones, "--json"]
    bench(*arguments)
    # At exit, since the command ends the process itself.
    code = (
        "import atexit, sys; from bench.cli.main import main;"
        "atexit.register(lambda: print('loaded:', *sys.modules)); main(sys.argv[1:])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=tones.parent.parent,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    loaded = done.stdout.splitlines()[-1].split()
    assert loaded[0] == "loaded:"
    assert not {"torch", "lightly", "mlflow"} & set(loaded)


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from bench.cli.main import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\nprint(*sys.modules)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"torch", "numpy", "pandas", "lightly", "mlflow", "submitit", "soundfile"} & set(
        loaded
    )


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path):
    command = f"{sys.executable} -m bench list methods | true"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], cwd=tmp_path, capture_output=True, text=True
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == 0


def test_list_names_every_plug_in(main):
    for kind, names in {
        "methods": ["vicreg", "byol"],
        "encoders": ["resnet"],
        "datasets": ["midiband"],
        "recipes": ["quick"],
    }.items():
        status, out, _ = main("list", kind)
        assert status == 0
        assert all(name in out for name in names)


def test_environment_names_the_folders(bench, tones, monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("BENCH_RESULTS", str(tmp_path / "scores"))
    bench(*RUN, "--dataset", tones)
    assert list((tmp_path / "scores/runs").glob("*.json"))
    assert (tmp_path / "elsewhere/pretrained").is_dir()
