"""Settings: protocols whose scores may stand in one figure, and the cells that fit each of them.

A setting is an encoder, a recipe, the pretraining data, a kind of probe and a convention of
scoring. A figure shows one setting, with one panel for each data set and split.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.results import Result

END_TO_END = "end_to_end"
"""The probe of a method that trains its own classifier."""


@dataclass(frozen=True, order=True)
class Setting:
    """A protocol that the scores of one figure share.

    Attributes:
        encoder: name of the encoder.
        recipe: name of the recipe.
        pretrain: name of the pretraining data set; "" where it is the probed data set.
        probe: kind of the probe.
        convention: name of the convention of scoring.
    """

    encoder: str
    recipe: str
    pretrain: str
    probe: str
    convention: str

    @property
    def words(self) -> str:
        """The setting as captions and titles of tables print it."""
        where = (
            f"pretrained on {self.pretrain}"
            if self.pretrain
            else "pretrained on the probed data set"
        )
        return (
            f"encoder {self.encoder}, recipe {self.recipe}, {where}, probe {self.probe}, "
            f"scored by {self.convention}"
        )


def probe_of(result: Result) -> str:
    """Kind of the probe; `END_TO_END` for a method's own classifier."""
    return str(result.protocol.get("probe", result.spec.probe.kind))


def is_trained(result: Result) -> bool:
    """Whether there was any pretraining."""
    return bool(result.protocol.get("steps"))


def uses_labels(result: Result) -> bool:
    """Whether the encoder was trained on the labels."""
    return result.protocol.get("pretrained_on") == "labelled tracks"


def pretrain_of(result: Result) -> str:
    """Name of the pretraining data set.

    "" where it is the probed data set, or where there was no pretraining without labels.
    """
    spec = result.spec
    same = (
        spec.pretrain_dataset.name == spec.dataset.name
        or not is_trained(result)
        or uses_labels(result)
    )
    return "" if same else spec.pretrain_dataset.name


def setting_of(result: Result) -> Setting:
    """The setting of a cell."""
    return Setting(
        result.spec.encoder.name,
        result.spec.recipe,
        pretrain_of(result),
        probe_of(result),
        result.convention,
    )


def settings(results: Sequence[Result]) -> list[Setting]:
    """The settings that figures are drawn of, sorted.

    These are the settings of pretrained encoders. A baseline (an untrained encoder, one trained on
    labels, features without an encoder) stands beside every setting that it fits; only where it
    fits none has it a setting of its own.
    """
    shown = {
        setting_of(result) for result in results if is_trained(result) and not uses_labels(result)
    }
    alone = {
        setting_of(result)
        for result in results
        if not any(fits(result, setting) for setting in shown)
    }
    # End-to-end settings come last: their cells may fit a setting that was added just before, and
    # then need none of their own.
    for setting in sorted(alone, key=lambda setting: (setting.probe == END_TO_END, setting)):
        if not all(
            any(fits(result, other) for other in shown)
            for result in results
            if setting_of(result) == setting
        ):
            shown.add(setting)
    return sorted(shown)


def fits(result: Result, setting: Setting) -> bool:
    """Whether a cell may stand beside the pretrained encoders of a setting."""
    spec = result.spec
    is_own_encoder = spec.encoder.name == spec.method.name and not is_trained(result)
    is_baseline = not is_trained(result) or uses_labels(result)
    return (
        (spec.encoder.name == setting.encoder or is_own_encoder)
        and spec.recipe == setting.recipe
        and (pretrain_of(result) == setting.pretrain or is_baseline)
        and (probe_of(result) == setting.probe or uses_labels(result))
        and result.convention == setting.convention
    )
