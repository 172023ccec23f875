"""Measures how data sets of many samples start, how much memory they take, and how fast they are read.

    python -m scripts.scale files --pictures 100000 [--workers 2]
    python -m scripts.scale shards --samples 10000000 [--workers 2]

`files` writes small pictures and masks into a temporary folder and reads them with data=folder: the first start, the
second, an epoch, and the same epoch by the least torch Dataset that opens the same files with Pillow, in turn. `shards`
reads an export of any size that is made up as it is asked for: every shard has the bytes that a real one would have.
Seconds of the processor count all processes; memory is what a process holds for itself alone.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import os
import resource
import shutil
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from omegaconf import OmegaConf
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from segbench.config.instantiate import build
from segbench.config.paths import conf_dir
from segbench.data.export.options import sample_name
from segbench.data.export.shards import INDEX_SUFFIX, INDEX_TYPE

SIDE = 64
"""Height and width of the pictures."""
BATCH = 32
BATCHES = 1000
"""Batches of an epoch that are read, at most."""


def processor_seconds() -> float:
    """Return the seconds of the processor that this process and those that it waited for have taken."""
    own, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime


def own_megabytes(process: int) -> float:
    """Return the memory that a process shares with no other, in MB."""
    return megabytes(process, "Private_Clean:", "Private_Dirty:")


def megabytes(process: int, *kinds: str) -> float:
    """Return the memory of some kinds that a process has, in MB; `Pss:` is its own and its part of what is shared."""
    total = 0
    for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
        if line.startswith(kinds):
            total += int(line.split()[1])
    return total * 1024 / 1e6


def workers_megabytes() -> dict[str, list[int]]:
    """Return the own memory of each loader worker, and its PSS, in MB."""
    workers = [child.pid or 0 for child in multiprocessing.active_children()]
    return {
        "own_mb": [round(own_megabytes(worker)) for worker in workers],
        "pss_mb": [round(megabytes(worker, "Pss:")) for worker in workers],
    }


class PillowDataset(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """What a user would write: two lists of paths, opened with Pillow."""

    def __init__(self, images: Sequence[str], masks: Sequence[str]) -> None:
        self.images = list(images)
        self.masks = list(masks)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        image = np.array(Image.open(self.images[index]).convert("RGB"))
        mask = np.array(Image.open(self.masks[index]))
        return torch.from_numpy(image).permute(2, 0, 1).contiguous(), torch.from_numpy(mask)


def read(batches: Any) -> dict[str, Any]:
    """Return images, seconds and seconds of the processor of reading some batches, and the memory of the workers."""
    began, before = time.perf_counter(), time.process_time()
    images = 0
    held: dict[str, list[int] | float] = {}
    last = min(BATCHES, len(batches)) - 1
    for number, batch in enumerate(batches):
        images += len(batch["image"] if isinstance(batch, dict) else batch[0])
        if number == last:
            held.update(workers_megabytes())
            held["workers_seconds"] = _seconds_of_workers()
            break
    seconds, own_seconds = time.perf_counter() - began, time.process_time() - before
    return {"images": images, "seconds": round(seconds, 2), "main_seconds": round(own_seconds, 2), **held}


def _seconds_of_workers() -> float:
    """Return the seconds of the processor that the loader workers have taken."""
    ticks = 0
    for child in multiprocessing.active_children():
        fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return round(ticks / os.sysconf("SC_CLK_TCK"), 2)


def write_pictures(folder: Path, count: int) -> None:
    """Write pictures and masks of `SIDE` x `SIDE` pixels, each another one."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    draw = np.random.default_rng(0)
    mask = (np.add.outer(np.arange(SIDE), np.arange(SIDE)) > SIDE).astype(np.uint8)
    for number in range(count):
        image = np.array(Image.fromarray(draw.integers(0, 256, (8, 8, 3), np.uint8)).resize((SIDE, SIDE)))
        Image.fromarray(image).save(folder / "images" / f"{number:07d}.png", compress_level=1)
        Image.fromarray(np.roll(mask, number, axis=1)).save(folder / "masks" / f"{number:07d}.png", compress_level=1)


def make(option: str, **changes: Any) -> Any:
    """Return a data set of conf/data, prepared, as a run would have it."""
    from segbench.config import resolvers

    resolvers.register()
    settings = OmegaConf.merge(OmegaConf.load(conf_dir() / "data" / f"{option}.yaml"), dict(changes, augment=None))
    content = OmegaConf.to_container(settings, resolve=True)
    assert isinstance(content, dict)
    data = build({str(name): value for name, value in content.items()}, where="data")
    data.setup()
    return data


