"""The front door for Python: what the verbs of the command line do, as functions. No torch at import time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from segbench.compare.front import Run, compare
from segbench.core.choices import SCORED, one_of
from segbench.core.errors import ConfigError
from segbench.core.versions import check_versions
from segbench.runs.folder import RunFolder

if TYPE_CHECKING:
    from segbench.export.exported import ExportedModel
    from segbench.inference.evaluation import Evaluation
    from segbench.inference.model import TrainedModel

__all__ = ["Run", "compare", "evaluate", "load", "resume", "train"]


def train(*settings: str, quiet: bool = False) -> RunFolder:
    """Train one run and return its folder.

    Args:
        *settings: As on the command line, such as `"model=unet"`, `"data.size=[64,64]"` or `"hydra.run.dir=DIR"`.
        quiet: Print nothing; the run's log is written all the same.

    Raises:
        SegbenchError: for everything that the settings or the data have wrong, as on the command line.
    """
    from segbench.commands.output_paths import folder_for
    from segbench.config.compose import compose_config
    from segbench.config.words import spelled_out
    from segbench.training.distributed.together import decided_folder, together, with_devices
    from segbench.training.start import Begin, train_in

    config = compose_config(with_devices(spelled_out(list(settings))))

    def run() -> Path:
        folder = decided_folder(Path(config.hydra.run.dir).absolute())
        with folder_for(folder):
            train_in(folder, Begin.composed(config), console=Console(quiet=quiet))
        return folder

    return RunFolder(together(run))


def resume(run: Run, *settings: str, quiet: bool = False) -> RunFolder:
    """Continue a stopped run in its own folder, or extend a finished one, and return it.

    Args:
        run: The run.
        *settings: Settings to change, such as `"trainer.max_epochs=20"`.
        quiet: Print nothing.

    Raises:
        SegbenchError: as the command `segbench resume` does.
    """
    from segbench.commands.resume import continue_run
    from segbench.config.words import spelled_out
    from segbench.training.distributed.together import together, with_devices

    words = with_devices(spelled_out(list(settings)))
    together(lambda: continue_run(str(_path(run)), words, console=Console(quiet=quiet)).path)
    return RunFolder(_path(run))


def evaluate(run: Run, split: str = "test", *, changes: Sequence[str] = (), plugins: Sequence[str] = ()) -> Evaluation:
    """Score a run's best weights again and return the numbers.

    Args:
        run: The run.
        split: `val` or `test`.
        changes: Settings as `key=value`, such as `data.root=DIR` where the data was moved.
        plugins: Packages of your own whose classes the run may name.

    Returns:
        `scores` by name (`test/mean_iou`), `recorded` ones of the run itself, whether they are of the `same_data`,
        `data_fingerprint`, `classes` and the number of `images`.

    Raises:
        SegbenchError: for a run that cannot be loaded, or its data.
    """
    chosen = one_of(SCORED, split, what="split", why="to evaluate")
    check_versions()
    from segbench.inference.evaluation import evaluate as score
    from segbench.inference.load import load_trained

    return score(load_trained(_path(run), changes, plugins=plugins, scores=True), chosen)


def load(
    run: Run,
    changes: Sequence[str] = (),
    *,
    plugins: Sequence[str] = (),
    side: int | None = None,
    device: str = "auto",
) -> TrainedModel | ExportedModel:
    """Return a trained run as a function: `load(run)(picture)` has `mask`, `probabilities` and `depth`.

    Args:
        run: The run, or a file of ONNX that `segbench export` wrote; that needs no torch.
        changes: Settings as `key=value`.
        plugins: Packages of your own whose classes the run may name.
        side: The shorter side in pixels that the network sees; None for the training's.
        device: Where it runs: `auto` (CUDA where there is one), `cpu`, `cuda` or `mps`.

    Raises:
        SegbenchError: for a run that cannot be loaded.
    """
    check_versions()
    path = _path(run)
    if path.suffix.lower() == ".onnx":
        if changes or plugins or side is not None:
            raise ConfigError(f"{path} holds its settings: load it without changes, plugins and side")
        from segbench.export.exported import load_onnx

        return load_onnx(path, device)
    from segbench.commands.predict import pick_device
    from segbench.inference.load import load_trained
    from segbench.inference.model import TrainedModel

    return TrainedModel(load_trained(_path(run), changes, plugins=plugins), side, device=pick_device(device))


def _path(run: Run) -> Path:
    if isinstance(run, RunFolder):
        return run.path
    return Path(run)
