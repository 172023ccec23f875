"""The words that make any data set of conf/data run on small data: made once in a folder, then used again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from segbench.config.options import groups
from segbench.config.paths import conf_dir
from tests.support.layouts import LAYOUTS
from tests.support.tiny_files import write_camvid, write_camvid_32, write_coco, write_folder, write_parquet
from tests.support.tiny_generated import write_cifar, write_mnist

SMALL = (
    "trainer=debug",
    "trainer.threads=1",
    "trainer.plots=false",
    "data.batch_size=2",
    "data.size=[32,32]",
    "data.train_size=4",
    "data.val_size=2",
    "data.test_size=2",
    "trainer.panels_every=0",
)


def write_pictures(folder: Path, count: int = 6) -> dict[str, Path]:
    """Write small cut-outs and backgrounds of different sizes into `folder`/fg and `folder`/bg, and return both."""
    draw = np.random.default_rng(0)
    folders = {"foregrounds": folder / "fg", "backgrounds": folder / "bg"}
    for path in folders.values():
        path.mkdir(parents=True)
    for number in range(count):
        height, width = 40 + 4 * number, 60 - 3 * number
        rows, columns = np.mgrid[:height, :width]
        inside = ((rows / height - 0.5) ** 2 + (columns / width - 0.5) ** 2) * 4
        rgba = draw.integers(0, 255, (height, width, 4)).astype(np.uint8)
        rgba[..., 3] = np.clip((1.2 - inside) * 400, 0, 255).astype(np.uint8)
        Image.fromarray(rgba).save(folders["foregrounds"] / f"f{number}.png")
        photo = draw.integers(0, 255, (50 + number, 70, 3)).astype(np.uint8)
        Image.fromarray(photo).save(folders["backgrounds"] / f"b{number}.png")
    return folders


def write_shards(place: Path) -> None:
    """Export small scenes with depth and background as shards, four samples in each."""
    from segbench.config.compose import compose_config, plain_config
    from tests.support.exports import export_data

    words = [*source_words("fgbg", place.parent), "data.size=[32,32]", "data.batch_size=1"]
    sizes = [f"data.{split}_size={size}" for split, size in (("train", 10), ("val", 4), ("test", 4))]
    config = plain_config(compose_config(["data=fgbg", *words, *sizes]))
    export_data(config, place, format="webdataset", chunk=4)


def data_options() -> list[str]:
    """Return the options of conf/data that name a class; others only change settings of one of these."""
    names = groups()["data"]
    return [name for name in names if "\n_target_:" in (conf_dir() / f"data/{name}.yaml").read_text(encoding="utf-8")]


def source_words(option: str, folder: Path) -> list[str]:
    """Return where the data of `data=option` lies, after writing it below `folder` if it is not there yet."""
    place = folder / option
    new = not place.exists()
    if option == "synthetic":
        return []  # the shipped cut-outs
    if option == "fgbg":
        folders = write_pictures(place) if new else {"foregrounds": place / "fg", "backgrounds": place / "bg"}
        return [f"data.{name}={path}" for name, path in folders.items()]
    if option.startswith("mnist_cifar"):
        if new:
            write_mnist(place / "mnist"), write_cifar(place / "cifar")
        return [f"data.mnist={place / 'mnist'}", f"data.cifar={next((place / 'cifar').glob('*.npz'))}"]
    if option == "camvid_32":
        if new:
            from segbench.config.compose import compose_config

            write_camvid_32(place, list(compose_config(["data=camvid_32"]).data.classes))
        return [f"data.root={place}", "data.official=false"]
    if option in LAYOUTS:
        words = LAYOUTS[option](place)
        return [f"data.root={place}", *words]
    if option == "shards":
        if new:
            write_shards(place)
        return [f"data.root={place}"]
    if option == "huggingface":
        if new:
            write_parquet(place)
        return [f"data.name={place}"]
    write = {"folder": write_folder, "camvid": write_camvid, "coco": write_coco}[option]
    if new:
        write(place)
    further = {"folder": ["data.masks=binary"], "camvid": ["data.official=false"], "coco": []}
    return [f"data.root={place}", *further[option]]


def tiny_words(option: str, folder: Path) -> list[str]:
    """Return the words that make `data=option` run in an instant."""
    return [*source_words(option, folder), *SMALL]