def measure_files(pictures: int, workers: int, folder: Path) -> dict[str, Any]:
    """Return what the first start, the second start and an epoch of a folder of pictures take."""
    if not (folder / "set").exists():
        write_pictures(folder / "set", pictures)
        time.sleep(3)  # files that have just changed are looked at again
    os.environ["SEGBENCH_CACHE"] = str(folder / "cache")
    shutil.rmtree(folder / "cache", ignore_errors=True)
    found: dict[str, Any] = {"pictures": pictures}
    settings = {"root": str(folder / "set"), "size": [SIDE, SIDE], "batch_size": BATCH, "num_workers": workers}
    for start in ("first_start", "second_start"):
        began, before = time.perf_counter(), processor_seconds()
        data = make("folder", **settings, cache="none")
        found[start] = {
            "seconds": round(time.perf_counter() - began, 2),
            "processor_seconds": round(processor_seconds() - before, 2),
            "main_mb": round(own_megabytes(os.getpid())),
        }
    found["epoch"] = read(data.loader("train"))
    names = sorted(path.name for path in (folder / "set" / "images").iterdir())
    images = [str(folder / "set" / "images" / name) for name in names]
    plain = PillowDataset(images, [str(folder / "set" / "masks" / name) for name in names])
    found["plain_epoch"] = read(DataLoader(plain, BATCH, shuffle=True, num_workers=workers, drop_last=True))
    return found


class MadeUpStore:
    """An export of any size: what it is asked for is made up from one sample."""

    def __init__(self, samples: int, chunk: int) -> None:
        self.samples = samples
        self.chunk = chunk
        self.members = _sample_files()
        self.bytes = len(self._sample(0))

    def whole(self, name: str) -> bytes:
        """Return the record, or a shard's index."""
        if name.endswith(INDEX_SUFFIX):
            count = min(self.chunk, self.samples - self._number(name) * self.chunk)
            return (np.arange(count + 1) * self.bytes).astype(INDEX_TYPE).tobytes()
        splits = {"train": self.samples, "val": self.chunk, "test": self.chunk}
        return json.dumps(
            {
                "segbench_export": 3,
                "values": None,
                "classes": ["background", "foreground"],
                "entries": ["image", "mask"],
                "samples": splits,
                "fingerprint": dict.fromkeys(splits, "0" * 16),
                "export": {"format": "webdataset", "chunk": self.chunk, "image_format": "png", "count": None},
            }
        ).encode()

    def size(self, name: str) -> int:
        """Return the bytes of a file."""
        return self.bytes * self.chunk if name.endswith(".tar") else len(self.whole(name))

    def part(self, name: str, start: int, stop: int, *, run: tuple[int, int]) -> bytes:
        """Return the bytes of one sample."""
        return self._sample(self._number(name) * self.chunk + start // self.bytes)

    def _number(self, name: str) -> int:
        return int(name.split("-")[1].split(".")[0])

    def _sample(self, index: int) -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for kind, content in self.members.items():
                info = tarfile.TarInfo(f"{sample_name(index)}.{kind}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
            return buffer.getvalue()[: tar.offset]


def _sample_files() -> dict[str, bytes]:
    draw = np.random.default_rng(0)
    files = {}
    for kind, array in (
        ("png", draw.integers(0, 256, (SIDE, SIDE, 3), np.uint8)),
        ("mask.png", draw.integers(0, 2, (SIDE, SIDE), np.uint8)),
    ):
        buffer = io.BytesIO()
        Image.fromarray(array).save(buffer, "PNG")
        files[kind] = buffer.getvalue()
    return {**files, "json": b"{}"}


def made_up_shards(samples: int, **changes: Any) -> Any:
    """Return a data set of shards that are made up as they are read."""
    store = MadeUpStore(samples, chunk=1000)
    with patch("segbench.data.shards.dataset.open_store", return_value=store):
        return make(
            "shards",
            root="made-up",
            entries=["image", "mask"],
            bands=None,
            classes=["background", "foreground"],
            size=[SIDE, SIDE],
            mean=[0.5] * 3,
            std=[0.25] * 3,
            **changes,
        )


def measure_shards(samples: int, workers: int) -> dict[str, Any]:
    """Return what the start and a part of an epoch of made-up shards take."""
    before = own_megabytes(os.getpid())
    began = time.perf_counter()
    data = made_up_shards(samples, batch_size=BATCH, num_workers=workers)
    started = time.perf_counter() - began
    data.position = lambda: (3, data.train_batches // 2)  # as after a resume in the middle of an epoch
    epoch = read(data.loader("train"))
    grown = round(own_megabytes(os.getpid()) - before, 1)
    return {"samples": samples, "start_seconds": round(started, 3), "main_mb_more": grown, "epoch": epoch}


def main() -> None:
    """Print the measurements as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("files", "shards"))
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--samples", type=int, default=10_000_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="keep the pictures here, or use those that are here")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.what == "shards":
        found = measure_shards(options.samples, options.workers)
    else:
        with tempfile.TemporaryDirectory() as temporary:
            found = measure_files(options.pictures, options.workers, options.folder or Path(temporary))
    json.dump(found, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
