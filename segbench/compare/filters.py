"""`--filter`: which runs are looked at."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from segbench.compare.runs import Run
from segbench.compare.settings import same_value
from segbench.core.errors import ConfigError, nearest

ALWAYS = ("state", "name")
"""What can be asked of every run, of broken ones too."""
TAGS = "tags"
"""Any run may have some; one without them has none of any."""
_OUTSIDE_BRACKETS = re.compile(r",(?![^\[\]]*\])")
_CONDITION = re.compile(r"([^=!,\[\]]+?)\s*(!?=)(.*)", re.DOTALL)


@dataclass(frozen=True)
class Condition:
    """A setting (or any of the tags) is one of the values, or (not `equal`) none of them."""

    name: str
    """The setting, or `tags`."""

    equal: bool
    """Whether it has to be one of the values, or none of them."""

    values: tuple[str, ...]
    """The values."""

    def holds(self, run: Run) -> bool:
        """Whether the run fulfils it; a run without the setting has none of the values."""
        if self.name == TAGS:
            return self.equal == any(tag in self.values for tag in run.tags)
        value = {"state": run.state, "name": run.name}.get(self.name, run.settings.get(self.name))
        return self.equal == (value is not None and any(same_value(value, one) for one in self.values))


def parse_filters(words: Sequence[str]) -> list[Condition]:
    """Return the conditions in `key=value`, `key!=value`, `key=one,two` and `key=one,other!=two`.

    A comma begins another condition where `key=` or `key!=` follows, else another value; commas in brackets are part of
    the value. Raises ConfigError.
    """
    conditions: list[Condition] = []
    for word in words:
        fresh = True
        for piece in _OUTSIDE_BRACKETS.split(word):
            match = _CONDITION.fullmatch(piece.strip())
            if match:
                conditions.append(Condition(match[1].strip(), match[2] == "=", (match[3].strip(),)))
            elif fresh:
                raise ConfigError(f"--filter '{word}' is no condition; write key=value, key!=value or key=one,two")
            else:
                last = conditions.pop()
                conditions.append(Condition(last.name, last.equal, (*last.values, piece.strip())))
            fresh = False
    return conditions


def filter_runs(runs: Sequence[Run], words: Sequence[str]) -> list[Run]:
    """Return the runs that fulfil all conditions; broken ones, whose settings nobody knows, are kept.

    Raises:
        ConfigError: for a word that is no condition, a key that no run has, or where nothing is left.
    """
    conditions = parse_filters(words)
    names = known_names(runs) if conditions else []
    for condition in conditions:
        if condition.name == TAGS:
            _check_tags(runs, condition)
        elif condition.name not in names:
            raise ConfigError(
                f"--filter: no run has a setting '{condition.name}'{nearest(condition.name, [*names, TAGS])}"
            )
    kept = [run for run in runs if all(c.holds(run) for c in conditions if run.state != "broken" or c.name in ALWAYS)]
    if conditions and all(run.state == "broken" for run in kept):
        raise ConfigError(f"--filter '{','.join(words)}' leaves no readable run of {len(runs)}")
    return kept


def _check_tags(runs: Sequence[Run], condition: Condition) -> None:
    """Raise ConfigError where runs with a tag are asked for that no run has."""
    known = sorted({tag for run in runs for tag in run.tags})
    if not condition.equal or any(value in known for value in condition.values):
        return
    asked = ",".join(condition.values)
    if not known:
        raise ConfigError(f"--filter tags={asked}: no run there has tags; a run gets them as train.py tags=paper,draft")
    raise ConfigError(f"--filter tags={asked}: no run has that tag{nearest(asked, known)}")


def known_names(runs: Sequence[Run]) -> list[str]:
    """Return what can be filtered and grouped by: all settings of all runs, and `state` and `name`."""
    return [*ALWAYS, *dict.fromkeys(name for run in runs for name in run.settings if name not in ALWAYS)]
