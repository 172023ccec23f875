"""From a command line to one checked configuration. Imports Hydra but no torch, so that mistakes show at once."""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, IntervalSweep, Override
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError

from segbench.config import resolvers
from segbench.config.check import SWEEPS, check_values
from segbench.config.contradictions import check_contradictions
from segbench.config.hydra_words import check_hydra, check_run_folder
from segbench.config.paths import conf_dir
from segbench.config.quoting import rendered
from segbench.config.schema import RunConfig, hints_of
from segbench.config.values import check
from segbench.core.errors import ConfigError, DataError, nearest

CONFIG_NAME = "train"
OPTIONAL = ("experiment",)
FROM_RESOLVER = "DataError raised while resolving interpolation: "
"""What OmegaConf puts before the words of a resolver, whose error it does not pass on."""
RAISED = re.compile("(ConfigError|DataError) raised while resolving interpolation: ")
SEARCH_PATH = "hydra.searchpath"
MOST_VALUES = 100_000
SYNTAX = "[]{}()'\",="
"""Characters that mean something in a value: text with one of them is left as it is typed."""
NEEDS_QUOTES = re.compile(r"[^A-Za-z0-9_/\-\\+.$%*@?|: ,\[\]{}()'\"]")
LONGEST_WORD = 4000
"""Characters of a word of the command line; the time of Hydra's parser grows with the square of a list's length."""


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
    if len(choices) == len(overrides):
        config = deepcopy(reference.config)
    else:
        config = _compose(list(overrides))
    written = _unresolved(config)
    for name in ("task", "inputs"):  # before others are computed from them
        if "${" not in str(written[name]):
            check(written[name], hints_of(RunConfig)[name], key=name)
    values = _plain(config)
    check_values(values, reference.values, written=written, defaults=reference.written)
    check_contradictions([override.key_or_group for override in parsed], values)
    check_run_folder(config)
    return config


def spelled_out(words: Sequence[str]) -> list[str]:
    """Return the words of a command line with this project's short forms as Hydra wants them.

    `loss.depth=l1` chooses an option of the group `loss/depth`. `resolution=64,128` is one list of phases, unless -m
    makes it a sweep. `tags=a,b` is one list, and a note is text whatever is in it.
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
        if name == "note" and not value.startswith(("'", '"')):
            word = f"note={rendered(value)}"
        if name not in ("tags", "note") and not value.isascii() and not any(sign in SYNTAX for sign in value):
            word = f"{name}={rendered(value)}"  # the grammar of Hydra knows no letters but those of ASCII
        found.append(word)
    return found


def check_sweep(overrides: Sequence[str]) -> None:
    """Check a multirun before its first job: the first combination, and every further value of every swept key."""
    for combination in _one_at_a_time(parse(overrides)):
        compose_config(combination)


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


def plain_config(config: DictConfig) -> dict[str, Any]:
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
    with initialize_config_dir(str(conf_dir()), version_base="1.3", job_name="segbench"):
        try:
            return compose(CONFIG_NAME, overrides=overrides, return_hydra_config=True)
        except MarkedYAMLError as error:
            raise ConfigError(unreadable_yaml(error)) from error
        except (HydraException, OmegaConfBaseException, ValueError, RecursionError) as error:
            raise ConfigError(first_line(error)) from error


def unreadable_yaml(error: MarkedYAMLError) -> str:
    """Return where a file is no YAML, and why."""
    mark = error.problem_mark
    place = "a file of options"
    if mark is not None:
        place = f"{mark.name}, line {mark.line + 1},"
    return f"{place} is no YAML: {error.problem}"


@dataclass(frozen=True, eq=False)
class _Reference:
    """What the choices of options alone come to."""

    config: DictConfig
    """The configuration."""

    values: dict[str, Any]
    """It resolved, as plain values."""

    written: dict[str, Any]
    """It with its interpolations as they are written."""


@lru_cache(maxsize=64)
def _reference(words: tuple[str, ...]) -> _Reference:
    """Return the reference of some choices, which many jobs of a sweep have in common; nobody changes it."""
    config = _compose(list(words))
    return _Reference(config, _plain(config), _unresolved(config))


def _decides_options(override: Override) -> bool:
    return _is_group(override) or override.key_or_group == SEARCH_PATH


def _unresolved(config: DictConfig) -> dict[str, Any]:
    container = OmegaConf.to_container(config, resolve=False)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def _plain(config: DictConfig) -> dict[str, Any]:
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


def _resolved(config: DictConfig, key: Any) -> Any:
    value = config[key]
    if not OmegaConf.is_config(value):
        return value
    return OmegaConf.to_container(value, resolve=True)


def with_text_keys(value: Any) -> Any:
    """Return a value whose mappings have text for keys, at any depth, as JSON has: data.labels may have numbers."""
    if isinstance(value, Mapping):
        return {str(key): with_text_keys(item) for key, item in value.items()}
    if not isinstance(value, list):
        return value
    return [with_text_keys(item) for item in value]


def first_line(error: BaseException) -> str:
    """Return what an error of Hydra or OmegaConf says, in one line; the ConfigError behind it where there is one."""
    inner: BaseException | None = error
    while inner is not None and not isinstance(inner, ConfigError):
        inner = inner.__cause__
    if inner is not None:
        return str(inner)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if lines and (raised := RAISED.match(lines[0])):
        return lines[0].removeprefix(raised[0])
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
        if group not in OPTIONAL:
            group = "/".join([group, *inner[:-1]])
        found.setdefault(group, []).append("/".join(inner) if group in OPTIONAL else inner[-1])
    return found


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
        if isinstance(value, list):
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


def swept_values(override: Override) -> list[str]:
    """Return the values of an override as they are written: one, or those that a sweep goes through.

    Raises:
        ConfigError: for an interval, which only a search can go through, and where there is no value at all.
    """
    if not override.is_sweep_override():
        return [override.get_value_element_as_str()]
    values = list(itertools.islice(_choices(override), MOST_VALUES))
    if not values:
        raise ConfigError(f"'{override.input_line}' sweeps over no value at all")
    return values


def _one_at_a_time(parsed: list[Override]) -> Iterator[list[str]]:
    swept = [
        [f"{override.get_key_element()}={value}" for value in itertools.islice(_choices(override), 1000)]
        if override.is_sweep_override()
        else [override.input_line or ""]
        for override in parsed
    ]
    first = [choices[0] for choices in swept]
    yield first
    for place, choices in enumerate(swept):
        for value in choices[1:]:
            yield [*first[:place], value, *first[place + 1 :]]


def _choices(override: Override) -> Iterator[str]:
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
