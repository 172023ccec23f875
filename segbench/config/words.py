"""Words of a command line: short forms, what they say, and the values that they sweep over."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, IntervalSweep, Override
from hydra.errors import HydraException, OverrideParseException

from segbench.config.hydra_errors import first_line
from segbench.config.options import groups
from segbench.config.quoting import rendered
from segbench.core.errors import ConfigError

MOST_VALUES = 100_000
SYNTAX = "[]{}()'\",="
"""Characters that mean something in a value: text with one of them is left as it is typed."""
NEEDS_QUOTES = re.compile(r"[^A-Za-z0-9_/\-\\+.$%*@?|: ,\[\]{}()'\"]")
PATTERNS = ("data.images", "data.mask_files", "data.group")
"""Settings whose values may have fields in braces, which Hydra would take for mappings."""
LONGEST_WORD = 4000
"""Characters of a word of the command line; the time of Hydra's parser grows with the square of a list's length."""


def spelled_out(words: Sequence[str]) -> list[str]:
    """Return the words of a command line with this project's short forms as Hydra wants them.

    `loss.depth=l1` chooses an option of the group `loss/depth`. `resolution=64,128` is one list of phases, unless -m
    makes it a sweep. `tags=a,b` is one list, and a note is text whatever is in it, as is a pattern with `{fields}`.
    """
    sweep = "-m" in words or "--multirun" in words
    found = []
    for word in words:
        name, _, value = word.partition("=")
        if name == "loss.depth":
            word = f"loss/depth={value}"
        if name == "resolution" and "," in value and not value.startswith(("[", "'", '"')) and not sweep:
            word = f"resolution=[{value}]"
        if name == "tags" and value and not value.startswith(("[", "'", '"')):
            word = f"tags={rendered(value.split(','))}"
        if name in PATTERNS and "{" in value and not value.startswith(("'", '"')) and not (sweep and "," in value):
            word = f"{name}={rendered(value)}"
        if name == "note" and not value.startswith(("'", '"')):
            word = f"note={rendered(value)}"
        if name not in ("tags", "note") and not value.isascii() and not any(sign in SYNTAX for sign in value):
            word = f"{name}={rendered(value)}"  # the grammar of Hydra knows no letters but those of ASCII
        found.append(word)
    return found


def parse(overrides: Sequence[str]) -> list[Override]:
    """Return the parsed overrides; a ConfigError quotes the one that cannot be read."""
    parser = OverridesParser.create()
    return [_parse_word(parser, text) for text in overrides]


def _parse_word(parser: OverridesParser, text: str) -> Override:
    short = text if len(text) <= 100 else f"{text[:80]}..."
    if text.startswith("-"):
        raise ConfigError(f"unknown option '{short}'; settings are given as key=value, see --help")
    if text.startswith("~"):
        raise ConfigError(f"cannot read '{short}': a setting cannot be taken away, only given another value")
    if len(text) > LONGEST_WORD:
        raise ConfigError(f"cannot read '{short}': it has {len(text):,} characters, the most are {LONGEST_WORD:,}")
    if not text.isprintable():
        raise ConfigError(f"cannot read {short!a}: it has characters that cannot be printed")
    try:
        override = parser.parse_override(text)
        if "=" not in text:
            raise OverrideParseException(text, "no value")
        _ = override.value()
    except (HydraException, ValueError, RecursionError):
        raise ConfigError(f"cannot read '{short}': {_why_unread(text)}") from None
    return override


def _why_unread(text: str) -> str:
    if not text.partition("=")[0].isascii():
        return "names of settings have letters of ASCII alone"
    strange = NEEDS_QUOTES.search(text.partition("=")[2])
    cause = "a value with = , [ or spaces in it"
    if strange:
        cause = f"the {strange.group()} in its value"
    return f"settings are given as key=value; {cause} needs quotes inside quotes, as in \"key='a=b'\""


def swept_values(override: Override) -> list[str]:
    """Return the values of an override as they are written: one, or those that a sweep goes through.

    Raises:
        ConfigError: for an interval, which only a search can go through, and where there is no value at all.
    """
    if not override.is_sweep_override():
        return [override.get_value_element_as_str()]
    values = list(itertools.islice(sweep_values(override), MOST_VALUES))
    if not values:
        raise ConfigError(f"'{override.input_line}' sweeps over no value at all")
    return values


def sweep_values(override: Override) -> Iterator[str]:
    """Yield the values that a word sweeps over, as they are written; an interval has none."""
    value = override.value()
    word = override.input_line
    if isinstance(value, Glob):
        options = value.filter(groups().get(override.key_or_group, []))
        if not options:
            raise ConfigError(f"'{word}' fits no option of a group")
        return iter(options)
    if isinstance(value, IntervalSweep):
        raise ConfigError(f"'{word}' is for a search: add sweep=tpe, or give values as key=1,2")
    try:
        return override.sweep_string_iterator()
    except HydraException as error:
        raise ConfigError(f"cannot read '{word}': {first_line(error)}") from error
