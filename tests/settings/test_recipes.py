"""Recipes: what they resolve to, how flags change them, and that each runs from first to last."""

import json
import tomllib
from pathlib import Path

import pytest

from bench.core import registry
from bench.core.errors import InputError
from bench.settings.recipes import experiment
from tests.conftest import TINY, make_tones
from tests.settings.cells import resolve
from tests.settings.golden import update

RECIPES = registry.names("recipes")
PUBLISHED = ["clmr", "icassp2024", "tune", "tune-plus", "vicreg-thesis"]


def test_the_published_recipes_are_there():
    assert set(PUBLISHED) <= set(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_no_setting_drifts(name):
    golden = (update.FOLDER / f"{name}.json").read_text(encoding="utf-8")
    assert json.loads(golden) == update.resolved(name), (
        "meant? then: python tests/settings/golden/update.py"
    )


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_value_of_a_published_recipe_says_where_it_is_from(name):
    lines = registry.find("recipes", name).path.read_text(encoding="utf-8").splitlines()
    section = ""
    for line in lines:
        section = line if line.startswith("[") else section
        if "=" in line and not line.startswith("#") and section != "[about]":
            assert "  # " in line, f"{name}: '{line}' says no source"


def test_published_values():
    clmr = resolve(recipe="clmr", dataset="magnatagatune")
    assert (clmr.encoder.name, clmr.dataset.settings, clmr.views.splits) == (
        "sample_cnn",
        {"split": "pons"},
        "train",
    )
    assert (clmr.train.epochs, clmr.train.batch_size, clmr.train.learning_rate) == (
        10_000,
        96,
        3e-4,
    )
    assert clmr.method.settings["temperature"] == 0.5
    transforms = ("polarity", "noise", "gain", "filter")
    probabilities = [getattr(clmr.augment, name).probability for name in transforms]
    assert probabilities == [0.8, 0.01, 0.3, 0.8]
    deezer = resolve("byol", recipe="icassp2024", dataset="magnatagatune")
    assert (deezer.encoder.name, deezer.dataset.settings, deezer.train.steps) == (
        "resnet",
        {"split": "lee"},
        999 * 512,
    )
    assert not deezer.augment.on_waveform
    assert not deezer.augment.on_spectrogram
    assert (
        resolve(recipe="clmr", dataset="magnatagatune", pretrain_dataset="fma").views.splits
        == "all"
    )
    assert resolve("supervised", recipe="clmr").augment.name == "none"
    assert experiment("icassp2024").fractions == (0.01, 0.05, 0.1, 0.2, 1.0)


def test_scale_shrinks_the_budget_alone():
    whole, small = resolve(recipe="clmr"), resolve(recipe="clmr", scale=0.001)
    assert small.train.epochs == pytest.approx(10)
    assert small.scale == 0.001
    assert small.train.diagnose_times == 1
    assert small.probe.steps == whole.probe.steps / 10
    changed = {name: getattr(whole, name) for name in ("train", "finetune", "probe")}
    assert small.model_copy(update={**changed, "scale": 1.0}) == whole
    assert resolve(recipe="icassp2024", scale=0.001).train.steps == 511
    assert resolve(recipe="icassp2024", scale=1e-12).train.steps == 1


@pytest.mark.parametrize(
    "setting", ['steps = "many"', "steps = -4", "epochs = inf", 'epochs = "many"']
)
def test_a_budget_that_cannot_be_scaled_is_named(tmp_path, setting):
    path = tmp_path / "mine.toml"
    path.write_text(f"[train]\n{setting}\n", encoding="utf-8")
    with pytest.raises(InputError, match=rf"train\.{setting.split()[0]} = "):
        resolve(recipe=str(path), scale=0.1)


def test_tables_for_names(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        "[train]\nsteps = 1\n[for.simclr.train]\nsteps = 2\n"
        "[for.midiband.train]\nsteps = 3\nbatch_size = 8\n"
        "[for.transfer.views]\nsplits = 'all'\n"
        "[for.gtzan.pretrain_dataset]\nsplit = 'x'\n[for.gtzan.train]\nsteps = 9\n"
    )
    spec = resolve(recipe=str(path))
    assert (spec.train.steps, spec.train.batch_size, spec.views.splits) == (2, 8, "train")
    assert resolve("vicreg", recipe=str(path)).train.steps == 3
    transfer = resolve(recipe=str(path), pretrain_dataset="gtzan")
    assert (transfer.views.splits, transfer.train.steps) == ("all", 2)
    assert transfer.pretrain_dataset.settings == {"split": "x"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[for.simclrr.train]\nsteps = 1", "did you mean 'simclr'"),
        ("[for.simclr]\nsteps = 1", "unknown section"),
        ("[for.simclr.method]\nname = 'byol'", "method.name is no setting"),
        ("[experiment]\nmethod = ['simclr']", "did you mean 'methods'"),
        ("[experiment]\nprobes = ['lineer']", "experiment.probes.0 = 'lineer'"),
        ("[experiment]\nfractions = [0]", "experiment.fractions.0 = 0"),
    ],
)
def test_wrong_recipes_are_named(tmp_path, text, message):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        experiment(str(path))
    assert message in str(caught.value)


@pytest.fixture(scope="module")
def few_tones(tmp_path_factory):
    """12 tracks of 2 s, few since the published encoders are slow."""
    return make_tones(tmp_path_factory.mktemp("few"), tracks=12)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_recipe_runs_from_first_to_last(main, few_tones, name):
    small = ("--dataset", few_tones, "--scale", "1e-9", "--resamples", "20")
    probe = ("--probe.steps", "20", "--probe.evaluate_every", "10")
    cells = ("--fraction", "1.0", "--draws", "1", *probe)
    status, out, err = main("run", "--recipe", name, *small, *cells)
    assert status == 0, err
    stored = [json.loads(Path(line).read_text()) for line in out.split("results:")[1].split()]
    published = experiment(name)
    assert {cell["spec"]["method"]["name"] for cell in stored} == set(published.methods)
    assert {cell["spec"]["probe"]["kind"] for cell in stored} == set(published.probes)
    assert all(cell["spec"]["recipe"] == name for cell in stored)
    assert all(cell["protocol"]["steps"] == 1 for cell in stored)
    assert "1e-09 of the budget of recipe" in out
    tomllib.loads(registry.find("recipes", name).path.read_text(encoding="utf-8"))


def test_no_method_anywhere_is_one_line(main):
    status, _, err = main("run")
    assert status == 2
    assert "--method: give a name of `bench list methods`" in err


def test_several_probes_are_rows_of_one_table(main, tones):
    small = ("--dataset", tones, *TINY)
    status, out, err = main("run", "--method", "random_init", "--probe", "linear,mlp", *small)
    assert status == 0, err
    assert "probe" in out.splitlines()[1]
    assert sum(line.strip().startswith("random_init") for line in out.splitlines()) == 2
    status, _, err = main("run", "--method", "random_init", "--probe", "lineer", *small)
    assert (status, "did you mean 'linear'" in err) == (2, True)
    status, _, err = main("run", "--method", "random_init", "--scale", "0", *small)
    assert (status, "--scale 0: give a number above 0" in err) == (2, True)
