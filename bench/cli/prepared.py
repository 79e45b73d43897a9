"""What the commands on data sets share: the data set that is named, and its prepared form."""

from typing import TYPE_CHECKING, Literal

from bench.cli.flags import overrides
from bench.core.errors import InputError

if TYPE_CHECKING:
    from bench.core.store import Store
    from bench.data.prepared import Prepared
    from bench.settings.specs import PlugIn


def named_dataset(name: str, section: str = "dataset") -> "PlugIn":
    """A data set with its dotted settings of the command line.

    Args:
        name: name of `bench list datasets`, or path of a CSV.
        section: section of the settings: "dataset" or "pretrain_dataset".

    Raises:
        InputError: no such data set, or settings of anything else.
    """
    from bench.core import registry
    from bench.settings.specs import PlugIn, is_csv

    if not is_csv(name):
        registry.find("datasets", name)
    unknown = set(overrides) - {"dataset", section}
    if unknown:
        raise InputError(
            f"{sorted(unknown)[0]}: only settings of the data set belong here, "
            "such as --dataset.split"
        )
    settings = overrides.get(section, {})
    if "name" in settings:
        raise InputError(f"{section}.name is no setting: the name is given without a flag")
    return PlugIn(name=name, **settings)


def prepared_dataset(
    dataset: "PlugIn",
    store: "Store",
    sample_rate: int | None,
    recipe: str,
    workers: int | None = None,
    on_bad: Literal["report", "fail"] = "report",
) -> "Prepared":
    """A data set at a sample rate; prepares it where that has not been done.

    Args:
        dataset: name and settings.
        store: home.
        sample_rate: in Hz; None for that of the recipe's encoder.
        recipe: name of the recipe.
        workers: number of files that are decoded at the same time; None for the number of cores.
        on_bad: what to do with files that cannot be used: "report" leaves them out, "fail" raises.

    Raises:
        InputError: a wrong setting, or files that cannot be used.
    """
    from bench.settings.recipes import read_recipe
    from bench.settings.resolve import DEFAULT_ENCODER
    from bench.settings.specs import PlugIn
    from bench.settings.traits import sample_rate as rate_of
    from bench.stages.prepare.stage import dataset_settings, prepared

    dataset_settings(dataset, "dataset")
    encoder = PlugIn(name=read_recipe(recipe).get("encoder", {}).get("name", DEFAULT_ENCODER))
    rate = sample_rate or rate_of(encoder)
    return prepared(dataset, rate, store, workers=workers, on_bad=on_bad)
