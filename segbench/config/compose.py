"""From a command line to one checked configuration. Imports Hydra but no torch, so that mistakes show at once."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, DictKeyType, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError

from segbench.config import resolvers
from segbench.config.check import SWEEPS, check_values
from segbench.config.contradictions import check_contradictions
from segbench.config.hydra_errors import FROM_RESOLVER, first_line, unreadable_yaml
from segbench.config.hydra_private import put_values
from segbench.config.hydra_words import check_hydra, check_run_folder
from segbench.config.options import OPTIONAL, SEVERAL, groups
from segbench.config.paths import conf_dir
from segbench.config.schema import RunConfig, hints_of
from segbench.config.values import check
from segbench.config.words import parse, sweep_values
from segbench.core.errors import ConfigError, DataError, nearest
from segbench.core.plain import Plain

CONFIG_NAME = "train"
SEARCH_PATH = "hydra.searchpath"


def compose_config(overrides: Sequence[str]) -> DictConfig:
    """Return the composed and checked configuration, with its `hydra` node.

    The keys that the YAML files hold are the keys there are. What a value must be is said by the schema, for a part by
    its default. A key added with `+` is left to the signature of the class that takes it.

    Raises:
        ConfigError: for an unknown group, option, key or a value of the wrong type, naming the nearest valid one.
    """
    parsed = parse(overrides)
    for override in parsed:
        _check_single(override)
        _check_option(override)
        check_hydra(override)
    choices = tuple(word for o, word in zip(parsed, overrides, strict=True) if _decides_options(o))
    reference = _reference(choices)
    for override in parsed:
        _check_key(override, reference.config)
    if any(override.key_or_group == SEARCH_PATH for override in parsed):
        config = _compose(list(overrides))  # what is a group there, Hydra alone knows
    else:
        config = _with_values(reference.config, parsed)
    written = _unresolved(config)
    for name in ("task", "inputs"):  # before others are computed from them
        if "${" not in str(written[name]):
            check(written[name], hints_of(RunConfig)[name], key=name)
    values = _plain(config)
    checked = check_values(values, reference.values, written=written, defaults=reference.written)
    check_contradictions([override.key_or_group for override in parsed], checked)
    check_run_folder(config)
    return config


def check_sweep(overrides: Sequence[str]) -> None:
    """Check a multirun before its first job: the first combination, and every further value of every swept key."""
    for combination in _one_at_a_time(parse(overrides)):
        compose_config(combination)


def plain_config(config: DictConfig) -> Plain:
    """Return the resolved configuration without its `hydra` node, as plain dicts, lists and scalars."""
    return _plain(config)


def run_config(config: DictConfig) -> RunConfig:
    """Return the settings of one run, without what concerns only a sweep."""
    return RunConfig.of({name: value for name, value in plain_config(config).items() if name not in SWEEPS})


def chosen_options(config: DictConfig) -> dict[str, str]:
    """Return the option chosen of each group, for example `{"model": "unet", "loss": "dice"}`."""
    choices = OmegaConf.select(config, "hydra.runtime.choices") or {}
    return {
        str(k): str(v)
        for k, v in choices.items()
        if not str(k).startswith("hydra/") and str(k) not in SWEEPS and v is not None
    }


def _compose(overrides: list[str]) -> DictConfig:
    resolvers.register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_dir()), version_base="1.3", job_name="segbench"), _in_one_line():
        return compose(CONFIG_NAME, overrides=overrides, return_hydra_config=True)


def _with_values(reference: DictConfig, overrides: Sequence[Override]) -> DictConfig:
    """Return what all overrides compose to, given what the choices of options come to: in a tenth of the time."""
    config = deepcopy(reference)
    OmegaConf.clear_cache(config)  # of what resolvers have given for other values, such as the time
    with _in_one_line():
        put_values(config, overrides, values=[override for override in overrides if not _decides_options(override)])
    return config


@contextmanager
def _in_one_line() -> Iterator[None]:
    """Turn what Hydra says of a mistake into one sentence."""
    try:
        yield
    except MarkedYAMLError as error:
        raise ConfigError(unreadable_yaml(error)) from error
    except (HydraException, OmegaConfBaseException, ValueError, RecursionError) as error:
        raise ConfigError(first_line(error)) from error


@dataclass(frozen=True, eq=False)
class _Reference:
    """What the choices of options alone come to."""

    config: DictConfig
    """The configuration."""

    values: Plain
    """It resolved, as plain values."""

    written: Plain
    """It with its interpolations as they are written."""


@lru_cache(maxsize=64)
def _reference(words: tuple[str, ...]) -> _Reference:
    """Return the reference of some choices, which many jobs of a sweep have in common; nobody changes it."""
    config = _compose(list(words))
    return _Reference(config, _plain(config), _unresolved(config))


def _decides_options(override: Override) -> bool:
    return _is_group(override) or override.key_or_group == SEARCH_PATH


def _unresolved(config: DictConfig) -> Plain:
    container = OmegaConf.to_container(config, resolve=False)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def _plain(config: DictConfig) -> Plain:
    if "hydra" in config:
        HydraConfig.instance().set_config(config)  # ${hydra:...} asks the configuration that is being looked at
    try:
        container = {key: _resolved(config, key) for key in config if key != "hydra"}
    except OmegaConfBaseException as error:
        kind = DataError if str(error).startswith(FROM_RESOLVER) else ConfigError
        raise kind(first_line(error)) from error
    named = with_text_keys(container)
    assert isinstance(named, dict)
    return named


def _resolved(config: DictConfig, key: DictKeyType) -> object:
    value = config[key]
    if not OmegaConf.is_config(value):
        return value
    return OmegaConf.to_container(value, resolve=True)


def with_text_keys(value: object) -> object:
    """Return a value whose mappings have text for keys, at any depth, as JSON has: data.labels may have numbers."""
    if isinstance(value, Mapping):
        return {str(key): with_text_keys(item) for key, item in value.items()}
    if not isinstance(value, list):
        return value
    return [with_text_keys(item) for item in value]


def _is_group(override: Override) -> bool:
    return override.key_or_group in groups() or override.key_or_group.startswith("hydra/")


def _check_single(override: Override) -> None:
    word = override.input_line or ""
    if override.is_sweep_override():
        raise ConfigError(f"'{word}' has several values: sweep them with -m, or give a list as key=[a,b]")
    if override.package is not None and not word.startswith("hydra"):
        raise ConfigError(f"'{word}' puts options at another place; give {override.key_or_group}=... without the @")


def _check_option(override: Override) -> None:
    options = groups().get(override.key_or_group)
    if options is None:
        return
    value = override.value()
    if value is None and override.key_or_group not in OPTIONAL:
        raise ConfigError(f"{override.key_or_group} needs an option{nearest('', options)}")
    for name in value if isinstance(value, list) else [value]:
        known = f"{name}" in options or name is None
        if isinstance(value, list) and override.key_or_group not in SEVERAL:
            raise ConfigError(
                f"{override.key_or_group}={value} names several options; give one, or sweep them with -m"
                f" {override.key_or_group}={','.join(map(str, value))}"
            )
        if ".." in str(name) or (not known and not _from_elsewhere()):
            hint = nearest(str(name), options)
            raise ConfigError(f"there is no {override.key_or_group} called '{name}'{hint}")


def _from_elsewhere() -> bool:
    """Whether the user added their own folder of options; then Hydra alone knows what exists."""
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
        where = f" in {_with_option(parent, reference)}" if parent else ""
        raise ConfigError(f"there is no setting '{leaf}'{where}{nearest(leaf, names)}")


def _with_option(key: str, reference: DictConfig) -> str:
    """Return a section with the option that is chosen for it, such as `model=fcn`: in a sweep it is one of several."""
    option = chosen_options(reference).get(key.replace(".", "/"))
    if option is None:
        return key
    return f"{key}={option}"


def _all_keys(config: DictConfig) -> list[str]:
    found: list[str] = []

    def walk(node: Mapping[str, object], prefix: str) -> None:
        for name, value in node.items():
            found.append(f"{prefix}{name}")
            if isinstance(value, dict):
                walk(value, f"{prefix}{name}.")

    walk(_plain(config), "")
    return found


def _one_at_a_time(parsed: list[Override]) -> Iterator[list[str]]:
    swept = [
        [f"{override.get_key_element()}={value}" for value in itertools.islice(sweep_values(override), 1000)]
        if override.is_sweep_override()
        else [override.input_line or ""]
        for override in parsed
    ]
    first = [choices[0] for choices in swept]
    yield first
    for place, choices in enumerate(swept):
        for value in choices[1:]:
            yield [*first[:place], value, *first[place + 1 :]]
