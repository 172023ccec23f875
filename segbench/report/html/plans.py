"""The smallest difference that is seen, by seeds and units: what `segbench plan` says, as curves."""

from __future__ import annotations

from segbench.compare.comparison import Comparison
from segbench.compare.planning import Plan
from segbench.core.plain import Plain

SEEDS = (2, 3, 4, 5, 7, 10, 15, 20)
TIMES = (1.0, 2.0, 4.0)
"""How many times the units that there are now."""
MAX_PLANS = 6


def plan_data(comparison: Comparison) -> list[Plain]:
    """Return a plan for each data set: its letter, `units`, `seen` seeds, `seeds`, and a line for each of TIMES.

    A line has the differences that are found in 80 % of comparisons with so many seeds each.
    """
    labels = comparison.data_labels
    found = []
    for answer in comparison.answers[:MAX_PLANS]:
        spread = answer.found.spread
        if len(answer.found.value) < 2 or answer.family.blocks or not spread.seeds.enough:
            continue
        plan = Plan.of(answer.found)
        design = answer.family.design
        found.append(
            {
                "data": labels[answer.control.data],
                "units": design.words if design else "these images",
                "seen": float(f"{plan.seeds:.3g}"),
                "seeds": list(SEEDS),
                "lines": [
                    {"times": times, "values": [float(f"{plan.detectable(seeds, times):.5g}") for seeds in SEEDS]}
                    for times in TIMES
                ],
            }
        )
    return found
