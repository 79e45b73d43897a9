"""Flags and recipes of `bench run`; bad ones are one line and exit status 2."""

import json
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run", "--method", "vicregg"], "did you mean 'vicreg'"),
        (["run", "--method", "vicreg", "--fraction", "0"], "out of range"),
        (["run", "--method", "vicreg", "--fraction", "1.5"], "out of range"),
        (["run", "--method", "vicreg", "--fraction", "-0.1"], "out of range"),
        (["run", "--method", "vicreg", "--fraction", "nan"], "out of range"),
        (["run", "--method", "vicreg", "--fraction", "abc"], "no number"),
        (["run", "--method", "vicreg", "--fraction", ""], "no number"),
        (["run", "--method", "vicreg", "--draws", "0"], "1 or more"),
        (["run", "--method", "vicreg", "--draws", "two"], "--draws"),
        (["run", "--method", "vicreg", "--seed", "-1"], "0 or more"),
        (["run", "--method", "vicreg", "--steps", "0"], "train.steps"),
        (["run", "--method", "vicreg", "--train.stepz", "3"], "did you mean 'train.steps'"),
        (
            ["run", "--method", "vicreg", "--method.temprature", "1", "--dry-run"],
            "unknown setting of vicreg",
        ),
        (
            ["run", "--method", "simclr", "--method.temprature", "1", "--dry-run"],
            "did you mean 'method.temperature'",
        ),
        (
            ["run", "--method", "simclr", "--method.temperature", "-1", "--dry-run"],
            "greater than 0",
        ),
        (["run", "--method", "simclr", "--method.temperature"], "needs a value"),
        (
            ["run", "--method", "simclr", "--train.learning_rate", "fast"],
            "train.learning_rate = 'fast'",
        ),
        (["run", "--method", "simclr", "--train.learning_rate", "NaN"], "train.learning_rate"),
        (
            ["run", "--method", "simclr", "--dataset.trakcs", "9", "--dry-run"],
            "did you mean 'dataset.tracks'",
        ),
        (["run", "--method", "simclr", "--nonsense.x", "9"], "unknown setting 'nonsense'"),
        (
            ["run", "--method", "simclr", "--method.name", "byol"],
            "method.name is no setting; name it by --method",
        ),
        (["run", "--method", "simclr", "--dataset.name", "3"], "name it by --dataset"),
        (
            ["run", "--method", "simclr", "--steps", "9", "--train.steps", "7"],
            "train.steps is given twice",
        ),
        (["run", "--method", "simclr", "--train.betas", "[2,3]"], "train.betas.0 = 2"),
        (["run", "--method", "simclr", "--probe.learning_rates", "[]"], "probe.learning_rates"),
        (
            ["run", "--method", "simclr", "--encoder.blocks", "[0]", "--dry-run"],
            "encoder.blocks.0 = 0",
        ),
        (["run", "--method", "simclr", "--dataset", "x" * 300 + ".csv"], "no such file"),
        (["run", "--method", "simclr", "--nonsense", "9"], "--nonsense"),
        (["run", "--method", "simclr", "--dataset", "midibnd"], "did you mean 'midiband'"),
        (["run", "--method", "simclr", "--encoder", "resnet_smal"], "did you mean 'resnet_small'"),
        (["run", "--method", "simclr", "--recipe", "quik"], "did you mean 'quick'"),
        (["run", "--method", "simclr", "--recipe", "none.toml"], "no such recipe file"),
        (["run", "--method", "simclr", "--dataset", "none.csv"], "no such file: none.csv"),
        (["run", "--method", "simclr", "--probe", "forest"], "linear"),
        (["run", "--method", "simclr", "--plugins", "nowhere"], "--plugins nowhere"),
        (["run", "--method", "mfcc", "--encoder", "resnet"], "its own encoder"),
        (
            ["run", "--method", "supervised", "--pretrain-dataset", "x.csv"],
            "leave --pretrain-dataset out",
        ),
        (["run", "--method", "simclr", "--device", "cuda", "--dataset", "CSV"], "no GPU"),
        (["run"], "--method"),
        (["rnu"], "Did you mean"),
        (["list", "method"], "methods"),
    ],
)
def test_bad_flags_are_one_line_and_status_2(main, arguments, expected, tones, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    status, out, err = main(
        *[str(tones) if argument == "CSV" else argument for argument in arguments]
    )
    assert status == 2
    assert out == ""
    assert expected in err.splitlines()[-1]
    assert "Traceback" not in err
    assert not list(Path().glob(".bench/*/*.part"))


RECIPES = {
    "many": ('[train]\nsteps = "many"\n', "train.steps = 'many'"),
    "string": ('encoder = "resnet"\n', "'encoder' must be a table"),
    "array": ("[[train]]\nsteps = 3\n", "'train' must be a table"),
    "for": ("for = 3\n", "'for' must be a table"),
    "for method": ("[for]\nvicreg = 3\n", "'vicreg' must be a table"),
    "for section": ("[for.vicreg]\ntrain = 3\n", "'train' must be a table"),
    "for unknown": ("[for.vicregg.train]\nsteps = 3\n", "did you mean 'vicreg'"),
    "section": ("[trian]\nsteps = 3\n", "did you mean 'train'"),
    "encoder": ("[encoder]\nname = 3\n", "encoder.name must be a name"),
    "name": ('[method]\nname = "simclr"\n', "method.name is no setting"),
    "toml": ("[train\n", "not a readable TOML"),
    "setting": ("[train]\nstepz = 3\n", "did you mean 'train.steps'"),
}


@pytest.mark.parametrize("case", RECIPES)
def test_bad_recipes_are_one_line_and_status_2(main, case, tmp_path):
    text, expected = RECIPES[case]
    (tmp_path / "mine.toml").write_text(text)
    status, out, err = main("run", "--method", "vicreg", "--recipe", "mine.toml", "--dry-run")
    assert (status, out) == (2, "")
    assert expected in err
    assert len(err.splitlines()) == 1


def test_a_recipe_may_leave_out_what_it_does_not_change(main, tones, tmp_path):
    (tmp_path / "mine.toml").write_text(
        "[train]\nbatch_size = 8\n\n[for.simclr.train]\nsteps = 2\n"
    )
    small = [
        "--encoder.width",
        "4",
        "--encoder.seconds",
        "1.0",
        "--probe.steps",
        "5",
        "--score.resamples",
        "20",
    ]
    status, _, err = main(
        "run", "--method", "simclr", "--recipe", "mine.toml", "--dataset", tones, *small
    )
    assert status == 0, err
    (stored,) = Path("results/runs").glob("*.json")
    assert json.loads(stored.read_text())["spec"]["train"]["steps"] == 2
