"""Everything that `compare` says, as data: the terminal, the files and the HTML report show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from segbench.compare.across import Across, compare_across
from segbench.compare.answer import Answer
from segbench.compare.family import families
from segbench.compare.filters import filter_runs
from segbench.compare.groups import Group, Measure, check_by, choose_measure, group_runs
from segbench.compare.judge import judge
from segbench.compare.runs import Run, find_runs, read_run
from segbench.compare.selection import picked_luck
from segbench.compare.settings import differing
from segbench.compare.verdict import Verdict
from segbench.core.errors import ConfigError, nearest
from segbench.core.score_names import AT_INPUT, without_size
from segbench.core.text import and_more
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

    @property
    def data_labels(self) -> dict[str | None, str]:
        """A letter for each data set that the numbers come from; "?" where unknown or mixed."""
        known = dict.fromkeys(group.data for group in self.groups if group.data is not None)
        labels: dict[str | None, str] = {data: _letters(k) for k, data in enumerate(known)}
        return {**labels, None: "?"}


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
    reference = next((g for g in groups if chosen in g.runs or chosen in g.repeats), None)
    if reference is not None:
        reference.baseline = True
    verdicts, answers = judge(groups, measure, by=by, baseline=reference)
    others = [run for run in runs if not run.counts]
    across = None
    if over:
        across = compare_across(groups, measure, over=over)
    notes = [*_notes(groups, measure, by=by, asked=metric is not None), *_left_out(found, runs)]
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


def _notes(groups: Sequence[Group], measure: Measure, *, by: Sequence[str], asked: bool) -> list[str]:
    notes = []
    if measure.chosen_by == measure.metric and measure.split == "test":
        notes.append(
            f"no run has a score of val: the best is named by {measure.metric} itself, which flatters it; the words"
            " allow for that"
        )
    elif asked and measure.split == "test":
        notes += [_chosen_on_test(same, measure) for same in families(groups) if len(same) > 1]
    notes += _other_size(groups, measure)
    known = {group.data for group in groups if group.summary.n}
    if len(known) > 1 or None in known:
        count = len(known - {None})
        notes.append(
            f"numbers of different {measure.split} data stand side by side ({count} known by fingerprint, see column"
            " data): they are ranked and judged only within the same data"
        )
    repeats = sum(len(group.repeats) for group in groups)
    if repeats:
        notes.append(f"left out as repeats of the same settings and seed: {repeats}; the newest of each counts")
    mixed = []
    if by:
        mixed = differing([run.settings for group in groups for run in group.runs])
    hidden = [name for name in mixed if name not in by and _varies(groups, name)]
    if hidden:
        notes.append(f"groups join runs that differ in more than the seed: {', '.join(hidden)}")
    for group in groups:
        if group.lost:
            lost = " and ".join(f"{count} {state}" for state, count in sorted(group.lost.items()))
            notes.append(f"{group.label} also has {lost} run{'s' * (sum(group.lost.values()) != 1)} without numbers")
    skipped = [run for group in groups for run in group.runs if run.skipped_steps]
    if skipped:
        names = ", ".join(f"{run.name} ({run.skipped_steps})" for run in skipped[:5])
        notes.append(f"steps of training were skipped for a loss or gradient that is no number: {names}")
    forced = [run for group in groups for run in group.runs if run.forced]
    if forced:
        names = "; ".join(f"{run.name}: {', '.join(run.forced[:3])}" for run in forced[:5])
        more = and_more(len(forced), 5)
        notes.append(
            f"resumed by force as another experiment, so that their settings hold for a part of them: {names}{more}"
        )
    return notes


def _other_size(groups: Sequence[Group], measure: Measure) -> list[str]:
    """Say where runs have the score at another size only: of the network's input, or of the pictures."""
    plain = without_size(measure.metric)
    other = plain if plain != measure.metric else f"{plain}{AT_INPUT}"
    missing = [run for group in groups for run in group.runs if measure.metric not in run.metrics]
    count = sum(other in run.metrics for run in missing)
    if not count:
        return []
    words = "1 run has"
    if count != 1:
        words = f"{count} runs have"
    return [f"{words} no {measure.metric}, but {other}, which is another score; --metric {other} compares those"]


def _chosen_on_test(same: Sequence[Group], measure: Measure) -> str:
    """Say what it would mean to choose by the test."""
    means = [measure.sign * group.summary.mean for group in same if group.summary.mean is not None]
    best = same[means.index(max(means))]
    luck = picked_luck([len(group.runs) for group in same], [group.summary for group in same])
    size = ""
    if luck:
        size = f", by {luck:.4f} on average for its seeds alone where settings are equal"
    return (
        f"settings are chosen by {measure.chosen_by}; choosing by {measure.metric} would name {best.label} and report"
        f" {best.summary.mean:.4f}, a score that is flattered by the choice{size}"
    )


def _varies(groups: Sequence[Group], name: str) -> bool:
    return any(len({run.settings.get(name) for run in group.runs}) > 1 for group in groups)


def _letters(number: int) -> str:
    if number < 26:
        return chr(ord("A") + number)
    return f"{_letters(number // 26 - 1)}{chr(ord('A') + number % 26)}"
