"""Where a configuration asks for pretrained weights, which may come from a server or from any file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from segbench.config.schema import RunConfig

SMP = "segmentation_models_pytorch."
NETWORKS = ("segbench.models.", "torchvision.models.", SMP)
"""Where the classes are that take weights; a loss has weights of another kind."""

NAMES = ("weights", "encoder_weights", "init_from")


def loaded_weights(config: RunConfig) -> list[str]:
    """Return the settings of a configuration, also of nested networks, that have weights loaded.

    smp's own default of `encoder_weights` asks a server, so that a network of smp without the setting counts too.
    """
    return [
        f"{path}.{name}"
        for path, node in _networks(config.plain())
        for name in _settings(node)
        if node.get(name, "the default") not in (None, "none")
    ]


def without_pretrained(config: RunConfig) -> RunConfig:
    """Return the configuration for a run that has a checkpoint: its weights need no file and no server any more."""
    return RunConfig.of({name: _stripped(value, top=name == "model") for name, value in config.plain().items()})


def _networks(value: object, path: str = "") -> Iterator[tuple[str, Mapping[str, object]]]:
    if isinstance(value, Mapping):
        if path == "model" or _is_network(value):
            yield path, value
        for name, item in value.items():
            yield from _networks(item, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list | tuple):
        for place, item in enumerate(value):
            yield from _networks(item, f"{path}[{place}]")


def _stripped(value: object, *, top: bool = False) -> object:
    if isinstance(value, Mapping):
        found = {name: _stripped(item) for name, item in value.items()}
        if top or _is_network(value):
            return found | dict.fromkeys(_settings(value))
        return found
    if isinstance(value, list | tuple):
        return [_stripped(item) for item in value]
    return value


def _is_network(node: Mapping[str, object]) -> bool:
    target = str(node.get("_target_"))
    return target.startswith(NETWORKS) and not target.startswith(f"{SMP}losses.")


def _settings(node: Mapping[str, object]) -> list[str]:
    """Return the settings of a network that have weights loaded, or would by a default of its class."""
    smp = str(node.get("_target_")).startswith(SMP)
    return [name for name in NAMES if name in node or (smp and name == "encoder_weights")]
