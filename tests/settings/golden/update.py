"""Writes the golden files of the recipes anew, after a change of settings that is meant.

python tests/settings/golden/update.py
"""

import json
from pathlib import Path
from typing import Any

from bench.core import registry
from bench.settings.recipes import experiment
from bench.settings.resolve import Request, resolve
from bench.stages.session import check

FOLDER = Path(__file__).parent
PAIRS = (("midiband", None), ("magnatagatune", None), ("magnatagatune", "fma"))
"""Data sets, and data sets of pretraining where they are others."""


def resolved(recipe: str) -> dict[str, Any]:
    """Every setting of a recipe, by method and data sets, with the defaults of all plug-ins."""
    methods = experiment(recipe).methods or registry.names("methods")
    settings: dict[str, Any] = {"experiment": experiment(recipe).model_dump(mode="json")}
    for method in methods:
        for dataset, pretrain_dataset in PAIRS if len(methods) < 6 else PAIRS[:1]:
            request = Request(
                method, 1.0, recipe=recipe, dataset=dataset, pretrain_dataset=pretrain_dataset
            )
            spec = resolve(request)
            parts = check(spec)
            tree = spec.model_dump(mode="json")
            tree["method"] |= parts.method_settings.model_dump(mode="json")
            tree["encoder"] |= parts.encoder_settings.model_dump(mode="json")
            transfer = f"{pretrain_dataset} to " if pretrain_dataset else ""
            settings[f"{method} on {transfer}{dataset}"] = tree
    return settings


def text(recipe: str) -> str:
    """Content of the golden file of a recipe."""
    return json.dumps(resolved(recipe), indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    for name in registry.names("recipes"):
        (FOLDER / f"{name}.json").write_text(text(name), encoding="utf-8")
