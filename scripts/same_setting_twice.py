"""Whether `compare` calls a setting different from itself: runs of one setting, halved in two groups.

    python train.py -m seed=0,1,2,3,4,5,6,7,8,9 hydra.sweep.dir=SAME
    python scripts/same_setting_twice.py SAME...

Prints a row of Markdown for each setting and data set below the folders: what `compare` says of the first half of the
seeds beside the second, and in how many of all ways to halve them it would have used a word. The ways share their runs,
so their number is no number of independent trials.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from segbench.compare.groups import choose_measure, group_runs, identify
from segbench.compare.judge import judge
from segbench.compare.runs import Run, find_runs
from segbench.compare.verdict import Verdict, Word

HALF = "half"
"""The setting, made up here, that tells the two groups apart."""
WORDS = (Word.BETTER, Word.WORSE)
"""What must not be said of a setting beside itself."""


@dataclass(frozen=True)
class Twice:
    """What is said of one setting that was trained twice over."""

    runs: list[Run]
    """All of it, by number of seed."""
    first: Verdict
    """On the first half of the seeds and the second."""
    words: list[Word]
    """Of every way to halve them, the first among them."""


def twice(runs: Sequence[Run]) -> Twice:
    """Return what is said of runs that differ in their seed alone.

    Args:
        runs: At least six, an even number.
    """
    ordered = sorted(runs, key=lambda run: int(run.settings["seed"]))
    verdicts = [verdict(ordered, half) for half in halves(len(ordered))]
    return Twice(ordered, verdicts[0], [one.word for one in verdicts])


def halves(count: int) -> Iterator[tuple[int, ...]]:
    """Yield each way to halve so many runs once, as the numbers of the half with the first run."""
    rest = range(1, count)
    for others in combinations(rest, count // 2 - 1):
        yield 0, *others


def verdict(runs: Sequence[Run], half: Sequence[int]) -> Verdict:
    """Return what `compare` says of a half of the runs beside the others."""
    named = [
        replace(run, settings={**run.settings, HALF: "one" if number in half else "other"})
        for number, run in enumerate(runs)
    ]
    measure = choose_measure(named, None)
    said, _ = judge(group_runs(named, measure, shown=[HALF]), measure)
    return said[0]


def settings_below(folders: Sequence[str]) -> list[list[Run]]:
    """Return the completed runs of each setting and data set that has an even number of them, six or more."""
    found: dict[object, list[Run]] = {}
    for run in find_runs(folders):
        if run.counts:
            found.setdefault((identify(run), run.fingerprints.get("test")), []).append(run)
    return [runs for runs in found.values() if len(runs) >= 6 and len(runs) % 2 == 0]


def row(said: Twice) -> str:
    """Return the row of Markdown."""
    difference = said.first.difference
    assert difference is not None
    assert difference.low is not None
    assert difference.high is not None
    scores = [run.metrics["test/mean_iou"] for run in said.runs]
    mean = sum(scores) / len(scores)
    deviation = (sum((score - mean) ** 2 for score in scores) / (len(scores) - 1)) ** 0.5
    wrong = sum(word in WORDS for word in said.words)
    return (
        f"| {said.runs[0].settings['data']} | {len(scores) // 2} + {len(scores) // 2} | {mean:.4f} | {deviation:.4f} |"
        f" {difference.value:+.4f} | {difference.low:+.4f} to {difference.high:+.4f} | {said.first.images} |"
        f" {said.first.word} | {wrong} of {len(said.words)} |"
    )


def main() -> None:
    """Print the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", help="folders with runs of one setting or of several")
    print("| data | seeds | test mean IoU | sd | difference | 95 % interval | over | word | words in all halvings |")
    print("|---|---|---|---|---|---|---|---|---|")
    for runs in settings_below(parser.parse_args().folders):
        print(row(twice(runs)))


if __name__ == "__main__":
    main()
