"""Writing chunks: one after the other here, or in processes that each make the data set once."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from multiprocessing.connection import wait
from pathlib import Path

import torch

from segbench.core.choices import Split
from segbench.core.errors import DataError
from segbench.data.export.encode import Encoder
from segbench.data.export.folders import FolderWriter
from segbench.data.export.manifest import UNIT, Row, file_facts, pixel_counts, plan_columns, write_rows
from segbench.data.export.options import Chunk, sample_name
from segbench.data.export.shards import ShardWriter
from segbench.data.loading.datamodule import SegmentationData

Writer = FolderWriter | ShardWriter
WRITERS: dict[str, type[FolderWriter] | type[ShardWriter]] = {"folder": FolderWriter, "webdataset": ShardWriter}
Make = Callable[[], SegmentationData]


@dataclass(frozen=True)
class Job:
    """What a process needs to write any chunk; it can be pickled."""

    out: Path
    """The folder of the export."""

    staging: Path
    """The folder in it for what is not finished."""

    format: str
    """A key of `WRITERS`."""

    encoder: Encoder
    """Makes the files of a sample."""

    def write(self, data: SegmentationData, chunk: Chunk) -> Chunk:
        """Write a chunk, then mark it as finished by its part of the manifest, and return it.

        Raises:
            DataError: if a sample cannot be made, the disk is full or the folder cannot be written.
        """
        with writing(self.out):
            kind = WRITERS[self.format]
            with kind(self.out, self.staging, chunk=chunk, suffixes=self.encoder.suffixes()) as writer:
                rows = [
                    self._write_sample(data, chunk.split, index=index, writer=writer)
                    for index in range(chunk.start, chunk.stop)
                ]
            write_rows(self.staging / f"{chunk.name}.parquet", rows)
        return chunk

    def _write_sample(self, data: SegmentationData, split: Split, *, index: int, writer: Writer) -> Row:
        try:
            arrays = data.original(split, index)
        except OSError as error:
            raise DataError(f"sample {index} of {split} cannot be read: {error}") from error
        files = self.encoder(arrays)
        name = sample_name(index)
        row: Row = {"split": split, "index": index, "name": name, "source": data.describe_sample(split, index)}
        row |= {f"{UNIT}{factor}": unit for factor, unit in data.units(split, index).items()}
        row |= writer.columns(name, tuple(files)) | file_facts(files) | pixel_counts(arrays["mask"])
        if callable(scene := getattr(data, "scene", None)):
            row |= plan_columns(scene(split, epoch=0, index=index))
        writer.add(name, files, row=row)
        return row


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Turn what the system refuses while writing to `out` into one sentence."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"cannot write to {out}: {error.strerror or error}; finished chunks are kept, and the same command"
            " continues once that is solved"
        ) from error


def write_chunks(
    job: Job, data: SegmentationData, *, make: Make, work: Sequence[Chunk], workers: int
) -> Generator[Chunk, None, None]:
    """Write chunks and yield each when it is finished.

    Args:
        job: Where to and how.
        data: The prepared data set, for writing in this process.
        make: Makes the prepared data set in a process; it can be pickled.
        work: The chunks.
        workers: Processes; 0 and 1 write in this one.
    """
    if min(workers, len(work)) <= 1:
        yield from (job.write(data, chunk) for chunk in work)
        return
    # not forked from here, where torch's and a progress bar's threads hold locks; torch is imported once for all
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with ProcessPoolExecutor(min(workers, len(work)), context, _start_worker, (job, make)) as pool:
        try:
            for future in as_completed([pool.submit(_write, chunk) for chunk in work]):
                yield future.result()
        except BrokenProcessPool:
            raise DataError(
                f"a process that wrote to {job.out} was killed, perhaps for want of memory; the same command continues,"
                " with fewer workers if need be"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)  # chunks in work are finished


_worker: tuple[Job, Make] | None = None
"""What this process was started for."""


def _start_worker(job: Job, make: Make) -> None:
    global _worker
    _worker = job, cache(make)  # made by the first chunk: its errors reach the parent, those of a start do not
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)


def _end_with_parent() -> None:
    """Wait for the parent's end, then end: a killed export must not write on, nor leave processes behind."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _write(chunk: Chunk) -> Chunk:
    assert _worker is not None
    job, make = _worker
    return job.write(make(), chunk)
