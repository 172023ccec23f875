"""Small digits, photos and cut-outs that tests write into a folder, in the forms that people have them in."""

from __future__ import annotations

import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
from PIL import Image

COMMON = {
    "mean": [0.5] * 3,
    "std": [0.25] * 3,
    "batch_size": 4,
    "train_size": 40,
    "val_size": 8,
    "test_size": 8,
}
"""Settings that every generated set has."""

SEGMENTS = {  # of a seven-segment digit: upper, middle and lower bar, upper left, upper right, lower left, lower right
    0: "ulabcd",
    1: "bd",
    2: "umlbc",
    3: "umlbd",
    4: "mabd",
    5: "umlad",
    6: "umlacd",
    7: "ubd",
    8: "umlabcd",
    9: "umlabd",
}
BARS = {
    "u": (0, 3, 0, 12),
    "m": (8, 11, 0, 12),
    "l": (16, 19, 0, 12),
    "a": (0, 10, 0, 3),
    "b": (0, 10, 9, 12),
    "c": (9, 19, 0, 3),
    "d": (9, 19, 9, 12),
}
IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def tiny_fgbg(pictures: dict[str, Path], **settings):
    """Return prepared scenes of the fixture `pictures`, of 32 x 32 where nothing else is said."""
    from segbench.data.scenes.fgbg import FgBg

    folders = {name: str(folder) for name, folder in pictures.items()}
    data = FgBg(**{**COMMON, "classes": ["background", "foreground"], "size": [32, 32], **folders, **settings})
    data.prepare()
    return data


def digits(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return seven-segment digits of 28 x 28 in turn, each at its own place and brightness, and their labels."""
    draw = np.random.default_rng(seed)
    images, labels = np.zeros((count, 28, 28), np.uint8), np.arange(count) % 10
    for image, label in zip(images, labels, strict=True):
        top, left, value = draw.integers(0, 9), draw.integers(0, 16), draw.integers(160, 256)
        for bar in SEGMENTS[int(label)]:
            y0, y1, x0, x1 = BARS[bar]
            image[top + y0 : top + y1, left + x0 : left + x1] = value
        image[draw.integers(0, 28), draw.integers(0, 28)] = draw.integers(1, 76)  # makes every picture a different one
    return images, labels.astype(np.uint8)


def photos(count: int, seed: int = 0) -> np.ndarray:
    """Return smooth colour pictures, uint8 `[count, 32, 32, 3]`."""
    small = np.random.default_rng(seed).integers(0, 256, (count, 4, 4, 3)).astype(np.uint8)
    return np.stack([np.array(Image.fromarray(image).resize((32, 32), Image.Resampling.BICUBIC)) for image in small])


def write_mnist(folder: Path, train: int = 40, test: int = 20, form: str = "idx.gz") -> Path:
    """Write digits into `folder` as `idx`, `idx.gz`, `npz` or `png`; returns what `data.mnist` should be."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = (*digits(train, seed=1), *digits(test, seed=2))
    if form == "npz":
        np.savez(folder / "mnist.npz", **dict(zip(("x_train", "y_train", "x_test", "y_test"), arrays, strict=True)))
        return folder / "mnist.npz"
    if form == "png":
        for split, images, labels in (("train", *arrays[:2]), ("test", *arrays[2:])):
            for number, (image, label) in enumerate(zip(images, labels, strict=True)):
                _save(folder / split / str(label) / f"{number:05}.png", image)
        return folder
    for name, array in zip(IDX, arrays, strict=True):
        raw = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()
        path = folder / f"{name}{'.gz' if form == 'idx.gz' else ''}"
        path.write_bytes(gzip.compress(raw) if form == "idx.gz" else raw)
    return folder


def write_cifar(folder: Path, train: int = 40, test: int = 20, form: str = "npz") -> Path:
    """Write photos into `folder` as `npz` or `png`; returns what `data.cifar` should be."""
    folder.mkdir(parents=True, exist_ok=True)
    training, testing = photos(train, seed=3), photos(test, seed=4)
    if form == "npz":
        np.savez(folder / "cifar.npz", x_train=training, x_test=testing)
        return folder / "cifar.npz"
    for split, images in (("train", training), ("test", testing)):
        for number, image in enumerate(images):
            _save(folder / split / "photo" / f"{number:05}.png", image)
    return folder


def write_species(
    folder: Path, names: tuple[str, ...] = ("cat", "dog", "owl"), each: int = 3, form: str = "name"
) -> Path:
    """Write `each` elliptic cut-outs a species, `cat_0.png` (form=`name`), `cat0.png` (`number`) or `cat/x0.png`."""
    draw = np.random.default_rng(5)
    for place, name in enumerate(names):
        for number in range(each):
            height, width = 40 + 6 * number, 60 - 8 * place
            rows, columns = np.mgrid[:height, :width]
            inside = ((rows / height - 0.5) ** 2 + (columns / width - 0.5) ** 2) * 4
            rgba = draw.integers(0, 255, (height, width, 4)).astype(np.uint8)
            rgba[..., place % 3] = 255
            rgba[..., 3] = np.clip((1.2 - inside) * 400, 0, 255).astype(np.uint8)
            file = {"name": f"{name}_{number}.png", "number": f"{name}{number}.png"}.get(form, f"{name}/x{number}.png")
            _save(folder / file, rgba)
    return folder


def _save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def samples_digest(data, samples: int) -> str:
    """Return a digest of every array of the first training samples of epochs 0 and 3: a byte that moves changes it."""
    digest = hashlib.sha256()
    for epoch in (0, 3):
        for index in range(samples):
            for name, array in sorted(data.sample("train", epoch=epoch, index=index).items()):
                digest.update(f"{name} {array.dtype} {array.shape}".encode())
                digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()[:16]
