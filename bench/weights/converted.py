"""A checkpoint in this project's names, the result of reading any format."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

_SHOWN = 3  # names in a message
Tensors = Mapping[str, Tensor]
"""Tensors by their names."""


@dataclass
class Converted:
    """A checkpoint in this project's names.

    Attributes:
        encoder: name of the encoder that it is for; "" where the file does not say.
        settings: settings of the encoder, as far as the shapes in the file determine them.
        tensors: weights under the names `encoder.*`, and `classifier.*` where the file holds one.
        frontend: buffers of the authors' log-mel, under the names of `bench.data.frontend.LogMel`.
        dropped: number of tensors of each kind that are left out.
        notes: remarks for the user, one sentence each.
        format: name of the format that the file was read as.
    """

    encoder: str
    settings: dict[str, Any] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    frontend: dict[str, Tensor] = field(default_factory=dict)
    dropped: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    format: str = "mapping"


def few(names: Iterable[str]) -> str:
    """Lists the first few names for a message, and says how many more there are."""
    listed = list(names)
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return ", ".join(listed[:_SHOWN]) + more
