"""Takes the part of each of many processes that train on one export, to see how a large training would run.

    python -m scripts.scale_ranks --samples 100000000 [--ranks 64] [--workers 8]

The export is made up as it is read. Printed is what starting and continuing takes, how many shards a process reads, and
whether all together read every sample once. No process is started but the loader workers of one rank.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from scripts.scale import made_up_shards, own_megabytes, workers_megabytes
from segbench.data.loading.loader import PlanSampler


class Ranks:
    """The processes of a training that read an export together, each with a share of 16 samples of every batch."""

    share = 16

    def __init__(self, samples: int, count: int, workers: int = 0) -> None:
        self.count = count
        self.data = made_up_shards(samples, batch_size=self.share * count, lanes=count, num_workers=workers)

    def plan(self, rank: int, epoch: int = 3) -> PlanSampler:
        """Return what a process reads in an epoch."""
        plan = PlanSampler(
            self.data.num_samples("train"),
            self.share,
            order=self.data.order,
            drop_last=False,
            rank=rank,
            world_size=self.count,
        )
        plan.epoch = epoch
        return plan

    def loader(self, rank: int, position: tuple[int, int]) -> Any:
        """Return the loader of a process that continues at an epoch and a batch."""
        self.data.trainer = SimpleNamespace(global_rank=rank, world_size=self.count)
        self.data.position = lambda: position
        return self.data.loader("train")


def missed_or_repeated(ranks: Ranks, batches: Sequence[int]) -> int:
    """Return how many samples of some batches two processes read, or one process alone would not read there."""
    plans = [ranks.plan(rank) for rank in range(ranks.count)]
    order = ranks.data.order(plans[0].epoch)
    together = ranks.share * ranks.count
    seen: set[int] = set()
    wrong = 0
    for batch in batches:
        read = [index for plan in plans for index in plan.indices(batch)]
        last = min((batch + 1) * together, ranks.data.num_samples("train"))
        wanted = [order(position) for position in range(batch * together, last)]
        wrong += len(read) - len({*read} - seen) + len({*read} ^ {*wanted})
        seen.update(read)
    return wrong


def measure_ranks(samples: int, count: int, workers: int) -> dict[str, Any]:
    """Return what the processes of a large training read, and what starting and continuing takes each of them."""
    made_up_shards(1000, batch_size=1)  # what is imported is not of the start
    before = own_megabytes(os.getpid())
    began = time.process_time()
    ranks = Ranks(samples, count, workers)
    found: dict[str, Any] = {"samples": samples, "ranks": count, "start_seconds": round(time.process_time() - began, 3)}
    batches = len(ranks.plan(0))
    draw = np.random.default_rng(0)
    places = sorted({0, batches - 2, batches - 1, *draw.integers(0, batches, 200).tolist()})
    found["batches_an_epoch"] = batches
    found["wrong_in_batches"] = {"looked_at": len(places), "samples": missed_or_repeated(ranks, places)}
    whole = Ranks(10_000 * count + 777, count)
    found["wrong_in_a_whole_epoch"] = {
        "samples": whole.data.num_samples("train"),
        "wrong": missed_or_repeated(whole, range(len(whole.plan(0)))),
    }
    began = time.process_time()
    for rank in range(count):
        ranks.plan(rank).indices(places[rank % len(places)])
    found["milliseconds_to_continue"] = round((time.process_time() - began) / count * 1000, 3)
    run = range(batches // 2, batches // 2 + 1000)
    plan = ranks.plan(count // 2)
    found["shards_in_1000_batches_of_a_rank"] = len({index // 1000 for batch in run for index in plan.indices(batch)})
    found["main_mb_more"] = round(own_megabytes(os.getpid()) - before, 1)
    began = time.perf_counter()
    loader = ranks.loader(count // 2, (3, batches // 2))
    for number, batch in enumerate(loader):
        if number == 0:
            found["first_batch_seconds_by_the_clock"] = round(time.perf_counter() - began, 2)
        if batch["index"].tolist() != plan.indices(batches // 2 + number):
            raise RuntimeError(f"batch {number} is not the one that was planned")
        if number == 2 * workers:
            found["workers"] = workers_megabytes()
            break
    return found


def main() -> None:
    """Print the measurements as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=100_000_000)
    parser.add_argument("--ranks", type=int, default=64)
    parser.add_argument("--workers", type=int, default=8)
    options = parser.parse_args()
    torch.set_num_threads(1)
    json.dump(measure_ranks(options.samples, options.ranks, options.workers), sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
