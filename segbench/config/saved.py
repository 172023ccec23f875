"""The configuration of a run folder as plain data. It may be somebody else's: nothing in it is expanded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from segbench.config.compose import parse
from segbench.core.errors import ConfigError, nearest

MAX_BYTES = 1_000_000
PARTS = ("data", "model", "loss", "optimizer", "scheduler")
NEEDED = (*PARTS, "trainer", "seed", "task", "inputs")
LATER = {"resolution": None, "depth_weight": 1.0, "logger": None}
"""Settings that came later, with what runs without them did."""


class _PlainLoader(yaml.SafeLoader):
    """Refuses aliases, which let a file of a few bytes unfold to gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it uses aliases")
        return super().compose_node(parent, index)


def read_saved_config(path: Path) -> dict[str, Any]:
    """Return the resolved configuration in a run's `config.yaml`.

    Raises:
        ConfigError: if it is missing, no plain YAML mapping, too large, or asks for something to be looked up.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"{path} is larger than any configuration that segbench writes")
        text = path.read_text()
        loaded = yaml.load(text, Loader=_PlainLoader)  # a SafeLoader: no tags, no code
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not a configuration: {' '.join(str(error).split())[:200]}") from None
    if not isinstance(loaded, dict) or any(name not in loaded for name in NEEDED):
        raise ConfigError(f"{path} is not the configuration of a run: it must hold {', '.join(NEEDED)}")
    if "${" in text:
        raise ConfigError(f"{path} holds ${{...}}; the configuration of a run has been resolved when it was written")
    for name in (*PARTS, "trainer"):
        if not isinstance(loaded[name], dict) or (name in PARTS and "_target_" not in loaded[name]):
            raise ConfigError(f"{path} is not the configuration of a run: '{name}' must describe a part")
    return {**LATER, **loaded, "plugins": []}


def with_changes(config: Mapping[str, Any], words: Sequence[str]) -> dict[str, Any]:
    """Return the configuration with `key=value` words applied, each to a setting that is there.

    Raises:
        ConfigError: for a word that cannot be read or a setting that does not exist.
    """
    changed = dict(config)
    for override in parse(words):
        *parents, leaf = override.key_or_group.split(".")
        node = changed
        for name in parents:
            if not isinstance(node.get(name), dict):
                raise ConfigError(f"there is no setting '{override.key_or_group}'{nearest(name, node)}")
            node[name] = dict(node[name])
            node = node[name]
        if leaf not in node:
            raise ConfigError(f"there is no setting '{override.key_or_group}'{nearest(leaf, node)}")
        if isinstance(node[leaf], dict):
            raise ConfigError(
                f"'{override.key_or_group}' is a group: of a trained run single settings can be changed, such as"
                f" {override.key_or_group}.{next(iter(node[leaf]), 'name')}=..."
            )
        if override.is_sweep_override():
            raise ConfigError(f"'{override.key_or_group}' takes one value here, got several")
        node[leaf] = override.value()
    return changed
