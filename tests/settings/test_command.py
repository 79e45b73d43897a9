"""The command that makes a run again (`bench.settings.command`)."""

import json
from typing import Any

import pytest

from bench.cli.flags import split_overrides
from bench.settings.command import command_for
from bench.settings.resolve import Request, resolve
from bench.settings.specs import PlugIn, RunSpec


def specs() -> list[RunSpec]:
    """Specs of many kinds, resolved as the command line resolves them."""

    def of(
        method: str, share: float = 1.0, draw: int = 0, seed: int = 0, probe: int = 0, **more: Any
    ) -> RunSpec:
        return resolve(Request(method, share, draw, seed, probe, **more))

    tracks = {"dataset": {"tracks": 60, "seconds": 4.0}}
    return [
        of("vicreg"),
        of("simclr", 0.1, 3, 7, 2),
        of("simclr", 259.0, 1),
        of("supervised", 0.05, 1, overrides=tracks),
        of("random_init", 0.01, overrides={"encoder": {"seconds": 1.0}}),
        of(
            "mfcc",
            overrides={
                **tracks,
                "probe": {"kind": "mlp", "hidden": 256, "learning_rates": [1e-4, 3e-3]},
            },
        ),
        of(
            "byol",
            overrides={"method": {"momentum": 0.5}, "train": {"steps": 77, "betas": [0.8, 0.9]}},
        ),
        of("vicreg", dataset="my data/tracks $1.csv", overrides={"views": {"splits": "all"}}),
        of(
            "vicreg",
            dataset="gtzan",
            pretrain_dataset="midiband",
            overrides={"pretrain_dataset": {"tracks": 99}},
        ),
        of("simclr", overrides={"dataset": {"tracks": 60}, "pretrain_dataset": {"tracks": 61}}),
        of("simclr", pretrain_dataset="midiband", overrides={"dataset": {"tracks": 60}}),
        of(
            "simclr",
            dataset="magnatagatune",
            overrides={"dataset": {"split": "pons"}, "score": {"seed": 3}},
        ),
        of(
            "vicreg",
            encoder="resnet",
            overrides={"labels": {"scheme": "uniform", "seed": 5}, "score": {"by": "group"}},
        ),
        of(
            "vicreg",
            overrides={"augment": {"name": "clmr", "gain": {"probability": 0.25}}},
            scale=0.5,
        ),
        of(
            "simclr",
            0.2,
            overrides={"method": {"word": "true", "number": "1e3", "dashes": "--x", "empty": ""}},
        ),
    ]


def parsed(words: tuple[str, ...]) -> RunSpec:
    """The last cell of a command line, as `bench run` resolves it."""
    assert words[:2] == ("bench", "run")
    rest, overrides = split_overrides(words[2:])
    flags = dict(zip(rest[::2], rest[1::2], strict=True))
    if "--probe" in flags:
        overrides.setdefault("probe", {})["kind"] = flags.pop("--probe")
    draws, probe_seeds = int(flags.pop("--draws", 1)), int(flags.pop("--probe-seeds", 1))
    places = (float(flags.pop("--fraction")), draws - 1, int(flags.pop("--seed")), probe_seeds - 1)
    named: dict[str, Any] = {
        name.removeprefix("--").replace("-", "_"): value for name, value in flags.items()
    }
    scale = float(named.pop("scale", 1))
    return resolve(Request(named.pop("method"), *places, overrides=overrides, scale=scale, **named))


@pytest.mark.parametrize("number", range(len(specs())))
def test_the_command_of_a_run_resolves_to_its_spec(number):
    spec = specs()[number]
    command = command_for(spec)
    assert command.exact
    assert parsed(command.words) == spec
    assert len(command.words) < 30


def test_the_command_line_itself_reads_it_back(main, tones):
    data = PlugIn(name=str(tones))
    spec = specs()[1].model_copy(update={"dataset": data, "pretrain_dataset": data})
    status, out, err = main(*command_for(spec).words[1:], "--dry-run", "--json")
    assert status == 0, err
    assert RunSpec.model_validate(json.loads(out)["specs"][-1]) == spec


def test_a_run_of_an_unknown_recipe_has_every_setting():
    spec = specs()[1].model_copy(update={"recipe": "of_yesterday"})
    command = command_for(spec)
    assert not command.exact
    assert "every setting is given" in command.notes[0]
    _, overrides = split_overrides(command.words[2:])
    assert overrides["train"] == spec.train.model_dump(mode="json")
    with_subset = spec.model_copy(
        update={"labels": spec.labels.model_copy(update={"subset": "0" * 16})}
    )
    assert "--subset" in command_for(with_subset).words
