"""The configuration that a run is continued with: the one in its folder, with what is typed now applied on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import yaml
from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from segbench.config import resolvers
from segbench.config.check import SWEEPS
from segbench.config.compose import SEARCH_PATH, compose_config
from segbench.config.contradictions import check_contradictions
from segbench.config.hydra_errors import first_line
from segbench.config.options import OPTIONAL, groups
from segbench.config.paths import conf_dir
from segbench.config.pretrained import loaded_weights
from segbench.config.saved import is_cache, is_remote, with_changes
from segbench.config.schema import RunConfig
from segbench.config.words import parse
from segbench.core.errors import ConfigError
from segbench.core.plain import Plain, inner

EARLIER_LOGGERS = {
    "tensorboard": {"_target_": "pytorch_lightning.loggers.TensorBoardLogger", "name": "tensorboard", "version": ""}
}
"""Shipped options of before, which runs may have been started with."""

NAMES = ("project", "experiment")
"""Settings of a tracker that only sort runs, wherever they are sent."""


def continued_config(
    saved: Mapping[str, object], words: Sequence[str], *, where: str
) -> tuple[RunConfig, dict[str, str]]:
    """Return the configuration of a run with the words of a resume applied, and the option chosen of each group.

    A word chooses an option of a group, which is then composed anew, or changes a single setting. The run may be of an
    untrusted user: its configuration decides what is trained, but not what is reached beyond the folder.

    Args:
        saved: The content of config.yaml, as `read_saved_config` returns it.
        words: What is typed, without the path.
        where: The run folder, for messages.

    Raises:
        ConfigError: for a word that cannot be read, a setting that does not exist, or a value of another kind.
    """
    config: Plain = {name: value for name, value in saved.items() if name != "about"}
    config |= {"resume": {"force": False}, "logger": _shipped_loggers(saved)}
    choices = recorded_choices(saved)
    overrides = parse(words)
    options = [override for override in overrides if override.key_or_group in groups()]
    searched = [override for override in overrides if override.key_or_group == SEARCH_PATH]
    for override in overrides:
        _check_word(override, where)
    if options:
        choices |= {override.key_or_group: str(override.value()) for override in options}
        config = _with_options(config, [word.input_line or "" for word in (*searched, *options)], options=options)
    single = [override.input_line or "" for override in overrides if override not in (*options, *searched)]
    changed = with_changes(config, single, choices=choices)
    changed["data"] = {**inner(changed, "data"), **_follows(config, changed)}
    checked = RunConfig.of(changed)
    check_contradictions([override.key_or_group for override in overrides], checked)
    return checked, choices


def check_start(config: RunConfig, words: Sequence[str], *, where: str) -> None:
    """Raise a ConfigError if a run that begins anew begins with weights that have not been given again.

    They may be fetched from a server, or be any file: the folder of an untrusted user does not decide that.

    Args:
        config: Of the run, with the words applied.
        words: What is typed.
        where: The beginning of the sentence: the folder, and why it begins anew.
    """
    given = {override.key_or_group for override in parse(words)}
    for key in loaded_weights(config):
        if key not in given and key.split(".")[0] not in given:
            raise ConfigError(
                f"{where} begins with pretrained weights: give {key}=... again, or start it with the same command"
            )


def recorded_choices(saved: Mapping[str, object]) -> dict[str, str]:
    """Return the options that a run says it was composed of."""
    about = saved.get("about")
    choices = None
    if isinstance(about, Mapping):
        choices = about.get("choices")
    if not isinstance(choices, Mapping):
        return {}
    return {str(group): str(option) for group, option in choices.items()}


def dropped_settings(raw: Mapping[str, object], words: Sequence[str]) -> list[str]:
    """Return the settings that a resume does not take over, as they reach beyond the folder and are not given again.

    Args:
        raw: config.yaml as it stands.
        words: What is typed.
    """
    data = inner(raw, "data")
    reaching = {
        "data.download": bool(data.get("download")),
        "data.cache": not is_cache(data.get("cache")),
        "data.root": is_remote(data.get("root")),
        "logger": _shipped_loggers(raw) != (raw.get("logger") or {}),
    }
    given = [override.key_or_group for override in parse(words)]
    return [
        key
        for key, reaches_out in reaching.items()
        if reaches_out and not any(word == key or word.startswith(f"{key}.") for word in given)
    ]


def _check_word(override: Override, where: str) -> None:
    key = override.key_or_group
    word = override.input_line or ""
    root = key.split(".")[0].split("/")[0]
    if override.is_sweep_override():
        raise ConfigError(f"'{word}' has several values, and a resume continues one run; give one value")
    if override.package is not None:
        raise ConfigError(f"'{word}' puts options at another place; give {key}=... without the @")
    if root == "hydra" and key != SEARCH_PATH:
        raise ConfigError(f"'{word}' cannot be given to a resume: it stays in its folder, {where}")
    if root in OPTIONAL:
        raise ConfigError(f"'{word}' is chosen when a run is started; give a resume the single settings of it")
    if root in SWEEPS:
        raise ConfigError(f"'{word}' is about a sweep, and a resume continues one run")


def _with_options(config: Plain, words: list[str], *, options: list[Override]) -> Plain:
    """Return the configuration with the options of groups that are composed anew, looked up in the rest of it."""
    composed = OmegaConf.to_container(compose_config(words), resolve=False)
    assert isinstance(composed, dict)
    changed: Plain = dict(config)
    for group in (override.key_or_group for override in options):
        loss = inner(changed, "loss")
        if group == "loss/depth":
            changed["loss"] = {**loss, "depth": composed["loss"]["depth"]}
        elif group == "loss":
            kept = {}
            if "depth" in loss:
                kept = {"depth": loss["depth"]}
            changed["loss"] = {**composed["loss"], **kept}
        else:
            changed[group] = composed[group] or {}
    if any(override.key_or_group == "data" for override in options):
        changed["data"] = {**inner(changed, "data"), "augment": changed["augment"]}
    resolvers.register()
    try:
        plain = OmegaConf.to_container(OmegaConf.create(changed), resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(first_line(error)) from error
    assert isinstance(plain, dict)
    named: Plain = {str(name): value for name, value in plain.items()}
    return {**named, "data": {**inner(named, "data"), **_follows(config, named)}}


def _follows(before: Mapping[str, object], now: Mapping[str, object]) -> Plain:
    """Return the augmentation of the data where it is that of the run, which it then follows."""
    data = inner(now, "data")
    follows = "augment" in data and data["augment"] in (before["augment"], now["augment"])
    if not follows:
        return {}
    return {"augment": now["augment"]}


def _shipped_loggers(saved: Mapping[str, object]) -> Plain:
    """Return the loggers of a run that are those of shipped options: others may report anywhere."""
    known: Plain = dict(EARLIER_LOGGERS)
    shipped: list[Plain] = [known]
    for file in (conf_dir() / "logger").glob("*.yaml"):
        shipped.append(yaml.safe_load(file.read_text(encoding="utf-8")) or {})
    return {
        name: node
        for name, node in inner(saved, "logger").items()
        if any(name in option and _is_like(node, option[name]) for option in shipped)
    }


def _is_like(node: object, shipped: object) -> bool:
    """Whether a logger is a shipped one, but for the name under which it keeps runs together."""
    if not isinstance(node, Mapping) or not isinstance(shipped, Mapping):
        return False
    names = {name: node[name] for name in NAMES if name in node and name in shipped}
    are_names = all(isinstance(value, str) and value.isprintable() and len(value) <= 100 for value in names.values())
    return are_names and dict(node) == {**shipped, **names}
