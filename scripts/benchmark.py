"""Measures segbench against baselines, each by the same work in the same process, and prints a table.

    python scripts/benchmark.py                                  all rows, some twenty minutes of one core
    python scripts/benchmark.py scene-96 loss-dice --rounds 9    some
    python scripts/benchmark.py --json figures.json              also as JSON

A row is ours over its baseline in CPU seconds of one thread, in turn, so that a drifting machine meets both: the least
of all rounds, and the median over the rounds.
One with an absolute goal has no baseline, and its unit is told. Rows (`--list` says what each measures):

    step-unet step-fcn
    scene-96 scene-192 scene-files
    loss-cross_entropy loss-focal loss-dice loss-jaccard loss-tversky loss-edge loss-ssim loss-lovasz
    metrics-camvid metrics-city metrics-share boundary-camvid boundary-city
    predict checkpoint checkpoint-wait start
    compare-1000 compare-by-5000 compare-20000 compare-page sweep-job files-second-start

On a GPU there are further rows, of speed and memory by the clock; elsewhere each says that it needs one:

    step-unet-gpu step-fcn-gpu optimizer-gpu prefetch-gpu deterministic-gpu run-gpu fsdp-gpu
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scripts.benchmarks.gpu import Figure, GpuRow
    from scripts.benchmarks.measure import Measured, Row


def all_rows() -> list[Row | GpuRow]:
    """Return the rows of all kinds."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from scripts.benchmarks import commands, gpu, losses, predicting, scenes, scoring, starting, steps

    kinds = (steps, scenes, losses, scoring, predicting, starting, commands)
    return [*(row for kind in kinds for row in kind.ROWS), *gpu.ROWS]


def line(row: Row, found: Measured) -> str:
    """Return a row of a table of Markdown; figures without a baseline have their unit."""
    if row.unit is not None:
        figures = [f"{figure:.3g} {row.unit}" for figure in (found.best, found.median, row.goal)]
        return f"| `{row.name}` | {row.what} | - | - | {' | '.join(figures)} |"
    return (
        f"| `{row.name}` | {row.what} | {found.ours * 1e3:.1f} | {found.baseline * 1e3:.1f} | {found.best:.2f} |"
        f" {found.median:.2f} | {row.goal:g} |"
    )


def gpu_line(row: GpuRow, figure: Figure) -> str:
    """Return a figure of a GPU as a row of a table of Markdown."""
    return f"| `{row.name}` | {figure.name} | {figure.value:.4g} {figure.unit} |"


def main() -> None:
    """Measure the rows that are asked for, and print each as it is done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help="rows to measure; all where none is named")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="file to write the figures into as well")
    parser.add_argument("--list", action="store_true", help="say what each row measures")
    arguments = parser.parse_args()
    known = {row.name: row for row in all_rows()}
    strange = [name for name in arguments.rows if name not in known]
    if strange:
        parser.error(f"there is no row {strange[0]}; choose from {', '.join(known)}")
    if arguments.list:
        print("\n".join(f"{row.name:20}{row.what}" for row in known.values()))
        return
    found = measure([known[name] for name in arguments.rows or known], arguments.rounds)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def measure(rows: list[Row | GpuRow], rounds: int) -> dict[str, object]:
    """Return the figures of rows by name, with what they were measured on; each is printed as it is there."""
    import torch

    from scripts.benchmarks.measure import Row

    on_cpu = [row for row in rows if isinstance(row, Row)]
    figures: dict[str, object] = {"torch": torch.__version__, "machine": platform.processor(), "rounds": rounds}
    if on_cpu:
        figures |= measure_on_cpu(on_cpu, rounds)
    return figures | measure_on_gpu([row for row in rows if not isinstance(row, Row)])


def measure_on_gpu(rows: list[GpuRow]) -> dict[str, object]:
    """Return the figures of rows that need a GPU, by name; of those that cannot be measured here it is said why."""
    import torch

    figures: dict[str, object] = {}
    if rows and torch.cuda.is_available():
        figures["gpu"] = torch.cuda.get_device_name()
        print("| row | what | figure |\n|---|---|---|")
    for row in rows:
        missing = row.missing()
        if missing is not None:
            print(missing, file=sys.stderr)
            continue
        found = row.measure()
        print("\n".join(gpu_line(row, figure) for figure in found), flush=True)
        figures[row.name] = [dataclasses.asdict(figure) for figure in found]
    return figures


def measure_on_cpu(rows: list[Row], rounds: int) -> dict[str, object]:
    """Return the figures of rows that are measured against a baseline, by name."""
    import torch

    from scripts.benchmarks.measure import measured

    torch.set_num_threads(1)
    torch.manual_seed(0)
    print("| row | what | ours, ms | baseline, ms | best | median | wanted |")
    print("|---|---|---|---|---|---|---|")
    figures: dict[str, object] = {}
    for row in rows:
        found = measured(row, rounds)
        print(line(row, found), flush=True)
        figures[row.name] = {**dataclasses.asdict(found), "goal": row.goal, "unit": row.unit}
    return figures


if __name__ == "__main__":
    main()
