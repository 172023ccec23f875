"""YAML of untrusted files as plain data: mappings, lists and scalars, without aliases, tags or deep nesting."""

from __future__ import annotations

import yaml

DEEPEST = 40
"""Levels of nesting; a configuration has less than ten. The loader in C overflows its stack on tens of thousands."""

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where PyYAML was built with libyaml


def load_plain_yaml(text: str) -> object:
    """Return the value of one YAML document.

    Raises:
        ValueError: if it is not plain YAML, and why. It quotes none of the text: a link may lead to a file of secrets.
    """
    try:
        _check_events(text)
        loaded: object = yaml.load(text, Loader=_Loader)
        return loaded
    except yaml.MarkedYAMLError as error:
        line = "it"
        if error.problem_mark:
            line = f"line {error.problem_mark.line + 1}"
        raise ValueError(f"{line} cannot be parsed") from None
    except (yaml.YAMLError, TypeError, RecursionError, OverflowError) as error:
        reason = " ".join(str(error).split())[:100]
        raise ValueError(reason or "it cannot be parsed") from None


def _check_events(text: str) -> None:
    """Refuse what would unfold to gigabytes, make other objects, or overflow the stack, before anything is built."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("it uses aliases")
        if getattr(event, "tag", None) is not None:
            raise ValueError("it uses tags")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            raise ValueError(f"it is nested more than {DEEPEST} levels deep")
