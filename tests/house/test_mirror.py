"""The test of a module is found by its path."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WHOLE = ("house", "slurm", "benchmarks")
"""Folders of tests of the project as a whole."""
TOPICS = {
    "cli/test_run_inputs.py": "what `bench run` says of wrong input",
    "datasets/midiband/test_midiband.py": "the data set as a whole",
    "datasets/test_contract.py": "what every data set keeps to",
    "encoders/test_encoders.py": "what every encoder keeps to",
    "methods/test_losses.py": "the losses of all methods against their papers",
    "methods/test_methods.py": "what every method keeps to",
    "report/figures/test_gallery.py": "all figures, and the page that shows them",
    "report/html/test_browser.py": "all pages in a real browser",
    "report/test_rescore.py": "rescoring, on the runs that the tests of comparisons read",
    "report/test_subsets.py": "subsets, on the runs that the tests of comparisons read",
    "stages/test_damage.py": "damaged products of every stage",
    "stages/test_resume.py": "runs that are killed at any stage",
    "stages/test_versions.py": "products of other versions of the libraries",
    "tracking/test_mirror_of_runs.py": "the mirror of `bench run --track`",
    "tracking/test_sweeps.py": "the mirror of sweeps under way",
}
"""Tests of several modules at once."""


def test_the_test_of_a_module_is_found_by_its_path() -> None:
    lost = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        inside = path.relative_to(ROOT / "tests")
        if inside.parts[0] in WHOLE or inside.as_posix() in TOPICS:
            continue
        folder, name = inside.parent, path.stem.removeprefix("test_")
        places = [ROOT / "bench" / folder / f"{name}.py", ROOT / "bench" / folder / name]
        places += [ROOT / folder / f"{name}.py", ROOT / folder / name]
        if not any(place.exists() for place in places):
            lost.append(inside.as_posix())
    assert not lost, "name it after the module that it tests, or list it as a topic"
    for name in TOPICS:
        assert (ROOT / "tests" / name).is_file(), name
