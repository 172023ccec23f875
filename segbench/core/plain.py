"""Plain data, as JSON and YAML hold it. What a value of it is, is known only once it has been checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Plain = dict[str, object]
"""A JSON object, or a mapping of YAML."""

Json = dict[str, Any]
"""A JSON object that is read by converting each of its values, where what fails is caught and told as the file's."""


def inner(node: Mapping[str, object], name: str) -> Plain:
    """Return the mapping that a node holds under a name; an empty one where it holds none."""
    value = node.get(name)
    return value if isinstance(value, dict) else {}
