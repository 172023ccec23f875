"""From a command line to one checked configuration. Imports Hydra but no torch, so that mistakes show at once."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from segbench.config import resolvers
from segbench.config.check import check_values
from segbench.config.paths import conf_dir
from segbench.core.errors import ConfigError, nearest

CONFIG_NAME = "train"
OPTIONAL = ("experiment",)


def compose_config(overrides: Sequence[str]) -> DictConfig:
    """Return the composed and checked configuration, with its `hydra` node.

    The YAML files are the schema: the keys they hold are the keys there are, and the type of a default is the type of
    the value. A key added with `+` is left to the signature of the class that takes it.

    Raises:
        ConfigError: for an unknown group, option, key or a value of the wrong type, naming the nearest valid one.
    """
    parsed = parse(overrides)
    groups = [o.input_line or "" for o in parsed if _is_group(o)]
    for override in parsed:
        _check_option(override)
    reference = _compose(groups)
    for override in parsed:
        _check_key(override, reference)
    config = _compose(list(overrides))
    written = OmegaConf.to_container(config, resolve=False)
    assert isinstance(written, dict)
    check_values(_plain(config), _plain(reference), written)
    return config


def spelled_out(words: Sequence[str]) -> list[str]:
    """Return the words of a command line with this project's two short forms as Hydra wants them.

    `loss.depth=l1` chooses an option of the group `loss/depth`. `resolution=64,128` is one list of phases, unless -m
    makes it a sweep.
    """
    sweep = "-m" in words or "--multirun" in words
    found = []
    for word in words:
        name, _, value = word.partition("=")
        if name == "loss.depth":
            word = f"loss/depth={value}"
        if name == "resolution" and "," in value and not value.startswith(("[", "'", '"')) and not sweep:
            word = f"resolution=[{value}]"
        found.append(word)
    return found


def check_sweep(overrides: Sequence[str]) -> None:
    """Check a multirun before its first job: the first combination, and every further value of every swept key."""
    for combination in _one_at_a_time(parse(overrides)):
        compose_config(combination)


def parse(overrides: Sequence[str]) -> list[Override]:
    """Return the parsed overrides; a ConfigError quotes the one that cannot be read."""
    parser = OverridesParser.create()
    parsed = []
    for text in overrides:
        if text.startswith("-"):
            raise ConfigError(f"unknown option '{text}'; settings are given as key=value, see --help")
        try:
            override = parser.parse_override(text)
            if override.is_delete() or "=" not in text:
                raise OverrideParseException(text, "no value")
            parsed.append(override)
        except HydraException:
            raise ConfigError(
                f"cannot read '{text}': settings are given as key=value; a value with = , [ or spaces in it needs"
                f" quotes inside quotes, as in \"key='a=b'\""
            ) from None
    return parsed


def plain_config(config: DictConfig) -> dict[str, Any]:
    """Return the resolved configuration without its `hydra` node, as plain dicts, lists and scalars."""
    return _plain(config)


def chosen_options(config: DictConfig) -> dict[str, str]:
    """Return the option chosen of each group, for example `{"model": "unet", "loss": "dice"}`."""
    choices = OmegaConf.select(config, "hydra.runtime.choices") or {}
    return {str(k): str(v) for k, v in choices.items() if not str(k).startswith("hydra/") and v is not None}


def _compose(overrides: list[str]) -> DictConfig:
    resolvers.register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_dir()), version_base="1.3", job_name="segbench"):
        try:
            return compose(CONFIG_NAME, overrides=overrides, return_hydra_config=True)
        except (HydraException, OmegaConfBaseException) as error:
            raise ConfigError(_first_line(error)) from error


def _plain(config: DictConfig) -> dict[str, Any]:
    if "hydra" in config:
        HydraConfig.instance().set_config(config)  # ${hydra:...} asks the configuration that is being looked at
    copy = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    try:
        container = OmegaConf.to_container(copy, resolve=True)
    except OmegaConfBaseException as error:
        cause = error.__cause__ if isinstance(error.__cause__, ConfigError) else None
        raise ConfigError(str(cause) if cause else _first_line(error)) from error
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    cause = [line.strip() for line in str(error.__cause__ or "").splitlines() if line.strip()]
    return "; ".join([*lines[:2], *[line for line in cause[:1] if line not in lines[:2]]])


@cache
def groups() -> dict[str, list[str]]:
    """Return every group and its options, found by listing the configuration folder.

    A folder within a group is a group of its own (`loss/depth`), but experiments are only sorted into folders: one is
    chosen as `experiment=seed/camvid_unet`.
    """
    root = conf_dir()
    found: dict[str, list[str]] = {}
    for file in sorted(root.rglob("*.yaml")):
        group, *inner = file.relative_to(root).with_suffix("").parts
        if not inner:
            continue
        group = group if group in OPTIONAL else "/".join([group, *inner[:-1]])
        found.setdefault(group, []).append("/".join(inner) if group in OPTIONAL else inner[-1])
    return found


def _is_group(override: Override) -> bool:
    return override.key_or_group in groups() or override.key_or_group.startswith("hydra/")


def _check_option(override: Override) -> None:
    options = groups().get(override.key_or_group)
    if options is None:
        return
    value = override.value()
    if value is None and override.key_or_group not in OPTIONAL:
        raise ConfigError(f"{override.key_or_group} needs an option{nearest('', options)}")
    for name in value if isinstance(value, list) else [value]:
        known = f"{name}" in options or name is None
        if isinstance(value, list):
            raise ConfigError(
                f"{override.key_or_group}={value} names several options; give one, or sweep them with -m"
                f" {override.key_or_group}={','.join(map(str, value))}"
            )
        if ".." in str(name) or (not known and not _from_elsewhere()):
            hint = nearest(str(name), options)
            raise ConfigError(f"there is no {override.key_or_group} called '{name}'{hint}")


def _from_elsewhere() -> bool:
    """Whether the person added their own folder of options; then Hydra alone knows what exists."""
    return any("hydra.searchpath" in word or "--config-dir" in word for word in sys.argv)


def _check_key(override: Override, reference: DictConfig) -> None:
    key = override.key_or_group
    if _is_group(override) or override.is_add() or override.is_force_add() or key.startswith("hydra."):
        return
    parent, _, leaf = key.rpartition(".")
    node = OmegaConf.select(reference, parent) if parent else reference
    if node is None or not isinstance(node, DictConfig):
        raise ConfigError(f"there is no setting '{key}'{nearest(key, _all_keys(reference))}")
    if leaf not in node:
        names = {str(name) for name in node if name != "hydra"} | (set() if parent else set(groups()))
        where = f" in {parent}" if parent else ""
        raise ConfigError(f"there is no setting '{leaf}'{where}{nearest(leaf, names)}")


def _all_keys(config: DictConfig) -> list[str]:
    found: list[str] = []

    def walk(node: Any, prefix: str) -> None:
        for name, value in node.items():
            found.append(f"{prefix}{name}")
            if isinstance(value, dict):
                walk(value, f"{prefix}{name}.")

    walk(_plain(config), "")
    return found


def _one_at_a_time(parsed: list[Override]) -> Iterator[list[str]]:
    swept: list[list[str]] = []
    for override in parsed:
        if override.is_sweep_override():
            key = override.get_key_element()
            swept.append([f"{key}={value}" for value in itertools.islice(override.sweep_string_iterator(), 1000)])
        else:
            swept.append([override.input_line or ""])
    first = [choices[0] for choices in swept]
    yield first
    for place, choices in enumerate(swept):
        for value in choices[1:]:
            yield [*first[:place], value, *first[place + 1 :]]
