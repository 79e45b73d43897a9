"""Checks the settings of plug-ins; every error is one line that names the setting."""

from typing import TypeVar

from pydantic import ValidationError

from bench.core.errors import InputError, unknown
from bench.settings.base import Spec
from bench.settings.specs import PlugIn, RunSpec

Validated = TypeVar("Validated", bound=Spec)


def validated(settings: type[Validated], plug_in: PlugIn, section: str) -> Validated:
    """The settings of a plug-in, checked against its own class, defaults filled in.

    Args:
        settings: the plug-in's class of settings.
        plug_in: its name and the settings that were given.
        section: of the spec, such as "method", for messages.

    Raises:
        InputError: an unknown setting or a value out of range.
    """
    for name in plug_in.settings:
        if name not in settings.model_fields:
            raise unknown(
                f"setting of {plug_in.name}",
                f"{section}.{name}",
                [f"{section}.{known}" for known in settings.model_fields],
            )
    try:
        return settings.model_validate(plug_in.settings)
    except ValidationError as error:
        raise setting_error(error, prefix=f"{section}.") from error


def setting_error(error: ValidationError, prefix: str = "") -> InputError:
    """The first error of pydantic as one line with the dotted name of the setting.

    Args:
        error: what pydantic raised.
        prefix: the section that the settings are of, such as "score.".
    """
    first = error.errors()[0]
    name = prefix + ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        section = name.rpartition(".")[0]
        return unknown("setting", name, [f"{section}.{key}" for key in known_settings(section)])
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "value_error":  # of several settings together: the message names them
        return InputError(f"{name.rstrip('.')}: {message}")
    return InputError(f"{name} = {first['input']!r}: {message[0].lower()}{message[1:]}")


def known_settings(section: str) -> list[str]:
    """The names of the settings in a section of a spec that is no plug-in, sorted.

    Args:
        section: dotted name, such as "augment.noise".
    """
    fields = RunSpec.model_fields
    for part in section.split("."):
        fields = getattr(fields[part].annotation, "model_fields", {}) if part in fields else {}
    return sorted(fields)
