"""From the words of a sweep to its jobs: every combination of the values, each with a name that says what it varies."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from segbench.config.options import groups
from segbench.config.words import MOST_VALUES, parse, swept_values
from segbench.core.errors import ConfigError
from segbench.training.start import Begin

LONGEST_NAME = 100


@dataclass(frozen=True)
class Job:
    """One run of a sweep."""

    name: str
    """The name of its folder."""

    words: tuple[str, ...]
    """Its settings, as `key=value`."""

    varied: Mapping[str, str]
    """The settings that differ between jobs, by key."""

    begin: Begin | None = field(default=None, compare=False, repr=False)
    """Its composed configuration; None where that is left to the process that runs it."""

    watch: Callable[[int, float], None] | None = field(default=None, compare=False, repr=False)
    """Called after every validated epoch with its number from 0 and the monitored score; may raise to end the run."""


def plan_jobs(words: Sequence[str]) -> list[Job]:
    """Return the jobs of a sweep, the last word varying fastest.

    Args:
        words: Settings as typed; where one is given twice, the last one holds.

    Raises:
        ConfigError: for a word that cannot be read.
    """
    values = _values(words)
    swept = [key for key, choices in values.items() if len(choices) > 1]
    jobs = []
    for number, combination in enumerate(itertools.product(*values.values())):
        chosen = dict(zip(values, combination, strict=True))
        jobs.append(make_job(number, chosen, swept=swept))
    return jobs


def count_jobs(words: Sequence[str], limit: int) -> int:
    """Return the number of jobs that `plan_jobs` makes.

    Raises:
        ConfigError: for more than `limit`, and for a word that cannot be read.
    """
    counts = [len(choices) for choices in _values(words).values()]
    number = math.prod(counts)
    if number > limit:
        least = "at least " if MOST_VALUES in counts else ""
        raise ConfigError(
            f"the sweep has {least}{number:,} jobs, more than sweep.limit={limit}: sweep over fewer values, or give a"
            f" larger sweep.limit"
        )
    return number


def examples(jobs: Sequence[Job]) -> list[Job]:
    """Return jobs that together have every value of a sweep: the first, and those that differ from it in one place."""
    first = jobs[0].varied
    return [job for job in jobs if sum(job.varied[key] != first[key] for key in first) <= 1]


def _values(words: Sequence[str]) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for override in parse(words):
        key = override.get_key_element()
        values.pop(key, None)
        values[key] = swept_values(override)
    return values


def make_job(number: int, chosen: Mapping[str, str], *, swept: Sequence[str]) -> Job:
    """Return the job of some values, as the sweep's `number`-th from 0."""
    varied = {key.lstrip("+"): chosen[key] for key in swept}
    label = "-".join(_short(key, value) for key, value in varied.items())
    name = f"{number:03d}_{label}"[:LONGEST_NAME] if label else f"{number:03d}"
    return Job(name, tuple(f"{key}={value}" for key, value in chosen.items()), varied)


def _short(key: str, value: str) -> str:
    """Return a setting as a part of a folder's name: nothing in it that a shell would take for more than a word."""
    with suppress(ValueError):
        if not value.lstrip("-").isdigit():
            value = f"{float(value):.4g}"  # a search has many digits
    word = value if key in groups() else f"{key.rsplit('.', 1)[-1]}={value}"
    return re.sub(r"[^A-Za-z0-9._=+]+", "-", word).strip("-") or "none"
