"""A JSON schema of an experiment's YAML file, for editors: types, bounds, choices and meaning."""

from __future__ import annotations

import inspect
import types
from collections.abc import Collection, Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from segbench.config.part_options import Options
from segbench.config.reference import field_docs
from segbench.config.schema import Losses, Part, RunConfig, hints_of
from segbench.config.values import Like, Range, choices_of
from segbench.core.plain import Plain

DRAFT = "http://json-schema.org/draft-07/schema#"
"""The version of JSON schema that editors know best."""

PARTS = ("data", "model", "loss", "loss/depth", "optimizer", "scheduler", "augment")
"""Groups whose options are parts; those of others hold settings of `RunConfig`, or belong to a sweep."""

LOOKED_UP = {"type": "string", "pattern": r"\$\{"}
"""`${...}` stands for any value."""

KINDS: dict[object, Plain] = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    Path: {"type": "string"},
    list: {"type": "array"},
    type(None): {"type": "null"},
}
BOUNDS = {"least": "minimum", "most": "maximum", "above": "exclusiveMinimum", "below": "exclusiveMaximum"}


def experiment_schema(folders: Sequence[Path] = (), plugins: Sequence[str] = ()) -> Plain:
    """Return the JSON schema of a file in `conf/experiment`.

    Args:
        folders: Folders of the user's own options, as `hydra.searchpath` has them.
        plugins: The user's own packages.
    """
    options = Options(folders)
    rules: list[Plain] = []
    definitions: Plain = {}
    for group in PARTS:
        known: set[str] = set()
        for name in options.of(group):
            arguments = options.arguments(group, name, plugins=plugins)
            properties = {one.name: _value(one.hint, one.meaning) for one in arguments}
            known |= {*properties}
            definitions[_name(group, name)] = _part(properties, is_open=options.is_open(group, name, plugins=plugins))
            rules.append(
                {"if": _chosen(group, name), "then": _at(group, {"$ref": f"#/definitions/{_name(group, name)}"})}
            )
        rules.append({"if": {"not": _chosen(group)}, "then": _at(group, _any_of_names(known))})
    top = {name: _setting(hint, field_docs(RunConfig)[name]) for name, hint in hints_of(RunConfig).items()}
    chosen = {f"override /{group}": {"enum": options.of(group)} for group in options.groups()}
    item = {"type": ["string", "object"], "properties": chosen, "additionalProperties": False}
    return {
        "$schema": DRAFT,
        "title": "An experiment of segbench",
        "type": "object",
        "properties": {"defaults": {"type": "array", "items": item}, **top},
        "additionalProperties": False,
        "allOf": rules,
        "definitions": definitions,
    }


def _name(group: str, option: str) -> str:
    return f"{group.replace('/', '.')}={option}"


def as_schema(hint: object) -> Plain:
    """Return the JSON schema of plain data that a declaration asks for; `{}` takes everything."""
    origin = get_origin(hint)
    inner = get_args(hint)
    if origin is Annotated:
        return as_schema(inner[0]) | _annotated(inner[1:])
    if origin in (Union, types.UnionType):
        return {"anyOf": [as_schema(one) for one in inner]}
    if words := choices_of(hint):
        return {"enum": [word.value for word in words]}
    if origin is Literal:
        return {"enum": list(inner)}
    if hint in KINDS:
        return dict(KINDS[hint])
    kind = origin or hint
    if not inspect.isclass(kind) or kind in (Any, object):
        return {}
    if issubclass(kind, Mapping):
        return {"type": "object", "additionalProperties": as_schema(inner[-1]) if inner else {}}
    if issubclass(kind, Collection) and kind.__module__ in ("builtins", "collections.abc"):  # no tensor
        fixed = kind is tuple and inner and inner[-1] is not Ellipsis
        length = {}
        if fixed:
            length = {"minItems": len(inner), "maxItems": len(inner)}
        return {"type": "array", "items": as_schema(inner[0]) if inner else {}, **length}
    return {"type": "object", "required": ["_target_"]}  # a part


def _annotated(notes: Sequence[object]) -> Plain:
    found: Plain = {}
    for note in notes:
        if isinstance(note, Range):
            limits = {word: getattr(note, name) for name, word in BOUNDS.items()}
            found |= {word: limit for word, limit in limits.items() if limit is not None}
        elif isinstance(note, Like):
            found["examples"] = [note.example]
    return found


def _setting(hint: object, meaning: str) -> Plain:
    if hint in (Part, Losses) or Part.__name__ in str(hint):
        return {"type": ["object", "string"], "description": meaning}
    if not (inspect.isclass(hint) and is_dataclass(hint)):
        return _value(hint, meaning)
    docs = field_docs(hint)
    properties = {name: _setting(inner, docs[name]) for name, inner in hints_of(hint).items()}
    return {"type": "object", "description": meaning, "properties": properties, "additionalProperties": False}


def _value(hint: object, meaning: str) -> Plain:
    told: Plain = {"description": meaning} if meaning else {}
    known = as_schema(hint)
    if not known:
        return told
    several = known.get("anyOf")
    if not isinstance(several, list):
        several = [known]
    return {**told, "anyOf": [*several, LOOKED_UP]}


def _part(properties: Mapping[str, object], *, is_open: bool) -> Plain:
    """Return the schema of a part; one that names another class has the arguments of that one."""
    fixed = {"properties": properties, **({} if is_open else {"additionalProperties": False})}
    return {"if": {"required": ["_target_"]}, "else": fixed}


def _any_of_names(known: Collection[str]) -> Plain:
    """Return the schema of a part whose option is chosen elsewhere: its settings are those of some option."""
    return {"if": {"required": ["_target_"]}, "else": {"propertyNames": {"enum": sorted({*known, "depth"})}}}


def _chosen(group: str, option: str | None = None) -> Plain:
    """Return the condition that the file chooses an option of a group, or this one."""
    key = f"override /{group}"
    choice = {
        "type": "object",
        "required": [key],
        **({} if option is None else {"properties": {key: {"const": option}}}),
    }
    return {"required": ["defaults"], "properties": {"defaults": {"contains": choice}}}


def _at(group: str, schema: Plain) -> Plain:
    """Return the condition that what lies under a group's name is as a schema says."""
    for name in reversed(group.split("/")):
        schema = {"properties": {name: schema}}
    return schema
