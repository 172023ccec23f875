"""How often the words of `compare` are wrong, and how often they come: sweeps whose truth is known.

    python scripts/simulate_verdicts.py --sweeps 1000                                          # all rows of the table
    python scripts/simulate_verdicts.py --sweeps 3000 --gap-sweeps 600 --images patients --cells 12x5      # one of them

Runs are simulated as tables of images: true and false positives and negatives of two classes, where the recall of an
image depends on its units, the setting, the setting on these units, the seed (the same luck on val and test, as a
network has it), and chance. All settings are equal (or one is better by a known gap).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segbench.compare.images import scorer
from segbench.compare.influence import Score, influence
from segbench.compare.seeds import Layout
from segbench.compare.selection import chosen_setting, held_out_score
from segbench.compare.simultaneous import Simultaneous
from segbench.compare.units import Design

_FOUND = scorer("test/mean_iou", ("background", "foreground"))
assert _FOUND is not None
SCORE: Score = _FOUND
BASE = 1.1
"""Logit of the recall."""


@dataclass(frozen=True)
class World:
    """How the images of a split come about; spreads are standard deviations of the recall's logit."""

    kind: str
    """`images`: 400 independent ones. `crossed`: 400 scenes of 24 foregrounds x 13 backgrounds. `patients`: 30."""
    seed: float = 0.062
    """Of a run: the mean IoU of equal runs has a standard deviation of 0.009."""
    chance: float = 0.6
    """Of one run on one image."""
    unit: float = 0.7
    """Of a unit, for all settings alike."""
    interaction: float = 0.16
    """Of a setting on a unit. The standard error of a difference over crossed units is then 1.7, 2.2 and 2.5 times that
    of images for 1, 3 and 5 seeds; real runs of fgbg had 1.6 to 3.4."""

    def units(self, draw: np.random.Generator) -> dict[str, np.ndarray]:
        """Return the unit of each image, by factor."""
        if self.kind == "images":
            return {}
        if self.kind == "crossed":
            return {"foreground": draw.integers(0, 24, 400), "background": draw.integers(0, 13, 400)}
        return {"patient": np.repeat(np.arange(30), draw.integers(1, 41, 30))}


def counts(world: World, draw: np.random.Generator, effect: np.ndarray) -> tuple[np.ndarray, Design]:
    """Return `[N, M, 6]` counts of one split, and its design.

    Args:
        world: How images come about.
        draw: Where chance comes from.
        effect: `[G, S]`, logit that setting and seed add.
    """
    labels = world.units(draw)
    images = len(next(iter(labels.values()))) if labels else 400
    settings, seeds = effect.shape
    logit = BASE + draw.normal(0, 0.8, (images, 1, 1)) + effect
    logit = logit + draw.normal(0, world.chance, (images, settings, seeds))
    if not labels:
        logit = logit + draw.normal(0, 0.3, (images, settings, 1))
    for levels in labels.values():
        count = int(levels.max()) + 1
        logit = logit + draw.normal(0, world.unit, count)[levels][:, None, None]
        logit = logit + draw.normal(0, world.interaction, (count, settings))[levels][:, :, None]
    recall = 1 / (1 + np.exp(-logit))
    size = draw.gamma(2.0, 150.0, (images, 1, 1))
    rest = 1000.0
    missed, wrong = size * (1 - recall), 0.5 * size * (1 - recall)
    table = np.stack([rest - wrong, size * recall, missed, wrong, wrong, missed], axis=-1)
    return table.reshape(images, settings * seeds, 6), Design.of(images, {k: v.tolist() for k, v in labels.items()})


@dataclass(frozen=True)
class Cell:
    """What many sweeps of one kind came to; shares are of sweeps unless said otherwise."""

    false: float
    """With some false word: equal settings called different. Its complement is how often all intervals hold."""
    bias: float
    """Of the chosen setting's mean test score, its seeds being lucky ones."""
    held_out_bias: float
    """Of the score that is reported for new seeds."""
    gap_covered: float
    """Where one setting is better by a known gap: all intervals hold."""
    power: float
    """There: of the worse settings, the share that is called worse."""


GAP = 0.025
"""In mean IoU."""
KINDS = ("images", "crossed", "patients")
CELLS = ((12, 3), (12, 5), (6, 2), (6, 3), (6, 5), (2, 5))
"""Settings and seeds of the rows of the table."""
HEADS = (
    "images",
    "settings x seeds",
    "false word",
    "intervals hold",
    "with a gap",
    "power",
    "bias of the mean",
    "for new seeds",
    "sweeps",
    "with a gap",
)


