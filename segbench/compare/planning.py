"""How many seeds and units it takes to see a difference, from the spread of those seen so far."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from segbench.compare.answer import Answer
from segbench.compare.intervals import t_quantile
from segbench.compare.lacking import lacking
from segbench.compare.simultaneous import Simultaneous

MAX_SEEDS = 100
"""More seeds each are not planned for."""
MAX_UNITS = 1000.0
"""Nor are more times the units."""


@dataclass(frozen=True)
class Plan:
    """The chance in the difference of two settings, taken apart by what makes it smaller."""

    settings: int
    """How many are compared at once."""
    seeds: float
    """Runs each, on average."""
    lasting: float
    """Variance that more seeds leave: of the settings on these units; 0 where it drowned in that of the seeds."""
    by_image: float
    """Variance of one run of each that both more seeds and more units make smaller: chance on the images."""
    by_seed: float
    """Variance of one run of each that only more seeds make smaller."""
    unit_freedom: float
    """Degrees of freedom of the units."""
    quantile: float
    """Of the largest of the differences, if it were normally distributed."""

    @classmethod
    def of(cls, found: Simultaneous) -> Plan:
        """Return the plan after a comparison; for a pair that is neither the clearest nor the vaguest."""
        spread = found.spread
        others = np.flatnonzero(np.arange(len(found.value)) != found.control)
        seeds = 1 / float(spread.shares.mean())
        units = float(np.median(spread.unit_variance(found.control, others)))
        by_image = 2 * (spread.seeds.measured - spread.seeds.own)
        return cls(
            settings=len(found.value),
            seeds=seeds,
            lasting=max(units - by_image / seeds, 0.0),
            by_image=by_image,
            by_seed=2 * spread.seeds.own,
            unit_freedom=spread.unit_freedom,
            quantile=found.quantile,
        )

    @property
    def is_bound(self) -> bool:
        """Whether more seeds may see less than is planned: what they leave was too small to be told from chance."""
        return self.lasting == 0 and math.isfinite(self.unit_freedom)

    def detectable(self, seeds: float, units: float = 1.0, *, power: float = 0.8) -> float:
        """Return the smallest difference that is seen with a probability of `power`.

        Args:
            seeds: Runs of each setting, infinite for endless ones.
            units: How many times the units that there are now.
            power: In 0.5 to 1, exclusive.
        """
        on_units = (self.lasting + self.by_image / seeds) / units
        measured = (self.by_seed + self.by_image / units) / seeds
        total = on_units + self.by_seed / seeds
        freedom = max((self.unit_freedom + 1) * units - 1, 1.0)
        squares = on_units**2 / freedom
        if math.isfinite(seeds):
            squares += measured**2 / max((seeds - 1) * self.settings, 1.0)
        degrees = 1e6
        if squares > 0:
            degrees = min(max(total**2 / squares, 1.0), 1e6)
        tail = 0.5 * math.erfc(self.quantile / math.sqrt(2))
        return (t_quantile(1 - tail, degrees) + t_quantile(power, degrees)) * math.sqrt(total)

    def seeds_for(self, difference: float, power: float = 0.8, *, units: float = 1.0) -> int | None:
        """Return the fewest runs of each setting, at least two, that see the difference; None where none do."""
        wanted = (
            seeds for seeds in range(2, MAX_SEEDS + 1) if self.detectable(seeds, units, power=power) <= difference
        )
        return next(wanted, None)

    def units_for(self, difference: float, seeds: float, *, power: float = 0.8) -> float | None:
        """Return how many times the units it takes, None beyond MAX_UNITS or where units alone never do."""
        if self.detectable(seeds, MAX_UNITS, power=power) > difference:
            return None
        low = 0.0
        high = math.log(MAX_UNITS)
        if self.detectable(seeds, 1.0, power=power) <= difference:
            return 1.0
        for _ in range(50):
            middle = (low + high) / 2
            if self.detectable(seeds, math.exp(middle), power=power) > difference:
                low = middle
            else:
                high = middle
        return math.exp(high)


def plan_sentences(answer: Answer, difference: float, *, power: float) -> list[str]:
    """Return what it takes to see a difference, in words; one sentence where the runs do not tell."""
    found = answer.found
    family = answer.family
    if len(found.value) < 2:
        return ["one setting has nothing to be compared with: run at least two, with three seeds each"]
    if family.blocks:
        return [f"planning takes runs that are repeated by the seed alone; these are compared {family.blocks.words}"]
    missing = lacking(family, found, number=int(found.control == 0))
    if missing:
        return [f"the spread of seeds is not known well enough to plan with: {missing}"]
    plan = Plan.of(found)
    words = "these images"
    if family.design:
        words = family.design.words
    seen = f"{plan.settings} settings with {plan.seeds:.3g} seeds each on {words}"
    texts = [f"seen: {seen}; differences of {plan.detectable(plan.seeds, power=power):.4f} are found in {power:.0%}"]
    seeds = plan.seeds_for(difference, power)
    if seeds is not None:
        texts.append(f"for {difference:g}: {seeds} seeds each on the same images")
        if plan.is_bound and seeds > plan.seeds:
            texts.append(
                "it may take more: what seeds cannot take away was too small to be told from chance, not nothing"
            )
        return texts
    endless = plan.detectable(math.inf, power=power)
    if endless > difference:
        texts.append(
            f"for {difference:g}: no number of seeds will do with these images; endless seeds would see {endless:.4f}"
        )
    else:
        texts.append(f"for {difference:g}: more than {MAX_SEEDS} seeds each on the same images")
    choices = [(count, plan.units_for(difference, count, power=power)) for count in (3, 5, 10, 20, 50, MAX_SEEDS)]
    enough = [(count, times) for count, times in choices if times is not None]
    texts += [
        f"with {count} seeds each: {times:.3g} times the units, {_more(answer, times)}" for count, times in enough[:3]
    ]
    if enough:
        return texts
    return [*texts, f"nor will more units with up to {MAX_SEEDS} seeds each: seeds differ too much"]


def _more(answer: Answer, times: float) -> str:
    design = answer.family.design
    if design is None or not design.factors:
        return f"{math.ceil(times * (design.images if design else 1))} images"
    return " x ".join(f"{math.ceil(times * factor.count)} {factor.plural}" for factor in design.factors)


def plan_table(answer: Answer, power: float) -> tuple[list[str], list[list[str]]]:
    """Return headings and cells: the smallest difference that is seen, by seeds and units."""
    plan = Plan.of(answer.found)
    times = (1.0, 2.0, 4.0)
    heads = ["seeds each", *("these units" if one == 1 else f"{one:.0f} times as many" for one in times)]
    rows = []
    for seeds in (2, 3, 5, 10, 20, math.inf):
        cells = [f"{plan.detectable(seeds, one, power=power):.4f}" for one in times]
        if plan.is_bound and math.isinf(seeds):
            cells = ["not known"] * len(times)
        rows.append([f"{seeds:.0f}" if math.isfinite(seeds) else "endless", *cells])
    return heads, rows
