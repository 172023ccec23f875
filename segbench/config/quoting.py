"""Values written so that Hydra's grammar of the command line reads the same values."""

from __future__ import annotations

import re

from segbench.core.errors import ConfigError

_NAME = re.compile("(?!(?i:null|true|false|nan|inf)$)[A-Za-z_][A-Za-z0-9_-]*")


def rendered(value: object) -> str:
    """Return a plain value in the grammar of Hydra's overrides, which reads the same value from it.

    Args:
        value: A string, number, bool, None, or a list or dict of these; the keys of a dict are names.

    Raises:
        ConfigError: for anything else.
    """
    if isinstance(value, str):
        slashes = re.sub(r"(\\+)(?='|\Z)", r"\1\1", value)  # only before a quote does a backslash need another
        return "'" + slashes.replace("'", "\\'") + "'"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list):
        return "[" + ",".join(map(rendered, value)) + "]"
    if isinstance(value, dict) and all(isinstance(key, str) and _NAME.fullmatch(key) for key in value):
        return "{" + ",".join(f"{key}:{rendered(item)}" for key, item in value.items()) + "}"
    raise ConfigError(f"{type(value).__name__} {str(value)[:80]!r} cannot be given as a setting")
