"""Canonical JSON of settings, and its digest: equal settings have equal digests."""

import hashlib
import json
from typing import Any

from pydantic import BaseModel


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces, so that equal content gives equal text.

    Args:
        value: what JSON can hold, with specs, which are written as their fields.

    Raises:
        TypeError: a part of it is neither.
        ValueError: it holds NaN or an infinity.
    """

    def plain(item: Any) -> Any:
        if isinstance(item, BaseModel):
            return item.model_dump(mode="json")
        raise TypeError(f"cannot hash {type(item).__name__}")

    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=plain, allow_nan=False)


def digest(value: Any, length: int = 16) -> str:
    """SHA-256 of the canonical JSON, in hexadecimal digits.

    Args:
        value: as for `canonical`.
        length: number of digits that are kept.
    """
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:length]
