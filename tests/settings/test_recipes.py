"""Recipes: what they resolve to, how flags change them, and that each runs from first to last."""

import json
import tomllib
from pathlib import Path

import pytest

from bench.core import registry
from bench.core.errors import InputError
from bench.settings.recipes import experiment
from bench.settings.resolve import Request
from bench.settings.resolve import resolve as resolve_request
from bench.settings.specs import RunSpec, TrainSpec
from bench.stages.pretrain.schedule import budget, learning_rate, weight_decay
from tests.conftest import TINY, make_tones
from tests.settings.golden import update

RECIPES = registry.names("recipes")
PUBLISHED = ["clmr", "icassp2024", "tune", "tune-plus", "vicreg-thesis"]


def resolve(method="simclr", **given) -> RunSpec:
    return resolve_request(Request(method, given.pop("fraction", 1.0), **given))


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
    assert [getattr(clmr.augment, name).probability for name in ("polarity", "noise", "gain", "filter")] == [
        0.8, 0.01, 0.3, 0.8,
    ]  # fmt: skip
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


def test_a_budget_in_epochs():
    spec = TrainSpec(epochs=10, batch_size=96)
    assert budget(spec, 360) == 30
    assert budget(spec, 40) == 10  # fewer tracks than a batch are one batch an epoch
    assert budget(TrainSpec(steps=7), 360) == 7
    assert budget(TrainSpec(epochs=1e-9), 360) == 1


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


def test_a_budget_that_is_given_takes_the_place_of_the_recipes():
    spec = resolve(recipe="clmr", overrides={"train": {"steps": 5}}, scale=0.5)
    assert (spec.train.steps, budget(spec.train, 10_000)) == (5, 5)


def test_a_chain_by_name_and_dotted_settings():
    spec = resolve(overrides={"augment": {"name": "clmr", "pitch_shift": {"probability": 0.25}}})
    assert (spec.augment.pitch_shift.probability, spec.augment.reverb.probability) == (0.25, 0.6)
    assert not spec.augment.on_spectrogram
    kept = resolve(overrides={"augment": {"log_mel": {"gain_db": 1.0}}})
    assert (kept.augment.name, kept.augment.log_mel.gain_db, kept.augment.log_mel.probability) == (
        "log_mel",
        1.0,
        1.0,
    )


@pytest.mark.parametrize(
    ("augment", "message"),
    [
        ({"name": "clmrr"}, "unknown augmentation 'clmrr'; did you mean 'clmr"),
        ({"gain": {"probability": 2}}, "augment.gain.probability = 2"),
        ({"gain": {"probabilty": 1}}, "did you mean 'augment.gain.probability'"),
        ({"gain": {"low_db": 3}}, "low_db 3 lies above high_db -1"),
        (
            {"reverbb": {"probability": 1}},
            "unknown setting 'augment.reverbb'; did you mean 'augment.reverb'",
        ),
    ],
)
def test_wrong_chains_are_named(augment, message):
    with pytest.raises(InputError) as caught:
        resolve(overrides={"augment": augment})
    assert message in str(caught.value)


def test_spectrogram_chains_need_spectrograms():
    with pytest.raises(InputError, match="takes a waveform: give --augment clmr or none"):
        resolve(encoder="sample_cnn", overrides={"augment": {"name": "log_mel"}})
    assert resolve(encoder="sample_cnn").augment.name == "clmr"
    assert resolve(
        "random_init", encoder="sample_cnn", overrides={"augment": {"name": "log_mel"}}
    )  # it is not trained


def test_tables_for_names(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        "[train]\nsteps = 1\n[for.simclr.train]\nsteps = 2\n[for.midiband.train]\nsteps = 3\nbatch_size = 8\n"
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


def test_schedules():
    constant = TrainSpec(schedule="constant", warmup=0.1, steps=100, learning_rate=2.0)
    assert [learning_rate(step, constant) for step in (0, 9, 10, 99)] == [0.2, 2.0, 2.0, 2.0]
    cosine = TrainSpec(warmup=0.0, steps=100, learning_rate=2.0, final_learning_rate=1.0)
    assert learning_rate(0, cosine) == 2.0
    assert learning_rate(50, cosine) == pytest.approx(1.5)
    assert learning_rate(99, cosine) == pytest.approx(1.0, abs=1e-3)
    rising = TrainSpec(steps=100, weight_decay=0.04, final_weight_decay=0.4)
    assert [weight_decay(step, rising) for step in (0, 50)] == pytest.approx([0.04, 0.22])
    assert weight_decay(99, TrainSpec()) == TrainSpec().weight_decay


@pytest.fixture(scope="module")
def few_tones(tmp_path_factory):
    """12 tracks of 2 s: the published encoders are large."""
    return make_tones(tmp_path_factory.mktemp("few"), tracks=12)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_recipe_runs_from_first_to_last(main, few_tones, name):
    small = ("--dataset", few_tones, "--scale", "1e-9", "--resamples", "20")
    cells = (
        "--fraction",
        "1.0",
        "--draws",
        "1",
        "--probe.steps",
        "20",
        "--probe.evaluate_every",
        "10",
    )
    status, out, err = main("run", "--recipe", name, *small, *cells)
    assert status == 0, err
    stored = [json.loads(Path(line).read_text()) for line in out.split("results:")[1].split()]
    published = experiment(name)
    assert {one["spec"]["method"]["name"] for one in stored} == set(published.methods)
    assert {one["spec"]["probe"]["kind"] for one in stored} == set(published.probes)
    assert all(one["spec"]["recipe"] == name and one["protocol"]["steps"] == 1 for one in stored)
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
