"""`data export`: any data set as folders of pictures or WebDataset shards, with a manifest; it can be interrupted."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from segbench.config.instantiate import build
from segbench.config.schema import Part
from segbench.core.choices import SPLITS, Split, one_of
from segbench.core.errors import ConfigError, DataError, Interrupted
from segbench.core.terminal import outliving_the_terminal
from segbench.core.text import say
from segbench.data.export.encode import Encoder
from segbench.data.export.manifest import require_parquet, total_bytes
from segbench.data.export.options import Chunk, Options, chunks
from segbench.data.export.record import export_record
from segbench.data.export.target import MANIFEST, Target
from segbench.data.export.work import Job, write_chunks, writing
from segbench.data.loading.datamodule import SegmentationData
from segbench.report.palette import palette

LOADING = {"batch_size": 1, "num_workers": 0, "pin_memory": False, "augment": None}
"""Settings of a data set that do not change what is exported, which is neither augmented nor batched."""
LINE_EVERY = 10.0
"""Seconds between lines of progress where there is no terminal."""


@outliving_the_terminal()
def export_data(
    part: Part,
    out: Path,
    *,
    plugins: Sequence[str] = (),
    format: str = "folder",
    splits: Sequence[str] = SPLITS,
    count: int | None = None,
    workers: int = 0,
    chunk: int = 1000,
    image_format: str = "png",
    quality: int = 95,
    console: Console | None = None,
) -> str:
    """Write a data set to disk, or what is missing of it, and return a sentence about it.

    The written bytes depend on the data set and the options alone, not on `workers` or interruptions.

    Args:
        part: The data set.
        out: A new or empty folder, or one that this same export was begun in.
        plugins: The user's own packages.
        format: `folder` or `webdataset`.
        splits: Splits to write; training samples are those of epoch 0, not augmented.
        count: The first samples of each split; None for all.
        workers: Processes; 0 and 1 write in this one.
        chunk: Samples that are finished together; also the size of a shard.
        image_format: `png` or `jpeg`, for images and backgrounds.
        quality: Of the JPEG, 1..100.
        console: For progress; None for the standard error stream.

    Raises:
        ConfigError: for an option, a folder that is not this export's, or pyarrow missing; nothing is written then.
        DataError: if the data cannot be read, or the folder cannot be written.
        Interrupted: on Ctrl-C, after the chunks in work; the same command continues.
    """
    require_parquet()
    chosen = tuple(one_of(Split, split, what="split", why="to export") for split in splits)
    options = Options(format, chosen, count, chunk, image_format, quality)
    if workers < 0:
        raise ConfigError(f"workers must be at least 0, got {workers}")
    settings = {name: value for name, value in part.plain().items() if name not in LOADING}
    make = partial(_make_data, part, tuple(plugins))
    data = make()
    samples = {split: min(data.num_samples(split), count or data.num_samples(split)) for split in options.splits}
    if not sum(samples.values()):
        raise DataError(f"there is nothing to export: {' and '.join(samples)} have no samples")
    encoder = _encoder(data, image_format, quality=quality)
    work = list(chunks(samples, chunk))
    target = Target(out, export_record(data, options, samples=samples, settings=settings))
    with writing(out):
        if target.claim():
            return f"complete already: {_contents(samples, out)}"
    console = console or Console(stderr=True)
    job = Job(out, target.staging, format, encoder)
    try:
        return _run(job, target, data=data, make=make, work=work, workers=workers, console=console)
    finally:
        target.release()


def _encoder(data: SegmentationData, image_format: str, *, quality: int) -> Encoder:
    in_colour = data.channels.count == 3 and data.channels.levels is None
    if not in_colour and image_format == "jpeg":
        raise ConfigError("--image-format jpeg holds red, green and blue of 8 bit; leave it out to write these as TIFF")
    return Encoder(image_format, quality, palette(len(data.classes)).tobytes(), in_colour)


def _make_data(part: Part, plugins: Sequence[str]) -> SegmentationData:
    """Return the prepared data set without augmentation; processes call this too."""
    data: SegmentationData = build(without_loading(part), plugins=plugins, where="data")
    data.setup()
    return data


def without_loading(part: Part, keep: Sequence[str] = ()) -> Part:
    """Return a data set that gives single samples as they are, but for settings to `keep`, such as `augment`."""
    plain = {name: value for name, value in LOADING.items() if name in part.arguments and name not in keep}
    return replace(part, arguments={**part.arguments, **plain})


def _run(
    job: Job,
    target: Target,
    *,
    data: SegmentationData,
    make: partial[SegmentationData],
    work: Sequence[Chunk],
    workers: int,
    console: Console,
) -> str:
    missing = [chunk for chunk in work if not target.part(chunk).exists()]
    total = _samples(work)
    before = _samples(work) - _samples(missing)
    began = time.perf_counter()
    try:
        with closing(write_chunks(job, data, make=make, work=missing, workers=workers)) as finished:
            for _ in _with_progress(finished, before, total=total, console=console):
                pass
    except KeyboardInterrupt:
        done = _samples(chunk for chunk in work if target.part(chunk).exists())
        raise Interrupted(
            f"interrupted with {done:,} of {total:,} samples in {job.out}; the same command continues"
        ) from None
    with writing(job.out):
        target.finish(work)
    rate = (total - before) / max(time.perf_counter() - began, 1e-9)
    there = f", {before:,} of them before" if before else ""
    samples = {split: _samples([c for c in work if c.split == split]) for split in dict.fromkeys(c.split for c in work)}
    return f"exported {_contents(samples, job.out)}{there}, {rate:,.0f} samples/s"


def _samples(work: Iterable[Chunk]) -> int:
    return sum(chunk.stop - chunk.start for chunk in work)


def _contents(samples: Mapping[Split, int], out: Path) -> str:
    parts = ", ".join(f"{split} {number:,}" for split, number in samples.items())
    megabytes = total_bytes(out / MANIFEST) / 1e6
    return f"{sum(samples.values()):,} samples ({parts}), {megabytes:,.1f} MB, in {out.absolute()}"


def _with_progress(finished: Iterable[Chunk], before: int, *, total: int, console: Console) -> Iterator[Chunk]:
    """Pass finished chunks on and show how far they are: a bar on a terminal, else a line now and then."""
    if not console.is_terminal:
        yield from _with_lines(finished, before, total=total, console=console)
        return
    columns = (TextColumn("export"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("export", total=total, completed=before)
        for chunk in finished:
            progress.advance(task, _samples([chunk]))
            yield chunk


def _with_lines(finished: Iterable[Chunk], before: int, *, total: int, console: Console) -> Iterator[Chunk]:
    if before:
        console.print(f"continuing: {before:,} of {total:,} samples are there", highlight=False)
    done = before
    began = time.monotonic()
    said = began
    for chunk in finished:
        yield chunk
        done += _samples([chunk])
        if (now := time.monotonic()) - said >= LINE_EVERY and done < total:
            rate = (done - before) / (now - began)
            said = now
            say(console, f"{done:,} of {total:,} samples, {rate:,.0f} samples/s")
