"""A trained run as a function from a picture to a prediction."""

from __future__ import annotations

from segbench.core.errors import ConfigError, DataError
from segbench.inference.arrays import Picture, Prediction, as_image
from segbench.inference.load import TrainedRun
from segbench.inference.prediction import Predictor
from segbench.runs.folder import RunFolder


class TrainedModel:
    """A trained network that is called with a picture; made by `segbench.load`.

    Args:
        trained: The run with its weights.
        side: The shorter side that the network sees, in pixels; None for the training's.
        device: Where it runs.
    """

    def __init__(self, trained: TrainedRun, side: int | None = None, *, device: str = "cpu") -> None:
        data = trained.parts.data
        self.run: RunFolder = trained.run
        self.classes: list[str] = data.classes
        self._data = data
        self._needs_background = "background" in trained.module.inputs
        self._predictor = Predictor(trained, side, device=device)

    def __call__(self, image: Picture, background: Picture | None = None) -> Prediction:
        """Return the prediction for a picture of any size.

        Args:
            image: A path, a PIL picture, or an array: grey, RGB or RGBA, uint8 or floats in 0..1; for a run on other
                bands or values, one with those of its files.
            background: The scene without its foreground, for a run with `inputs=image+background`.

        Raises:
            DataError: for a picture that cannot be read.
            ConfigError: for a background that is missing, or that the network is not given.
        """
        if self._needs_background != (background is not None):
            if self._needs_background:
                need = "also needs the background"
            else:
                need = "is given the image alone"
            raise ConfigError(f"the run {self.run.path} {need}; its setting is inputs={self._inputs}")
        picture = as_image(image, self._data.channels, convert=self._data.image_of)
        behind = None
        if background is not None:
            behind = as_image(background, self._data.channels, convert=self._data.image_of)
        if behind is not None and behind.shape != picture.shape:
            raise DataError(
                f"the background has another size than the image: {list(behind.shape[:2])} instead of"
                f" {list(picture.shape[:2])}"
            )
        found = self._predictor(picture, behind, probabilities=True)
        return Prediction(found.get("mask"), found.get("probabilities"), found.get("depth"))

    @property
    def _inputs(self) -> str:
        if self._needs_background:
            return "image+background"
        return "image"
