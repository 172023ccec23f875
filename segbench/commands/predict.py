"""`predict`: masks, overlays and depth maps of any pictures, from a run folder."""

from __future__ import annotations

import glob
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from segbench.commands.output_paths import folder_for
from segbench.core.errors import ConfigError, DataError
from segbench.core.terminal import outliving_the_terminal
from segbench.data.problems import Fault, FileError, Problem, Problems, shown_name, told
from segbench.report.palette import colour, palette
from segbench.report.panels import grey

if TYPE_CHECKING:
    from segbench.inference.prediction import Predictor

MAX_SIDE = 8192
"""Pixels of the shorter side that a network may see; pictures themselves have at most 64 million."""


@outliving_the_terminal()
def predict_images(
    run: str,
    images: Sequence[str],
    out: Path,
    backgrounds: Path | None = None,
    side: int | None = None,
    device: str = "auto",
    plugins: Sequence[str] = (),
) -> str:
    """Write the predictions for every picture into `out` and return a closing sentence.

    For `<name>.jpg`: `<name>_mask.png` (palette PNG of class ids, at the picture's own size), `<name>_overlay.png`, and
    for a depth head `<name>_depth.npy` (float32) with `<name>_depth.png` to look at.

    A `plugins=[mylab]` among the pictures is a setting, as everywhere.

    Raises:
        DataError: where nothing was found, or at the end, telling what could not be used.
    """
    trusted = [word for word in images if word.startswith("plugins=")]
    files, missing = find_pictures([word for word in images if word not in trusted])
    if not files:
        raise DataError("; ".join(missing))
    if side is not None and side > MAX_SIDE:
        raise ConfigError(f"--side must be at most {MAX_SIDE:,} pixels, got {side:,}")
    torch_device = pick_device(device)
    from segbench.inference.load import load_trained
    from segbench.inference.prediction import Predictor

    trained = load_trained(run, trusted, plugins)
    if ("background" in trained.module.fed) != (backgrounds is not None):
        need = "also needs the scene without foreground" if backgrounds is None else "is given the image alone"
        raise ConfigError(
            f"this run {need}: {'give' if backgrounds is None else 'leave out'} --backgrounds DIR, a folder with a"
            " picture of the same name and size for each image"
        )
    data = trained.experiment.data
    predictor = Predictor(trained.module, data.size, side, torch_device)
    with folder_for(out.absolute()):
        problems = Problems()
        done = _predict_all(predictor, _named(files), out, backgrounds, data.classes, problems)
        if missing or problems:
            reasons = [*missing, told(problems)] if problems else missing
            raise DataError(f"{done}; not used: {'; '.join(reasons)}")
    return done


def _predict_all(
    predictor: Predictor,
    files: Mapping[str, Path],
    out: Path,
    backgrounds: Path | None,
    classes: Sequence[str],
    problems: Problems,
) -> str:
    """Write all predictions, note each picture that cannot be used, and say how many could be."""
    for name, file in files.items():
        try:
            _predict_one(predictor, file, name, out, backgrounds, classes)
        except DataError as error:
            fault = error.fault if isinstance(error, FileError) else Fault(str(error))
            problems.append(Problem("", fault, shown_name(str(file)), "pictures"))
        except OSError as error:
            raise DataError(f"the prediction of {file} cannot be written into {out}: {error.strerror}") from None
    return f"{len(files) - len(problems)} of {len(files)} pictures predicted: {out.absolute()}"


def find_pictures(words: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Return the files that files, folders (their pictures) and patterns name, and a sentence for each without."""
    from segbench.data.pictures import SUFFIXES

    files: list[Path] = []
    missing: list[str] = []
    for word in words:
        try:
            found = _found(word, SUFFIXES) if word else []
        except (OSError, RuntimeError, ValueError) as error:  # no such user, too long, a folder that is not mine
            missing.append(f"{word[:80]}: {getattr(error, 'strerror', None) or error}")
            continue
        if not found:
            missing.append(f"{word}: there is no such picture, folder with pictures or pattern that fits any")
        files += [file for file in found if file not in files]
    return files, missing


def _found(word: str, suffixes: Container[str]) -> list[Path]:
    path = Path(word).expanduser()
    if path.is_dir():
        return sorted(item for item in path.iterdir() if item.suffix.lower() in suffixes)
    if path.exists():
        return [path]
    return sorted(Path(name) for name in glob.glob(str(path), recursive=True))  # noqa: PTH207 (any root)


def _named(files: Sequence[Path]) -> dict[str, Path]:
    """Return output names: the stem, with its folder's name or a number before it where several files share it."""
    named: dict[str, Path] = {}
    for file in files:
        choices = [
            file.stem,
            f"{file.parent.name}_{file.stem}",
            *(f"{file.stem}_{n}" for n in range(2, len(files) + 2)),
        ]
        named[next(choice for choice in choices if choice not in named)] = file
    return named


def _predict_one(
    predictor: Predictor, file: Path, name: str, out: Path, backgrounds: Path | None, classes: Sequence[str]
) -> None:
    from segbench.data.pictures import read_rgb

    image = np.array(read_rgb(file))
    background = None if backgrounds is None else np.array(read_rgb(_same_name(backgrounds, file)))
    if background is not None and background.shape != image.shape:
        raise DataError(f"its background has another size ({background.shape[:2]} instead of {image.shape[:2]})")
    found = predictor(image, background)
    if "mask" in found:
        mask = Image.fromarray(found["mask"])
        mask.putpalette(palette(len(classes)).tobytes())
        mask.save(out / f"{name}_mask.png")
        Image.fromarray(overlay(image, found["mask"], len(classes))).save(out / f"{name}_overlay.png")
    if "depth" in found:
        np.save(out / f"{name}_depth.npy", found["depth"])
        Image.fromarray(grey(found["depth"], float(max(found["depth"].max(), 1e-6)))).save(out / f"{name}_depth.png")


def _same_name(folder: Path, file: Path) -> Path:
    found = sorted(item for item in folder.glob("*") if item.stem == file.stem)
    if not found:
        raise DataError(f"{folder} holds no background called {file.stem}")
    return found[0]


def overlay(image: np.ndarray, mask: np.ndarray, classes: int) -> np.ndarray:
    """Return the picture uint8 `[H,W,3]` with each class but the first laid over it in its colour, half transparent."""
    mixed = ((image.astype(np.uint16) + colour(mask, classes)) // 2).astype(np.uint8)
    return np.where((mask == 0)[..., None], image, mixed)


def pick_device(name: str) -> str:
    """Return the device that `auto`, `cpu`, `cuda` or `mps` stands for here; raises ConfigError where it is missing."""
    import torch

    if name not in ("auto", "cpu", "cuda", "mps"):
        raise ConfigError(f"there is no device '{name}'; choose from auto, cpu, cuda, mps")
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(name, True):
        raise ConfigError(f"torch sees no {name} device here; use --device cpu")
    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name
