"""`predict`: masks, depth maps and probabilities of any pictures, from a run folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from segbench.commands.found_pictures import FoundPictures, find_pictures
from segbench.commands.output_paths import folder_for
from segbench.commands.predict_large import LargePicture, large_picture, predict_large
from segbench.commands.prediction_files import PredictionFiles
from segbench.core.errors import ConfigError, DataError
from segbench.core.overlap import overlapped
from segbench.core.terminal import outliving_the_terminal
from segbench.data.pictures import MAX_PIXELS
from segbench.data.problems import Fault, FileError, Problem, Problems, first_names, one_line, shown_name
from segbench.data.rasters import Raster, read_raster
from segbench.inference.alike import check_alike
from segbench.runs.folder import RunFolder

if TYPE_CHECKING:
    from segbench.data.loading.datamodule import SegmentationData
    from segbench.inference.prediction import Predictor

MAX_SIDE = 8192
"""Pixels of the shorter side that a network may see; pictures themselves have at most 64 million."""


Pictures = tuple[np.ndarray, np.ndarray | None]
"""A picture and its background."""
Predicted = tuple[np.ndarray, dict[str, np.ndarray]]
"""A picture and what is said of it."""


@dataclass(frozen=True)
class Wanted:
    """What `predict` is asked for."""

    out: Path
    """Folder to write into."""

    backgrounds: Path | None = None
    """Folder of the scenes without their foregrounds, by name, for `inputs=image+background`."""

    side: int | None = None
    """The shorter side that the network sees, in pixels; None for the training's."""

    device: str = "auto"
    """`auto`, `cpu`, `cuda` or `mps`."""

    overlay: bool = False
    """Whether overlays are written."""

    probabilities: bool = False
    """Whether probabilities are written."""

    uncertainty: bool = False
    """Whether it is written how unsure the network is of each pixel."""


@outliving_the_terminal()
def predict_images(run: str, images: Sequence[str], *, wanted: Wanted, plugins: Sequence[str] = ()) -> str:
    """Write the predictions for every picture, as `PredictionFiles` says, and return a closing sentence.

    Args:
        run: The run folder.
        images: Further run folders first, whose predictions are averaged with its own; then pictures, folders and
            patterns. A `plugins=[mylab]` among them is a setting, as everywhere.
        wanted: Where to, and what else.
        plugins: Packages of the user's own that the run may use.

    Raises:
        DataError: where nothing was found, or at the end, telling what could not be used.
    """
    trusted = [word for word in images if word.startswith("plugins=")]
    runs, words = _split(run, [word for word in images if word not in trusted])
    if not words:
        raise ConfigError("predict needs pictures after the runs: files, folders or patterns in quotes")
    found = find_pictures(words, wanted.out)
    if not found.files:
        raise DataError("; ".join(found.missing))
    if wanted.side is not None and wanted.side > MAX_SIDE:
        raise ConfigError(f"--side must be at most {MAX_SIDE:,} pixels, got {wanted.side:,}")
    torch_device = pick_device(wanted.device)
    from segbench.inference.load import load_trained
    from segbench.inference.prediction import Predictor

    members = [load_trained(one, trusted, plugins=plugins) for one in runs]
    check_alike(members)
    trained = members[0]
    needs_backgrounds = "background" in trained.module.inputs
    if needs_backgrounds and wanted.backgrounds is None:
        raise ConfigError(
            "this run also needs the scene without foreground: give --backgrounds DIR, a folder with a picture of the"
            " same name and size for each image"
        )
    if wanted.backgrounds is not None and not needs_backgrounds:
        raise ConfigError("this run is given the image alone: leave out --backgrounds")
    predictors = [Predictor(member, wanted.side, device=torch_device) for member in members]
    with folder_for(wanted.out.absolute()):
        return _predict_all(predictors, found, wanted=wanted, sets=[member.parts.data for member in members])