def sweep(
    world: World, draw: np.random.Generator, *, settings: int, seeds: int, gap: float = 0.0
) -> tuple[Simultaneous, float, float]:
    """Simulate a sweep whose first setting is better by `gap` (in logits).

    Returns:
        What `compare` would say; the mean test score of the chosen setting, and the one with a run held out, both less
        the mean of all settings on the same images, which takes the images' luck away.
    """
    luck = draw.normal(0, world.seed, (settings, seeds))
    luck[0] += gap
    groups = tuple(np.arange(settings * seeds).reshape(settings, seeds))
    splits = []
    for _ in range(2):
        table, design = counts(world, draw, luck)
        splits.append(influence(table, SCORE, design=design))
    test, val = splits
    found = chosen_setting(test, val, layout=Layout(groups))
    held_out = held_out_score(test.scores, val.scores, groups=groups)
    assert held_out is not None
    level = float(test.scores.mean())
    return found, float(test.scores[groups[found.control]].mean()) - level, held_out - level


def truth(world: World, gap: float = 0.0) -> float:
    """Return the mean IoU of a setting on endless images, with endless seeds."""
    spread = (world.seed**2 + world.chance**2 + 0.8**2) ** 0.5
    units = {"images": 0.3, "crossed": (2 * (world.unit**2 + world.interaction**2)) ** 0.5}
    spread = (spread**2 + units.get(world.kind, (world.unit**2 + world.interaction**2) ** 0.5) ** 2) ** 0.5
    points, weights = np.polynomial.hermite_e.hermegauss(60)
    recall = float((weights / (1 + np.exp(-(BASE + gap + spread * points)))).sum() / weights.sum())
    missed = 300 * (1 - recall)
    return ((1000 - missed / 2) / (1000 + missed) + 300 * recall / (300 + missed / 2)) / 2


def simulate(world: World, number: int, *, settings: int, seeds: int, gap_number: int | None = None) -> Cell:
    """Simulate sweeps, always the same ones: `number` of equal settings, `gap_number` with a gap of GAP (as many)."""
    equal = [_equal(world, trial, settings=settings, seeds=seeds) for trial in range(number)]
    logit = gap_in_logits(world)
    count = number if gap_number is None else gap_number
    gaps = [_with_gap(world, trial, settings=settings, seeds=seeds, logit=logit) for trial in range(count)]
    return Cell(*(float(np.mean(one)) for one in (*_transposed(equal, 3), *_transposed(gaps, 2))))


def gap_in_logits(world: World) -> float:
    """Return what has to be added to the logit for GAP more of mean IoU."""
    level = truth(world)
    logit = 0.1
    for _ in range(20):  # Newton's method, with the slope of a chord
        logit *= GAP / (truth(world, logit) - level)
    return logit


def _equal(world: World, trial: int, *, settings: int, seeds: int) -> tuple[bool, float, float]:
    """Return whether some equal setting is called different, and both biases."""
    found, mean, held_out = sweep(world, _draw(trial, settings, seeds), settings=settings, seeds=seeds)
    others = np.arange(settings) != found.control
    return bool((np.abs(found.value) > found.half)[others].any()), mean, held_out


def _with_gap(world: World, trial: int, *, settings: int, seeds: int, logit: float) -> tuple[bool, float]:
    """Return whether all intervals hold where the first setting is better, and the share of the others called worse."""
    found, _, _ = sweep(world, _draw(trial, settings, seeds, 1), settings=settings, seeds=seeds, gap=logit)
    others = np.arange(settings) != found.control
    real = GAP * ((np.arange(settings) == 0).astype(float) - (found.control == 0))
    called = float((found.value < -found.half)[1:].mean()) if found.control == 0 else 0.0
    return bool((np.abs(found.value - real) <= found.half)[others].all()), called


def _transposed(rows: Sequence[Sequence[float]], columns: int) -> list[list[float]]:
    return [[row[place] for row in rows] for place in range(columns)]


def _draw(*key: int) -> np.random.Generator:
    return np.random.default_rng(key)


def main() -> None:
    """Print the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sweeps", type=int, default=200, help="sweeps of equal settings in a row (default 200)")
    parser.add_argument("--gap-sweeps", type=int, help="sweeps with a gap in a row (default: as many)")
    parser.add_argument("--images", nargs="+", choices=KINDS, default=KINDS, help="kinds of images (default: all)")
    parser.add_argument("--cells", nargs="+", type=_cell, default=CELLS, help="such as 12x3 6x5 (default: all)")
    words = parser.parse_args()
    gap_number = words.sweeps if words.gap_sweeps is None else words.gap_sweeps
    print(f"| {' | '.join(HEADS)} |\n{'|---' * len(HEADS)}|")
    for kind in words.images:
        for settings, seeds in words.cells:
            cell = simulate(World(kind), words.sweeps, settings=settings, seeds=seeds, gap_number=gap_number)
            shares = (f"{100 * one:.1f} %" for one in (cell.false, 1 - cell.false, cell.gap_covered, cell.power))
            biases = f"{cell.bias:+.4f} | {cell.held_out_bias:+.4f}"
            numbers = f"{words.sweeps} | {gap_number}"
            print(f"| {kind} | {settings} x {seeds} | {' | '.join(shares)} | {biases} | {numbers} |", flush=True)


def _cell(text: str) -> tuple[int, int]:
    settings, _, seeds = text.partition("x")
    return int(settings), int(seeds)


if __name__ == "__main__":
    main()
