"""From flags to specs: defaults, the recipe, the recipe's tables for a method, then the flags."""

from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from bench.core import registry
from bench.core.errors import InputError
from bench.settings import recipes
from bench.settings.augmentations import preset
from bench.settings.plug_ins import setting_error
from bench.settings.specs import RunSpec, is_csv
from bench.settings.traits import Traits, traits

DEFAULT_ENCODER = "resnet_small"
Tree = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """What was asked for on the command line, for one fraction, draw and seed.

    Attributes:
        method: name of the method.
        fraction: share of the labels, or above 1 a number of tracks.
        draw: which draw of the labelled tracks.
        seed: of pretraining.
        probe_seed: of the probe's start and batches.
        recipe: name of the recipe, or the path of its file.
        dataset: the data set that is probed.
        pretrain_dataset: the data set that is pretrained on; None for the one that is probed.
        encoder: name of the encoder; None for that of the method or the recipe.
        weights: hash of the imported weights that the encoder starts from; "" for none.
        scale: what the recipe's budget of pretraining is multiplied by.
        overrides: the dotted settings that were given, nested by section.
    """

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

    Args:
        request: what was asked for.

    Raises:
        InputError: an unknown name, setting or value; the most similar known one is suggested.
    """
    about = traits(request.method)
    recipes.check_names(request.overrides, "dotted settings")
    _require_allowed(request, about)
    recipe = recipes.read_recipe(request.recipe)
    recommended = recipe.get("encoder", {}).get("name", DEFAULT_ENCODER)
    encoder = about.encoder or request.encoder or recommended
    if encoder != recommended:
        recipe = {**recipe, "encoder": {}}  # the recipe's settings are those of its own encoder
    takes = registry.describe("encoders", encoder).get("INPUT", "log_mel")
    tree = _settings(request, recipe, takes, encoder)
    tree["pretrain_dataset"] = _pretraining_data(request, about, tree)
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
            f"takes a {takes}: give --augment clmr or none"
        )
    return spec


def _require_allowed(request: Request, about: Traits) -> None:
    """Refuses flags that the method has no use for.

    Raises:
        InputError: --weights, --encoder or --pretrain-dataset does not go with the method.
    """
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


def _settings(request: Request, recipe: Tree, takes: str, encoder: str) -> Tree:
    """The settings of every section: the recipe's, its tables that apply, and those of the flags.

    Args:
        request: what was asked for.
        recipe: the recipe's tables.
        takes: the input of the encoder, "waveform" or "log_mel".
        encoder: name of the encoder.
    """
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
        tree["train"]["epochs"] = 0.0  # the budget in steps was given, so the other one is void
    others = {name: over for name, over in request.overrides.items() if name != "augment"}
    recipes.merge_sections(tree, others)
    return tree


def _pretraining_data(request: Request, about: Traits, tree: Tree) -> Tree:
    """The section of the data set that is pretrained on, which often is the one that is probed."""
    if about.uses_labels or not about.trains:
        return dict(tree["dataset"])
    if request.pretrain_dataset is None:
        return {**tree["dataset"], **tree["pretrain_dataset"]}
    return {**tree["pretrain_dataset"], "name": request.pretrain_dataset}


def _augment(recipe: Tree, given: Tree) -> Tree:
    """The settings of the chain of augmentations.

    They are those of the chain by its name, then the recipe's if it has the same chain, then those
    that were given.

    Args:
        recipe: the recipe's section.
        given: the dotted settings, with the name where one was given.
    """
    name = str(given.get("name", recipe.get("name", "none")))
    of_recipe = recipe if name == recipe.get("name", "none") else {}
    return recipes.merged(recipes.merged(preset(name), of_recipe), given)


def untrained(request: Request) -> Request:
    """The same request for `random_init`, the untrained encoder that every table compares with."""
    overrides = {
        section: values for section, values in request.overrides.items() if section != "method"
    }
    own_encoder = traits(request.method).encoder is not None
    encoder = None if own_encoder else request.encoder
    return replace(request, method="random_init", overrides=overrides, encoder=encoder, weights="")
