"""Everything that `compare` says, as data: the terminal, the files and the HTML report show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from segbench.compare.across import Across, compare_across
from segbench.compare.answer import Answer
from segbench.compare.filters import filter_runs
from segbench.compare.groups import Group, Measure, check_by, choose_measure, group_runs, ranked
from segbench.compare.judge import judge
from segbench.compare.notes import notes_on
from segbench.compare.pairs import share_blocks
from segbench.compare.runs import Run, find_runs, read_run
from segbench.compare.settings import differing
from segbench.compare.verdict import Verdict
from segbench.core.collector import collector_paused
from segbench.core.errors import ConfigError, nearest
from segbench.runs.folder import RunFolder


@dataclass(eq=False)
class Comparison:
    """The result."""

    measure: Measure
    """What is reported, and what groups are chosen and ordered by."""
    columns: list[str]
    """The settings that tell the groups apart."""
    groups: list[Group]
    """Best first by the score that is chosen by, those of the same data together."""
    others: list[Run]
    """Runs without final numbers: running, failed, interrupted, pruned, broken."""
    verdicts: list[Verdict]
    """Of each group against the chosen one of its data, or the baseline."""
    answers: list[Answer]
    """What each data set's comparison comes to."""
    notes: list[str]
    """Sentences that a reader of the numbers should know."""
    runs: list[Run]
    """All of them."""
    across: Across | None = None
    """The settings over several data sets, where that was asked for."""

    @property
    def metric(self) -> str:
        """The reported metric, such as `test/mean_iou`."""
        return self.measure.metric

    def verdict_of(self, group: Group) -> Verdict | None:
        """Return the verdict on a group, None for the chosen one and where there is none."""
        return self._verdicts.get(group)

    @cached_property
    def _verdicts(self) -> dict[Group, Verdict]:
        return {verdict.first: verdict for verdict in self.verdicts}

    @cached_property
    def data_labels(self) -> dict[str | None, str]:
        """A letter for each data set that the numbers come from; "?" where unknown or mixed."""
        known = dict.fromkeys(group.data for group in self.groups if group.data is not None)
        labels: dict[str | None, str] = {data: _letters(k) for k, data in enumerate(known)}
        return {**labels, None: "?"}


@collector_paused()
def compare_runs(
    folders: Sequence[str | Path],
    by: Sequence[str] = (),
    *,
    metric: str | None = None,
    baseline: str | None = None,
    filters: Sequence[str] = (),
    hidden: bool = False,
    over: str | None = None,
) -> Comparison:
    """Read the runs below folders and compare them.

    Args:
        folders: Run folders, or folders with runs below.
        by: Settings to group by; by default everything but the seed.
        metric: Such as `val/mean_iou`; by default test mean IoU, or the depth's RMSE where there is none. Settings are
            chosen by the same score of val.
        baseline: Path or name of a run; every group is judged against its group. By default against the one
            that is chosen by val.
        filters: Conditions on the runs; see `filters.parse_filters`.
        hidden: Also take the runs that `segbench hide` left out.
        over: A setting such as `data`, over whose values settings are ranked as well.

    Raises:
        ConfigError: for a folder, metric, setting, condition or baseline that is not there.
    """
    found = find_runs(folders)
    chosen = None
    if baseline:
        chosen = _find_baseline(found, baseline)
    runs = filter_runs(_visible(found, hidden), filters)
    if chosen is not None and chosen not in runs:
        runs.append(chosen)
    check_by(runs, by)
    check_by(runs, [over] if over else [], option="--over")
    measure = choose_measure(runs, metric)
    columns = list(by) or differing([run.settings for run in runs if run.settings])
    groups = group_runs(runs, measure, shown=columns, by=by)
    if share_blocks(groups, measure, by=by):
        groups = ranked(groups, measure)
    reference = next((g for g in groups if chosen in (*g.runs, *g.repeats, *g.unpaired)), None)
    if reference is not None:
        reference.baseline = True
    verdicts, answers = judge(groups, measure, by=by, baseline=reference)
    others = [run for run in runs if not run.counts]
    across = None
    if over:
        across = compare_across(groups, measure, over=over)
    notes = [*notes_on(groups, others, measure=measure, by=by, asked=metric is not None), *_left_out(found, runs)]
    return Comparison(measure, columns, groups, others, verdicts, answers, notes, runs, across)


def _visible(found: Sequence[Run], hidden: bool) -> list[Run]:
    runs = [run for run in found if hidden or not run.hidden]
    if not runs:
        raise ConfigError(
            f"every run there ({len(found)}) is hidden; --hidden shows them, segbench unhide RUN takes one back"
        )
    return runs


def _left_out(found: Sequence[Run], runs: Sequence[Run]) -> list[str]:
    count = sum(run.hidden for run in found) - sum(run.hidden for run in runs)
    if not count:
        return []
    words = "1 run was" if count == 1 else f"{count} runs were"
    return [f"{words} hidden with segbench hide and left out; --hidden shows them"]


def _find_baseline(runs: Sequence[Run], wanted: str) -> Run:
    """Return the run with this path or name; one outside the folders is read as well."""
    path = Path(wanted).expanduser().absolute().resolve()
    run = next((run for run in runs if run.path == path or run.name == wanted), None)
    if run is None and RunFolder(path).status.is_file():
        run = read_run(path, wanted)
    if run is None:
        ending = [run for run in runs if run.name.endswith(f"/{wanted}")]
        run = ending[0] if len(ending) == 1 else None
    if run is None:
        raise ConfigError(f"--baseline: there is no run '{wanted}'{_near_run(wanted, runs)}")
    if not run.counts:
        raise ConfigError(f"--baseline: {run.name} is {run.state}; only a completed run can be compared against")
    return run


def _near_run(wanted: str, runs: Sequence[Run]) -> str:
    names = [run.name for run in runs if run.counts]
    hint = nearest(wanted, names)
    if len(names) <= 10 or "did you mean" in hint:
        return hint
    return f"; give a path, or a name such as {names[0]}"


def _letters(number: int) -> str:
    if number < 26:
        return chr(ord("A") + number)
    return f"{_letters(number // 26 - 1)}{chr(ord('A') + number % 26)}"
