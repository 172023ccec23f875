"""The configuration of a run folder as plain data. It may be untrusted: nothing in it is expanded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from segbench.config.arguments import check_argument
from segbench.config.check import OPEN_NODES, in_schema
from segbench.config.compose import compose_config, plain_config, with_text_keys
from segbench.config.labels import check_plugins
from segbench.config.options import groups
from segbench.config.schema import RunConfig
from segbench.config.values import check_numbers, declared_by, fits, shown
from segbench.config.words import parse
from segbench.core.choices import one_of
from segbench.core.errors import ConfigError, nearest
from segbench.core.plain import Plain, inner
from segbench.core.plain_yaml import load_plain_yaml
from segbench.core.reading import read_text
from segbench.core.settings import unwritten
from segbench.core.tasks import Inputs, Task

MAX_BYTES = 300_000
"""The largest configuration that is read; those that segbench writes have some thousand bytes."""

PARTS = ("data", "model", "loss", "optimizer", "scheduler")
NEEDED = (*PARTS, "trainer", "seed", "task", "inputs", "depth_weight", "resolution", "logger", "tags", "note")


def read_plain_yaml(path: Path, limit: int = MAX_BYTES) -> object:
    """Return what a YAML file of at most `limit` bytes holds: mappings, lists and scalars without aliases and tags.

    Raises:
        ConfigError: if it cannot be read; what it holds is not quoted, as a link may lead to a file of secrets.
    """
    try:
        return load_plain_yaml(read_text(path, limit))
    except ValueError as error:
        raise ConfigError(f"{path} is not plain YAML: {error}") from None


WITHOUT_FOLDER = (None, "auto", "memory", "none")
"""What `data.cache` may be beside a folder."""


def looks_up(value: object) -> bool:
    """Whether `${` occurs in a value or anywhere within it, so that Hydra would replace it by something else."""
    if isinstance(value, Mapping):
        return any(looks_up(item) for pair in value.items() for item in pair)
    if isinstance(value, list | tuple):
        return any(looks_up(item) for item in value)
    return isinstance(value, str) and "${" in value


def is_cache(value: object) -> bool:
    """Whether `data.cache` makes no new folder: a word, or a folder in which decoded pictures are cached."""
    if value in WITHOUT_FOLDER:
        return True
    try:
        return isinstance(value, str) and any(Path(value).expanduser().glob("*/pixels.bin"))
    except (OSError, ValueError, RuntimeError):
        return False


def is_remote(value: object) -> bool:
    """Whether `data.root` is an address of another machine, which is asked only where it is typed."""
    return isinstance(value, str) and ("://" in value or "::" in value)


def read_saved_config(path: Path) -> Plain:
    """Return the resolved configuration in a run's `config.yaml`.

    What would fetch data or make a folder of cached pictures is switched off: the run may be untrusted. Settings that
    came after it was begun have the values by which it was trained.

    Raises:
        ConfigError: if it is missing, no plain YAML mapping, too large, or asks for something to be looked up.
    """
    loaded = read_plain_yaml(path)
    if isinstance(loaded, dict) and "predictions" in loaded and "model" not in loaded:
        raise ConfigError(f"{path.parent} holds scores of masks that another program made: there is no network in it")
    if not isinstance(loaded, dict) or any(name not in loaded for name in NEEDED):
        raise ConfigError(f"{path} is not the configuration of a run: it must hold {', '.join(NEEDED)}")
    if looks_up(loaded):
        raise ConfigError(f"{path} holds ${{...}}; the configuration of a run has been resolved when it was written")
    for name in (*PARTS, "trainer"):
        if not isinstance(loaded[name], dict) or (name in PARTS and "_target_" not in loaded[name]):
            raise ConfigError(f"{path} is not the configuration of a run: '{name}' must describe a part")
    data = dict(loaded["data"])
    if "download" in data:
        data["download"] = False
    if "cache" in data and not is_cache(data["cache"]):
        data["cache"] = "auto"
    if is_remote(data.get("root")):
        data["root"] = None
        data["storage"] = {}
    safe = {
        **loaded,
        "data": data,
        "weights": {"dirs": [], "download": False},
        "plugins": [],
    }
    return _with_unwritten(safe)


def _with_unwritten(config: Plain) -> Plain:
    """Return the configuration with the defaults of settings that did not exist when the run began."""
    known = [f"{part}.{name}" for part in (*PARTS, "trainer") for name in inner(config, part)]
    added = unwritten(known, decays=bool(inner(config, "optimizer").get("weight_decay")))
    filled = dict(config)
    for key, value in added.items():
        part, _, name = key.partition(".")
        if not name:
            filled.setdefault(part, value)
            continue
        filled[part] = {**inner(filled, part), name: value}
    return filled


def saved_config(saved: Mapping[str, object]) -> RunConfig:
    """Return what `read_saved_config` has read, with changes or without, as a checked configuration.

    Raises:
        ConfigError: for the first setting that is missing, unknown, or not what it must be.
    """
    return RunConfig.of({name: value for name, value in saved.items() if name != "about"})


def with_changes(
    config: Mapping[str, object], words: Sequence[str], *, choices: Mapping[str, str] | None = None
) -> Plain:
    """Return the configuration with `key=value` words applied, each to a setting that is there.

    Args:
        config: Of a run.
        words: What is typed; `+key=value` adds an argument for a class.
        choices: The options that it was composed of; None for those under `about`.

    Raises:
        ConfigError: for a word that cannot be read, or a setting that does not exist.
    """
    changed = dict(config)
    plugins = check_plugins(changed["plugins"])
    about = config.get("about")
    known = choices
    if choices is None and isinstance(about, Mapping):
        known = about.get("choices")
    for override in parse(words):
        key = override.key_or_group
        *parents, leaf = key.split(".")
        node = changed
        for name in parents:
            below = node.get(name)
            if not isinstance(below, dict):
                raise ConfigError(f"there is no setting '{key}'{nearest(name, map(str, node))}")
            node[name] = below = dict(below)
            node = below
        added = (override.is_add() or override.is_force_add()) and ("_target_" in node or _is_open(key))
        if leaf not in node and not added:
            raise ConfigError(f"there is no setting '{key}'{nearest(leaf, map(str, node))}")
        before = node.get(leaf)
        if isinstance(before, dict) and not added and key not in OPEN_NODES:
            raise ConfigError(
                f"'{key}' is a group: of a trained run single settings can be changed, such as"
                f" {key}.{next(iter(before), 'name')}=..."
            )
        if override.is_sweep_override():
            raise ConfigError(f"'{key}' takes one value here, got several")
        argument = _Argument(key, before, node)
        node[leaf] = argument.checked(
            with_text_keys(override.value()), known if isinstance(known, Mapping) else {}, plugins=plugins
        )
    check_plugins(changed["plugins"])
    _check_network(config, changed)
    return changed


def _is_open(key: str) -> bool:
    return any(key.startswith(f"{node}.") for node in OPEN_NODES)


def _check_network(before: Mapping[str, object], changed: Mapping[str, object]) -> None:
    """Refuse what the trained network was not made for."""
    kinds: dict[str, type[Task] | type[Inputs]] = {"task": Task, "inputs": Inputs}
    for name, valid in kinds.items():
        one_of(valid, changed[name], what=name)
        if changed[name] != before[name]:
            raise ConfigError(f"{name}={before[name]} is what the network was trained for, and stays")
    heads = inner(changed, "model").get("heads")
    needed = Task(str(changed["task"])).heads
    if isinstance(heads, Mapping) and not set(needed) <= set(heads):
        raise ConfigError(f"model.heads must have {' and '.join(needed)}, got {shown(dict(heads))}")
    old, new = (inner(config, "data").get("classes") for config in (before, changed))
    if isinstance(old, list) and isinstance(new, list) and len(old) != len(new):
        raise ConfigError(f"data.classes must be {len(old)} names, as the network was trained for, got {len(new)}")


@dataclass(frozen=True)
class _Argument:
    """A setting of a run that gets another value."""

    key: str
    """Its dotted name."""
    before: object
    """The value that the run had; None also where it had none."""
    node: Mapping[str, object]
    """What it is a setting of."""

    def checked(self, value: object, choices: Mapping[str, str], *, plugins: Sequence[str]) -> object:
        """Return a value if it is of the kind that the run had, or the default has, or what the class takes."""
        if looks_up(value):
            raise ConfigError(f"{self.key} takes a value here; ${{...}} is not looked up for a trained run")
        check_numbers(value, self.key)
        if in_schema(self.key):
            return value  # checked with the whole configuration
        if not fits(value, declared_by(_as_numbers(self.before))):
            default = _default(self.key, choices, otherwise=self.before)
            check_argument(value, default, key=self.key, target=self.node.get("_target_"), plugins=plugins)
        return value


def _default(key: str, choices: Mapping[str, str], *, otherwise: object) -> object:
    """Return the default of a setting in the options that a run was composed of."""
    part = key.split(".")[0]
    words = [
        f"{group}={option}"
        for group, option in choices.items()
        if group.split("/")[0] == part and option in groups().get(group, ())
    ]
    node: object = plain_config(compose_config(words))
    for name in key.split("."):
        if not isinstance(node, Mapping) or name not in node:
            return otherwise
        node = node[name]
    return node


def _as_numbers(value: object) -> object:
    if isinstance(value, list):
        return [_as_numbers(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value
