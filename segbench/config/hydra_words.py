"""Settings of Hydra itself: what would go round segbench's own checks is refused, and mistakes in the others."""

from __future__ import annotations

from pathlib import Path

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from segbench.config.values import shown
from segbench.core.errors import ConfigError

FIXED = {
    "hydra": "give its settings one by one, such as hydra.run.dir=DIR",
    "hydra.mode": "use -m for a sweep",
    "hydra.job.chdir": "a run stays in the folder that it was started in",
    "hydra.output_subdir": "a run folder has its .hydra in any case",
}
"""Settings that cannot be given, and what to do instead."""


TAKEN = ("hydra.run.dir", "hydra.sweep.dir", "hydra.searchpath")
"""Settings that can be given; nothing would come of another one, as segbench starts its runs itself."""


def check_hydra(override: Override) -> None:
    """Raise a ConfigError for a `hydra` setting that cannot be given, or a folder of options that is not there."""
    key = override.key_or_group
    value = override.value()
    if key in FIXED:
        raise ConfigError(f"'{override.input_line}' cannot be set: {FIXED[key]}")
    if key.startswith(("hydra.", "hydra/")) and key not in TAKEN:
        raise ConfigError(f"'{override.input_line}' has no effect; of Hydra's settings there are {', '.join(TAKEN)}")
    if key == "hydra.run.dir" and value is None:
        raise ConfigError("hydra.run.dir must be the path of a folder, got nothing")
    if key != "hydra.searchpath":
        return
    for place in value if isinstance(value, list) else [value]:
        scheme, _, path = str(place).rpartition("://")
        if scheme in ("", "file") and not Path(path).is_dir():
            raise ConfigError(f"hydra.searchpath: there is no folder {shown(path)}; give [file:///path/to/options]")


def check_run_folder(config: DictConfig) -> None:
    """Raise a ConfigError if `hydra.run.dir` is no name of a folder."""
    try:
        folder = config.hydra.run.dir
    except OmegaConfBaseException as error:
        raise ConfigError(f"hydra.run.dir: {str(error).splitlines()[0]}") from error
    if not isinstance(folder, str) or not folder.strip():
        raise ConfigError(f"hydra.run.dir must be the path of a folder, got {shown(folder)}")
