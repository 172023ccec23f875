"""YAML of strangers as flat text, fast where it is what segbench writes, safe where it is not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import yaml

_MAX_FLOW = 500
"""Opening brackets in a block. PyYAML's time grows with the square of their number; segbench writes almost none."""

_BLOCK = re.compile(r"^(?=[A-Za-z_]\w*:(?:\s|$))", re.MULTILINE)
_ENTRY = re.compile(r"( *)([A-Za-z_][\w./+-]*):(?: (.+))?", re.ASCII)
_ITEM = re.compile(r"( *)- (.+)", re.ASCII)
_PLAIN = re.compile(r"[+-]?\.?\w(?:[\w./+ -]*[\w./+-])?|'[^'\\]*'", re.ASCII)
_EMPTY: dict[str, Any] = {"{}": {}, "[]": []}


class _PlainLoader(yaml.SafeLoader):
    """Refuses aliases, which let a few bytes unfold to gigabytes.

    In Python on purpose: the loader in C overflows its stack on a deeply nested file and takes the process with it.
    """

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it uses aliases")
        return super().compose_node(parent, index)


def flat_yaml(text: str) -> dict[str, str]:
    """Return the entries of nested mappings by dotted name, values as `value_text` writes them.

    Runs of a sweep share most blocks of their configurations, so each is parsed once; and the few forms that segbench
    writes are read line by line, a hundred times faster than by PyYAML, which gets everything else.

    Raises:
        ValueError: for what is no plain YAML mapping.
    """
    flat: dict[str, str] = {}
    for block in _BLOCK.split(text):
        try:
            flat.update(_flat_block(block))
        except (yaml.YAMLError, TypeError, RecursionError, OverflowError) as error:
            raise ValueError(str(error)) from None
    return flat


def value_text(value: Any) -> str:
    """Return a setting as a person would type it: `0.001`, `true`, `[32,32]`, `null`, `unet`."""
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str)


@lru_cache(maxsize=2048)
def _flat_block(block: str) -> tuple[tuple[str, str], ...]:
    found = _read_lines(block)
    if found is not None:
        return tuple((name, value_text(value)) for name, value in found.items())
    if block.count("[") + block.count("{") > _MAX_FLOW:
        raise TypeError("too many brackets")
    loaded = yaml.load(block, Loader=_PlainLoader)
    if not isinstance(loaded, dict | None):
        raise TypeError("no mapping")
    return tuple(_flat(loaded or {}, ""))


def _flat(node: Mapping[Any, Any], prefix: str) -> Iterable[tuple[str, str]]:
    for key, value in node.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value_text(value)


def _read_lines(block: str) -> dict[str, Any] | None:
    """Return the values of nested mappings and lists of scalars by dotted name, or None for any other form."""
    values: dict[str, Any] = {}
    parents: list[tuple[int, str]] = []  # indentation and dotted name of the mappings that are open
    for line in block.splitlines():
        entry = _ENTRY.fullmatch(line)
        match = entry or _ITEM.fullmatch(line)
        if match is None:
            return None
        indent, text = len(match[1]), match[3] if entry else match[2]
        if text is not None and text not in _EMPTY and not _PLAIN.fullmatch(text):
            return None
        value = None if text is None else _EMPTY[text] if text in _EMPTY else _scalar(text)
        while parents and (parents[-1][0] >= indent if entry else parents[-1][0] > indent):
            parents.pop()
        above = parents[-1][1] if parents else ""
        if entry is None:
            known = values.get(above)
            if not above or not isinstance(known, list | None) or known is _EMPTY["[]"]:
                return None
            if known is None:
                values[above] = known = []
            known.append(value)
            continue
        if (indent and not above) or _scalar(match[2]) != match[2]:
            return None
        if values.pop(above, None) is not None:
            return None
        name = f"{above}.{match[2]}" if above else match[2]
        values[name] = value
        if text is None:
            parents.append((indent, name))
    return values


@lru_cache(maxsize=8192)
def _scalar(text: str) -> Any:
    return yaml.load(text, Loader=_PlainLoader)
