"""The base class of every spec, in a file of its own since several modules define specs."""

from pydantic import BaseModel, ConfigDict


class Spec(BaseModel):
    """Base of all specs and of every plug-in's `Settings`: frozen; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