def _split(run: str, words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the runs and the pictures: words that follow the first run are runs as long as they are run folders."""
    count = next((number for number, word in enumerate(words) if not is_run(word)), len(words))
    return [run, *words[:count]], list(words[count:])


def is_run(word: str) -> bool:
    """Whether a word of the command line is the path of a run folder."""
    try:
        return RunFolder(Path(word).expanduser()).exists()
    except (OSError, RuntimeError, ValueError):  # no path at all
        return False


def _predict_all(
    predictors: Sequence[Predictor], found: FoundPictures, *, wanted: Wanted, sets: Sequence[SegmentationData]
) -> str:
    """Write all predictions and say how many; a DataError at the end tells which pictures cannot be used."""
    from segbench.inference.ensemble import MeanAnswer
    from segbench.inference.prediction import arrays_of

    files = PredictionFiles(wanted.out, sets[0].classes, wanted.overlay, wanted.probabilities)
    problems = Problems()
    clipped: list[str] = []

    def read(name: str) -> list[Pictures] | LargePicture:
        file = found.files[name]
        large = large_picture(file)
        if large is not None:
            return large
        image = read_raster(file).upright()
        if any(data.channels.clips(image) for data in sets):
            clipped.append(shown_name(file.name))
        background = None
        if wanted.backgrounds is not None:
            background = _background(wanted.backgrounds / name, image)
        return given(image, background, sets=sets)

    def work(name: str, pictures: list[Pictures] | LargePicture) -> Predicted | None:
        if isinstance(pictures, LargePicture):
            _predict_large(predictors, pictures, name=name, wanted=wanted, sets=sets)
            return None
        answer = MeanAnswer([predictor.answer(*each) for predictor, each in zip(predictors, pictures, strict=True)])
        return sets[0].channels.shown(pictures[0][0]), arrays_of(
            answer, probabilities=wanted.probabilities, entropy=wanted.uncertainty
        )

    def write(name: str, predicted: Predicted | None) -> None:
        if predicted is not None:
            image, heads = predicted
            files.write(name, image, found=heads)

    for name, error in overlapped(found.files, read, work=work, write=write):
        if error is not None:
            fault = error.fault if isinstance(error, FileError) else Fault(str(error))
            problems.append(Problem("", fault, shown_name(str(found.files[name])), "pictures"))
    count = len(found.files)
    done = f"{count - len(problems)} of {count} pictures predicted: {wanted.out.absolute()}{_clipping(clipped)}"
    reasons = list(found.missing)
    if problems:
        reasons.append(one_line(problems))
    if reasons:
        raise DataError(f"{done}; not used: {'; '.join(reasons)}")
    return done


def _clipping(names: Sequence[str]) -> str:
    if not names:
        return ""
    return (
        f"; of {len(names):,}, more than 5 % of the values lie beyond those of the training, and were clipped:"
        f" {first_names(names)}"
    )


def _predict_large(
    predictors: Sequence[Predictor],
    picture: LargePicture,
    *,
    name: str,
    wanted: Wanted,
    sets: Sequence[SegmentationData],
) -> None:
    if wanted.overlay or wanted.probabilities or wanted.uncertainty:
        raise FileError(
            "more than {} pixels, of which a mask alone is written",
            detail=f"{MAX_PIXELS:,}",
            cure="leave out --overlay, --probabilities and --uncertainty",
        )
    predict_large(predictors, picture, path=wanted.out / name, sets=sets)


def given(image: Raster, background: Raster | None, *, sets: Sequence[SegmentationData]) -> list[Pictures]:
    """Return what the network of each run is given of a picture: their values may have been measured apart."""
    if background is None:
        return [(data.image_of(image), None) for data in sets]
    return [(data.image_of(image), data.image_of(background)) for data in sets]


def _background(wanted: Path, image: Raster) -> Raster:
    """Return the picture of that name, without its suffix, which must have the size of the image."""
    found = sorted(item for item in wanted.parent.glob("*") if item.stem == wanted.name)
    if not found:
        raise DataError(f"{wanted.parent} holds no background called {wanted.name}")
    return read_background(found[0], image)


def read_background(file: Path, image: Raster) -> Raster:
    """Return the picture in a file; a DataError where it has not the size of the image."""
    background = read_raster(file).upright()
    size = image.values.shape[:2]
    other = background.values.shape[:2]
    if other != size:
        raise DataError(f"its background has another size ({other} instead of {size})")
    return background


def pick_device(name: str) -> str:
    """Return the device that `auto`, `cpu`, `cuda` or `mps` stands for here; raises ConfigError where it is missing."""
    import torch

    if name not in ("auto", "cpu", "cuda", "mps"):
        raise ConfigError(f"there is no device '{name}'; choose from auto, cpu, cuda, mps")
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(name, True):
        raise ConfigError(f"torch sees no {name} device here; use --device cpu")
    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"
