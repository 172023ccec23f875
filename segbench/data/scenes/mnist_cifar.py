"""mnist_cifar: a handwritten digit over a photo, with its exact mask, rendered as it is asked for."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from segbench.core.choices import SPLITS, Split
from segbench.core.errors import ConfigError, DataError
from segbench.data.folders import together
from segbench.data.loading.source import Arrays
from segbench.data.scenes.digits import DOWNLOAD, WANTED, read_digits, read_photos
from segbench.data.scenes.mnist_cifar_plan import DigitLayout, DigitPlanner, DigitScene, official_splits
from segbench.data.scenes.mnist_cifar_render import DigitTaps, render_digit
from segbench.data.scenes.planned import PlannedData


class MnistCifar(PlannedData[DigitScene]):
    """MNIST digits over CIFAR-10 photos; the idea, and the recipe `blend=add`, are RobRomijnders/segm's.

    `classes` says what is asked: of 2, the second is any digit; of 11, the others are the digits 0 to 9. Training uses
    a part of the official training pictures, val the rest of them, and the test the official test pictures: a digit or
    a photo is never in two splits.

    Args:
        mnist: Folder of idx files, .npz, or folder of PNG; None looks in `root`.
        cifar: .npz, folder that holds `cifar-10-batches-py`, or folder of PNG; None looks in `root`.
        root: Folder as torchvision makes it, with `MNIST/raw` and `cifar-10-batches-py`.
        download: Let torchvision fetch what is missing into `root`.
        val_share: Share of the official training pictures kept for val.
        blend: `add`: the digit brightens the photo, as in the older project. `alpha`: it is laid over it.
        gain: What a full digit value adds, 0..255, for `add`.
        colour: `white` or `random`, for `alpha`.
        mask_threshold: Share of a full digit value above which a pixel is digit.
        offsets: `original`: places 0 to 17 of 0 to 18 in each direction, at 32 pixels, so that the last row and column
            never show a digit, as in the older project. `all`: every place.
        **common: As for every generated data set: `PlannedData`.
    """

    entries = ("image", "mask", "background")
    planners: dict[Split, DigitPlanner]

    def __init__(
        self,
        mnist: str | None = None,
        cifar: str | None = None,
        *,
        root: str | None = None,
        download: bool = False,
        train_size: int = 6400,
        val_size: int = 1000,
        test_size: int = 2000,
        val_share: float = 0.1,
        blend: str = "add",
        gain: int = 200,
        colour: str = "white",
        mask_threshold: float = 0.3,
        offsets: str = "original",
        **common: Any,
    ) -> None:
        super().__init__(train_size=train_size, val_size=val_size, test_size=test_size, **common)
        if len(self.classes) not in (2, 11):
            raise ConfigError(
                "data.classes must be 2 names (background and any digit) or 11 (background and the digits 0 to 9), got"
                f" {len(self.classes)}: {', '.join(self.classes)}"
            )
        if not 0 < val_share < 1:
            raise ConfigError(f"data.val_share must be above 0 and below 1, got {val_share}")
        if download and root is None:
            raise ConfigError("data.download=true needs data.root=DIR, the folder to download into")
        self.paths = (mnist, cifar)
        self.root = root
        self.download = download
        self.val_share = val_share
        self.layout = DigitLayout(self.size, blend, gain, mask_threshold, colour, offsets)

    def prepare(self) -> None:
        """Read and check the digits and photos, split them and set up the plans."""
        if self.root is None and None in self.paths:
            missing = [key for key, path in zip(WANTED, self.paths, strict=True) if path is None]
            wanted = "; ".join(f"{key}=PATH, {WANTED[key]}" for key in missing)
            raise DataError(f"{' and '.join(missing)} not set: give {wanted}; or {DOWNLOAD}")
        digits, photos = together(
            lambda: read_digits(self.paths[0], self.root, download=self.download),
            lambda: read_photos(self.paths[1], self.root, download=self.download),
        )
        pools = {"data.mnist": digits, "data.cifar": photos}
        parts = {}
        for key, pool in pools.items():
            pool.check(key)
            parts[key] = official_splits(
                len(pool.images), pool.training, val_share=self.val_share, seed=self.seed, what=key
            )
        self.digits = digits.images
        self.photos = photos.images
        assert digits.labels is not None
        self.digit_labels = digits.labels
        self.class_ids = np.ones_like(digits.labels) if len(self.classes) == 2 else digits.labels + 1
        self._taps = DigitTaps(self.layout, self.digits.shape[1:], photo=self.photos.shape[1:3])
        self._digest = f"{digits.digest()}:{photos.digest()}"
        for split in SPLITS:
            self.planners[split] = DigitPlanner(
                self.seed,
                split,
                layout=self.layout,
                digits=parts["data.mnist"][split],
                photos=parts["data.cifar"][split],
            )
        self.check_splits()

    def sample(self, split: Split, *, epoch: int, index: int) -> Arrays:
        """Return image, mask and background of a scene."""
        scene = self.scene(split, epoch=epoch, index=index)
        image, inside, background = render_digit(
            scene, self.layout, sources=self._taps, digits=self.digits, photos=self.photos
        )
        mask = inside * self.class_ids[scene.digit]
        return {"image": image, "mask": mask, "background": background}

    def fingerprint(self, split: Split) -> str:
        """Return a digest of the pictures and of every setting that decides the scenes of a split."""
        settings = {"layout": asdict(self.layout), "val_share": self.val_share, "pictures": self._digest}
        return self.digest(split, settings)

    def describe(self, split: Split) -> str:
        """Return how many scenes of how many digits and photos."""
        planner = self.planners[split]
        return f"{self.sizes[split]:,} scenes of {len(planner.digits):,} digits on {len(planner.photos):,} photos"

    def image_name(self, split: Split, index: int) -> str:
        """Return the numbers of digit and photo: official training pictures first, then test."""
        return " + ".join(f"{kind} {number}" for kind, number in self.units(split, index).items())

    def units(self, split: Split, index: int) -> dict[str, str]:
        """Return the numbers of digit and photo: official training pictures first, then test."""
        scene = self.scene(split, epoch=0, index=index)
        return {"digit": str(scene.digit), "photo": str(scene.photo)}

    def describe_sample(self, split: Split, index: int) -> str:
        """Return which digit is on which photo, by their numbers: official training pictures first, then test."""
        scene = self.scene(split, epoch=0, index=index)
        return f"{split} {index}: a {self.digit_labels[scene.digit]} (digit {scene.digit}) on photo {scene.photo}"
