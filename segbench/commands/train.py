"""`train`: one run of a composed configuration."""

from __future__ import annotations

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict
from rich.console import Console

from segbench.core.terminal import outliving_the_terminal
from segbench.training.start import Begin, train_in


@outliving_the_terminal()
def run_training(config: DictConfig, before: frozenset[Path]) -> float:
    """Train a configuration that Hydra has composed, in the folder that it chose; return the best val score.

    Args:
        config: As composed by Hydra.
        before: The folders that were there before Hydra made this one; no other is ever removed.
    """
    folder = Path(HydraConfig.get().runtime.output_dir)
    with open_dict(config):
        config.hydra = HydraConfig.get()
    try:
        results = train_in(folder, Begin.composed(config), Console())
    finally:
        _remove_empty(folder, before)
    return float(results["metrics"][results.get("monitor", "val/mean_iou")]["best"])


def _remove_empty(folder: Path, before: frozenset[Path]) -> None:
    # Hydra makes the folder before anything is checked; a refused run leaves nothing behind, and takes nothing away
    for path in (folder, *folder.parents):
        try:
            if path in before:
                return
            path.rmdir()
        except OSError:
            return
