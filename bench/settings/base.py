"""The base of every spec, in a file of its own: specs are spread over several."""

from pydantic import BaseModel, ConfigDict


class Spec(BaseModel):
    """Base of all specs and of every plug-in's `Settings`: frozen; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
