"""`tune`: a learning rate or a batch size is looked for before a run, and written down; no run does this itself."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from segbench.commands.output_paths import file_for
from segbench.config.resolvers import stamp
from segbench.config.schema import RunConfig
from segbench.core.files import write_json
from segbench.core.text import say
from segbench.inference.trainer import describe_device
from segbench.training.tuning.batch import Size, search_batch
from segbench.training.tuning.rate import search_rate

FOLDER = Path("outputs/tune")


def tune_lr(config: RunConfig, out: Path | None, *, first: float, last: float, steps: int, console: Console) -> None:
    """Search a learning rate, say what to type, and write what was seen as JSON.

    Args:
        config: The checked configuration.
        out: The JSON; None for one of its own below `outputs/tune`.
        first: The first learning rate.
        last: The last one.
        steps: Optimizer steps.
        console: Where the answer goes.

    Raises:
        SegbenchError: for what cannot be trained, or a loss that falls at no rate.
    """
    with file_for(out or _default(config, "lr"), ".json") as file:
        found = search_rate(config, first=first, last=last, steps=steps)
        write_json(file, _record(config, "optimizer.lr") | asdict(found))
    rates = found.rates
    say(console, f"{len(rates)} steps, rates from {rates[0]:.2g} to {rates[-1]:.2g}")
    say(console, f"the loss falls fastest at optimizer.lr={found.suggested:.2g}, and is least at {found.least:.2g}")
    say(console, f"all of it: {file}")


def tune_batch(config: RunConfig, out: Path | None, *, most: int, steps: int, console: Console) -> None:
    """Search a batch size, say what to type, and write what was seen as JSON.

    Args:
        config: The checked configuration.
        out: The JSON; None for one of its own below `outputs/tune`.
        most: The largest size to try.
        steps: Batches of each size that are timed.
        console: Where the answer goes.

    Raises:
        SegbenchError: for what cannot be trained, or where nothing fits.
    """

    def report(size: Size) -> None:
        memory = "" if size.peak_memory_bytes is None else f", {size.peak_memory_bytes / 2**30:.2f} GiB at most"
        say(console, f"batch size {size.batch_size}: {size.images_per_second:.1f} images/s{memory}")

    with file_for(out or _default(config, "batch"), ".json") as file:
        found = search_batch(config, most=most, steps=steps, say=report)
        write_json(file, _record(config, "data.batch_size") | asdict(found))
    say(
        console,
        f"data.batch_size={found.suggested} is the smallest that is nearly as fast as the fastest, {found.largest} the"
        f" largest that was trained ({found.ended})",
    )
    say(console, "another batch size is another experiment, with another best learning rate: segbench tune lr")
    say(console, f"all of it: {file}")


def _default(config: RunConfig, what: str) -> Path:
    return FOLDER / f"{config.name}-{what}-{stamp()}.json"


def _record(config: RunConfig, setting: str) -> dict[str, Any]:
    """Return what a file says of how it was made."""
    return {
        "setting": setting,
        "time": time.time(),
        "device": describe_device(config.trainer),
        "config": config.plain(),
    }
