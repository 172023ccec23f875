"""The schema in words, for `--help` and the reference page. What a setting means is written at its field."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, is_dataclass
from enum import StrEnum
from functools import cache
from itertools import pairwise

from segbench.config.schema import Losses, Part, RunConfig, hints_of
from segbench.config.values import choices_of, wanted


@dataclass(frozen=True)
class Setting:
    """A setting as it is told."""

    key: str
    """Its dotted name, as it is typed."""
    kind: str
    """What it must be, in words."""
    meaning: str
    """What it does."""


def settings(kind: type = RunConfig, prefix: str = "") -> Iterator[Setting]:
    """Yield the settings of a section and of those below it; parts have settings of their own, and are left out."""
    meanings = field_docs(kind)
    for name, hint in hints_of(kind).items():
        key = f"{prefix}{name}"
        if inspect.isclass(hint) and is_dataclass(hint):
            if hint not in (Part, Losses):
                yield from settings(hint, f"{key}.")
        elif not _has_parts(hint):
            yield Setting(key, _told(hint), meanings[name])


@cache
def field_docs(kind: type) -> dict[str, str]:
    """Return the docstrings under the fields of a dataclass, or under the members of an enumeration, each as a line."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    (body,) = (node.body for node in tree.body if isinstance(node, ast.ClassDef))
    found: dict[str, str] = {}
    for field, below in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and _is_text(below):
            found[field.target.id] = " ".join(ast.literal_eval(below.value).split())  # type: ignore[attr-defined]
    return found


def help_text() -> str:
    """Return the settings for a terminal, a line for what each must be and one for what it does."""
    return "\n".join(f"{one.key}: {one.kind}\n    {one.meaning}" for one in settings())


def markdown_table() -> str:
    """Return the settings as a table of a page."""
    rows = [f"| `{one.key}` | {one.kind} | {one.meaning} |" for one in settings()]
    return "\n".join(["| setting | must be | what it does |", "|---|---|---|", *rows])


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _has_parts(hint: object) -> bool:
    return Part.__name__ in str(hint)


def _told(hint: object) -> str:
    words: tuple[StrEnum, ...] = choices_of(hint)
    if len(words) > 1:
        return " or ".join(words)
    told = wanted(hint)
    if told == "object":
        return "null, a word, a number, or a list of these"
    return told
