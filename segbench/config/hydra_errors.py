"""What errors of Hydra, OmegaConf and YAML say, in one line."""

from __future__ import annotations

import re

from yaml import MarkedYAMLError

from segbench.core.errors import ConfigError

FROM_RESOLVER = "DataError raised while resolving interpolation: "
"""What OmegaConf puts before the words of a resolver, whose error it does not pass on."""
RAISED = re.compile("(ConfigError|DataError) raised while resolving interpolation: ")


def unreadable_yaml(error: MarkedYAMLError) -> str:
    """Return where a file is no YAML, and why."""
    mark = error.problem_mark
    place = "a file of options"
    if mark is not None:
        place = f"{mark.name}, line {mark.line + 1},"
    return f"{place} is no YAML: {error.problem}"


def first_line(error: BaseException) -> str:
    """Return what an error of Hydra or OmegaConf says, in one line; the ConfigError behind it where there is one."""
    inner: BaseException | None = error
    while inner is not None and not isinstance(inner, ConfigError):
        inner = inner.__cause__
    if inner is not None:
        return str(inner)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if lines and (raised := RAISED.match(lines[0])):
        return lines[0].removeprefix(raised[0])
    cause = [line.strip() for line in str(error.__cause__ or "").splitlines() if line.strip()]
    return "; ".join([*lines[:2], *[line for line in cause[:1] if line not in lines[:2]]])
