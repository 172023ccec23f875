"""`train`: one run of a composed configuration."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from segbench.config.values import shown
from segbench.core.errors import ConfigError
from segbench.core.terminal import outliving_the_terminal
from segbench.training.distributed.together import decided_folder
from segbench.training.start import Begin, train_in


@outliving_the_terminal()
def run_training(config: DictConfig) -> Path:
    """Train a composed configuration in the folder that it names, and return it.

    Raises:
        ConfigError: if the folder cannot be made; a refused run leaves none behind.
    """
    folder = decided_folder(Path(config.hydra.run.dir).absolute())
    try:
        before = frozenset(path for path in (folder, *folder.parents) if path.exists())
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"the folder of the run cannot be made: {error.strerror}: {shown(error.filename)}") from None
    try:
        train_in(folder, Begin.composed(config), console=Console())
        return folder
    finally:
        _remove_empty(folder, before)


def _remove_empty(folder: Path, before: frozenset[Path]) -> None:
    # what was there before stays, also where it is empty
    for path in (folder, *folder.parents):
        try:
            if path in before:
                return
            path.rmdir()
        except OSError:
            return
