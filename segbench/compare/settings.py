"""The settings of runs as flat text, and which of them tell the runs apart."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path

from segbench.compare.files import Unusable, read_text
from segbench.core.plain_yaml import load_plain_yaml
from segbench.core.settings import is_experimental, unwritten

MAX_CONFIG = 100_000
"""Bytes. A configuration has about 3,000."""
_BLOCK = re.compile(r"^(?=[A-Za-z_]\w*:(?:\s|$))", re.MULTILINE)
"""Where an entry of the outermost mapping begins."""

_WORD = re.compile(
    r"([A-Za-z_]\w*): (?=[\w/-]*[h-mp-su-wH-MP-SU-W])(?!(?:null|true|yes)\n)(\w[\w/-]*)\n", re.ASCII | re.IGNORECASE
)
"""An entry whose value is a word to any reader of YAML, such as the name of a run, which no other run has."""

REPLICATIONS = ("seed", "data.seed", "data.fold")
"""Settings that repeat an experiment: other luck, another draw of the data, another part of them held out."""
DRAWS = tuple(name for name in REPLICATIONS if name != "seed")
"""Those that draw other data."""
DERIVED = ("model.in_channels", "model.heads", "data.augment", "plugins")
"""Settings that others decide, with all below them."""


def read_settings(path: Path) -> dict[str, str]:
    """Return a run's settings by dotted name, the chosen options (`model`, `loss/depth`) first; raises Unusable."""
    try:
        flat = flat_yaml(read_text(path, MAX_CONFIG))
    except ValueError as error:
        raise Unusable(f"{path.name} is not plain YAML: {error}") from None
    about = {key: flat.pop(key) for key in list(flat) if key.startswith("about.")}
    start = "about.choices."
    choices = {key.removeprefix(start): value for key, value in about.items() if key.startswith(start)}
    if not flat:
        raise Unusable(f"{path.name} holds no settings")
    if "predictions" not in flat:  # masks of another program have no settings of a training
        decays = not any(same_value(flat.get("optimizer.weight_decay", "null"), none) for none in ("0", "null"))
        flat |= {name: text for name, text in _unwritten(decays).items() if name not in flat}
    return {**choices, **{key: value for key, value in flat.items() if key not in choices}}


def draw_of(settings: Mapping[str, str]) -> tuple[str, ...]:
    """Return which draw of the data a run has: its values of DRAWS, the fold last."""
    return tuple(settings.get(name, "") for name in DRAWS)


def flat_yaml(text: str) -> dict[str, str]:
    """Return the entries of nested mappings by dotted name, values as `value_text` writes them.

    Runs of a sweep share most blocks of their configurations, so each block is parsed once.

    Raises:
        ValueError: for what is no plain YAML mapping.
    """
    flat: dict[str, str] = {}
    for block in _BLOCK.split(text):
        if word := _WORD.fullmatch(block):
            flat[word[1]] = word[2]
        else:
            flat.update(_flat_block(block))
    return flat


def value_text(value: object) -> str:
    """Return a setting as a user would type it: `0.001`, `true`, `[32,32]`, `null`, `unet`."""
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str)


@lru_cache(maxsize=2)  # thousands of old runs lack the same few
def _unwritten(decays: bool) -> dict[str, str]:
    return {name: value_text(value) for name, value in unwritten((), decays=decays).items()}


@lru_cache(maxsize=4096)
def _flat_block(block: str) -> tuple[tuple[str, str], ...]:
    loaded = load_plain_yaml(block)
    if not isinstance(loaded, dict | None):
        raise ValueError("it holds no mapping")
    return tuple(_flat(loaded or {}, ""))


def _flat(node: Mapping[object, object], prefix: str) -> Iterator[tuple[str, str]]:
    for key, value in node.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value_text(value)


def same_value(first: str, second: str) -> bool:
    """Whether two settings are equal as text or as numbers: `1e-3` is `0.001`."""
    if first == second:
        return True
    try:
        return float(first) == float(second)
    except ValueError:
        return False


def differing(settings: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the experimental settings that tell runs apart, without replications and what a choice explains.

    `model.width` is left out where it is the same in all runs with the same `model`: naming the model says it.
    """
    names = dict.fromkeys(chain.from_iterable(settings))
    scored = any("predictions" in one for one in settings)
    return [
        name
        for name in names
        if name not in REPLICATIONS
        and is_experimental(name)
        and not any(name == derived or name.startswith(f"{derived}.") for derived in DERIVED)
        and len({one.get(name) for one in settings if not (scored and _is_silent(one, name))}) > 1
        and not _explained(name, settings, options=names)
    ]


def _is_silent(settings: Mapping[str, str], name: str) -> bool:
    """Whether a run says nothing of a setting: masks of another program (`segbench score`) had no optimizer."""
    return "predictions" in settings and name not in settings


def _explained(name: str, settings: Sequence[Mapping[str, str]], *, options: Collection[str]) -> bool:
    """Whether the chosen options that `name` lies in, of all that runs have, always come with the same value of it."""
    parts = name.split(".")
    inside = [parts[0]] + ["/".join(parts[:2])] * (len(parts) > 2)  # model.width: model; loss.depth.head: loss/depth
    owners = [owner for owner in inside if len(parts) > 1 and owner in options and is_experimental(owner)]
    seen: dict[tuple[str | None, ...], str | None] = {}
    return bool(owners) and all(
        seen.setdefault(tuple(one.get(owner) for owner in owners), one.get(name)) == one.get(name) for one in settings
    )
