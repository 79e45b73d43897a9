"""The command line that computes a cell again, from its stored spec."""

import json
import shlex
from typing import Any

from bench import plan
from bench.config import RunSpec
from bench.errors import InputError

_SECTIONS = ("views", "augment", "train", "embed", "labels", "probe", "finetune", "score")
_PLUG_INS = ("method", "encoder", "dataset", "pretrain_dataset")


def command(spec: RunSpec) -> str:
    """`bench run` with the flags that give this spec, and no more of them than needed.

    Settings that the recipe gives by itself are left out; where the recipe is no longer there, all are written.
    """
    own = not plan.traits(spec.method.name).trains or plan.traits(spec.method.name).uses_labels
    other = None if own or spec.pretrain_dataset == spec.dataset else spec.pretrain_dataset.name
    flags: dict[str, Any] = {
        "method": spec.method.name,
        "encoder": None if plan.traits(spec.method.name).encoder else spec.encoder.name,
        "recipe": spec.recipe,
        "dataset": spec.dataset.name,
        "pretrain-dataset": other,
        "fraction": None if spec.labels.subset else f"{spec.fraction:g}",
        "draws": spec.draw + 1 if spec.draw else None,
        "subset": spec.labels.subset or None,
        "seed": spec.seed or None,
        "probe-seeds": spec.probe_seed + 1 if spec.probe_seed else None,
        "scale": spec.scale if spec.scale != 1 else None,
    }
    request = plan.Request(
        spec.method.name, spec.fraction, spec.draw, spec.seed, spec.probe_seed, spec.recipe, spec.dataset.name, other,
        flags["encoder"], spec.weights, spec.scale,
    )  # fmt: skip
    try:
        usual: dict[str, Any] | None = plan.resolve(request).model_dump(mode="json")
    except InputError:
        usual = None
    for section in (*_PLUG_INS, *_SECTIONS):
        if section == "pretrain_dataset" and other is None:
            continue
        asked = _flat(spec.model_dump(mode="json")[section])
        known = _flat(usual[section]) if usual else {}
        for name, value in asked.items():
            if name == "name" or (section, name) == ("labels", "subset"):
                continue  # flags of their own
            if name not in known or known[name] != value:
                flags[f"{section}.{name}"] = value if isinstance(value, str) else json.dumps(value)
    if spec.augment.name != (usual or {}).get("augment", {}).get("name"):
        flags["augment"] = spec.augment.name
    flags["weights"] = "FILE" if spec.weights else None
    written = [f"--{name} {shlex.quote(str(value))}" for name, value in flags.items() if value is not None]
    return " ".join(["bench run", *written])


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat
