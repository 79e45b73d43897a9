"""From flags to specs: defaults, then the recipe, then its tables for a method, then the flags."""

from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from bench.core import registry
from bench.core.errors import InputError
from bench.settings import recipes
from bench.settings.augmentations import preset
from bench.settings.plug_ins import setting_error
from bench.settings.specs import RunSpec, is_csv
from bench.settings.traits import traits

DEFAULT_ENCODER = "resnet_small"


Tree = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """What was asked for on the command line, for one fraction, draw and seed."""

    method: str
    fraction: float
    draw: int = 0
    seed: int = 0
    probe_seed: int = 0
    recipe: str = "quick"
    dataset: str = "midiband"
    pretrain_dataset: str | None = None
    encoder: str | None = None
    weights: str = ""
    scale: float = 1.0
    overrides: Tree = field(default_factory=dict)


def resolve(request: Request) -> RunSpec:
    """The full spec of one cell.

    What comes later wins: defaults, the recipe, the recipe's tables for what the cell is made of
    (encoder, data set, method), the flags.

    Raises:
        InputError: an unknown name, setting or value; with the nearest known one.
    """
    about = traits(request.method)
    recipes.check_names(request.overrides, "dotted settings")
    if request.weights and not about.trains and not about.restores:
        raise InputError(
            f"method '{request.method}' learns nothing and takes no --weights: "
            "leave one out, or give --method imported"
        )
    if about.encoder and request.encoder not in (None, about.encoder):
        raise InputError(
            f"method '{request.method}' is its own encoder: leave --encoder {request.encoder} out"
        )
    if about.uses_labels and request.pretrain_dataset not in (None, request.dataset):
        raise InputError(
            f"method '{request.method}' learns from the labels of --dataset: "
            "leave --pretrain-dataset out"
        )
    recipe = recipes.read_recipe(request.recipe)
    encoder = (
        about.encoder or request.encoder or recipe.get("encoder", {}).get("name", DEFAULT_ENCODER)
    )
    if encoder != recipe.get("encoder", {}).get("name", DEFAULT_ENCODER):
        recipe = {**recipe, "encoder": {}}  # the recipe's settings are another encoder's
    takes = registry.describe("encoders", encoder).get("INPUT", "log_mel")
    pretrain_dataset = request.pretrain_dataset or request.dataset
    transfer = ["transfer"] if pretrain_dataset != request.dataset else []
    names = [takes, encoder, request.dataset, *transfer, request.method]
    tree = recipes.settings(recipe, names, pretrain_dataset)
    recipes.scaled(tree, request.scale)
    tree["encoder"]["name"] = encoder
    tree["method"]["name"] = request.method
    tree["dataset"]["name"] = request.dataset
    tree["augment"] = _augment(tree["augment"], request.overrides.get("augment", {}))
    if "steps" in request.overrides.get("train", {}):
        tree["train"]["epochs"] = 0.0  # of two budgets the one that was given
    recipes.merge_sections(
        tree, {section: over for section, over in request.overrides.items() if section != "augment"}
    )
    if about.uses_labels or not about.trains:
        tree["pretrain_dataset"] = tree["dataset"]
    elif request.pretrain_dataset is None:
        tree["pretrain_dataset"] = {**tree["dataset"], **tree["pretrain_dataset"]}
    else:
        tree["pretrain_dataset"]["name"] = request.pretrain_dataset
    for section, kind in recipes.PLUGINS.items():
        if not (kind == "datasets" and is_csv(tree[section]["name"])):
            registry.find(kind, tree[section]["name"])
    shared = ("recipe", "fraction", "draw", "seed", "probe_seed", "weights", "scale")
    try:
        spec = RunSpec.model_validate({**tree, **{name: getattr(request, name) for name in shared}})
    except ValidationError as error:
        raise setting_error(error) from error
    if about.trains and takes != "log_mel" and spec.augment.on_spectrogram:
        raise InputError(
            f"--augment {spec.augment.name} changes log-mel spectrograms, and encoder '{encoder}' "
            f"takes a {takes}: "
            "give --augment clmr or none"
        )
    return spec


def _augment(recipe: Tree, given: Tree) -> Tree:
    """The named chain's settings, then the recipe's if it names the same, then the dotted ones."""
    name = str(given.get("name", recipe.get("name", "none")))
    own = recipe if name == recipe.get("name", "none") else {}
    return recipes.merged(recipes.merged(preset(name), own), given)


def untrained(request: Request) -> Request:
    """The same request for `random_init`, which every table puts a score beside."""
    overrides = {
        section: values for section, values in request.overrides.items() if section != "method"
    }
    own_encoder = traits(request.method).encoder is not None
    encoder = None if own_encoder else request.encoder
    return replace(request, method="random_init", overrides=overrides, encoder=encoder, weights="")
