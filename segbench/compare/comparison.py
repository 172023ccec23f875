"""Everything that `compare` says, as data: the terminal, the files and the HTML report show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from segbench.compare.filters import filter_runs
from segbench.compare.groups import Group, check_by, choose_metric, group_runs
from segbench.compare.runs import Run, find_runs, read_run
from segbench.compare.settings import differing
from segbench.compare.verdict import MAX_VERDICTS, REFUSED, Verdict, judge
from segbench.core.errors import ConfigError, nearest
from segbench.runs.folder import RunFolder


@dataclass(frozen=True, eq=False)
class Comparison:
    """The result.

    metric: what the groups are ordered by. columns: the settings that tell them apart. groups: best first, those of the
    same data together. others: runs without final numbers: running, failed, interrupted, broken. verdicts: of pairs of
    groups. notes: sentences that a reader of the numbers should know. runs: all of them.
    """

    metric: str
    columns: list[str]
    groups: list[Group]
    others: list[Run]
    verdicts: list[Verdict]
    notes: list[str]
    runs: list[Run]

    @property
    def data_labels(self) -> dict[str | None, str]:
        """A letter for each data set that the numbers come from; "?" where unknown or mixed."""
        known = dict.fromkeys(group.data for group in self.groups if group.data is not None)
        labels: dict[str | None, str] = {data: _letters(k) for k, data in enumerate(known)}
        return {**labels, None: "?"}


def compare_runs(
    folders: Sequence[str | Path],
    by: Sequence[str] = (),
    metric: str | None = None,
    baseline: str | None = None,
    filters: Sequence[str] = (),
    hidden: bool = False,
) -> Comparison:
    """Read the runs below folders and compare them.

    Args:
        folders: Run folders, or folders with runs below.
        by: Settings to group by; by default everything but the seed.
        metric: Such as `val/mean_iou`; by default test mean IoU, or the depth's RMSE where there is none.
        baseline: Path or name of a run; every group is judged against its group. By default the best against the next.
        filters: Conditions on the runs; see `filters.parse_filters`.
        hidden: Also take the runs that `segbench hide` left out.

    Raises:
        ConfigError: for a folder, metric, setting, condition or baseline that is not there.
    """
    found = find_runs(folders)
    chosen = _find_baseline(found, baseline) if baseline else None
    runs = filter_runs(_visible(found, hidden), filters)
    if chosen is not None and chosen not in runs:
        runs.append(chosen)
    check_by(runs, by)
    metric = choose_metric(runs, metric)
    columns = list(by) or differing([run.settings for run in runs if run.settings])
    groups = group_runs(runs, metric, columns, by)
    reference = next((g for g in groups if chosen in g.runs or chosen in g.repeats), None)
    if reference is not None:
        reference.baseline = True
    verdicts = judge(groups, metric, reference)
    others = [run for run in runs if not run.counts]
    notes = [*_notes(groups, verdicts, metric, by), *_left_out(found, runs)]
    return Comparison(metric, columns, groups, others, verdicts, notes, runs)


def _visible(found: Sequence[Run], hidden: bool) -> list[Run]:
    runs = [run for run in found if hidden or not run.hidden]
    if not runs:
        raise ConfigError(
            f"every run there ({len(found)}) is hidden; --hidden shows them, segbench unhide RUN takes one back"
        )
    return runs


def _left_out(found: Sequence[Run], runs: Sequence[Run]) -> list[str]:
    count = sum(run.hidden for run in found) - sum(run.hidden for run in runs)
    words = "1 run was" if count == 1 else f"{count} runs were"
    return [f"{words} hidden with segbench hide and left out; --hidden shows them"] if count else []


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
    return hint if len(names) <= 10 or "did you mean" in hint else f"; give a path, or a name such as {names[0]}"


def _notes(groups: Sequence[Group], verdicts: Sequence[Verdict], metric: str, by: Sequence[str]) -> list[str]:
    notes = []
    split = metric.partition("/")[0]
    known = {group.data for group in groups if group.summary.n}
    if len(known) > 1 or None in known:
        count = len(known - {None})
        notes.append(
            f"numbers of different {split} data stand side by side ({count} known by fingerprint, see column data):"
            " they are ranked and judged only within the same data"
        )
    repeats = sum(len(group.repeats) for group in groups)
    if repeats:
        notes.append(f"left out as repeats of the same settings and seed: {repeats}; the newest of each counts")
    mixed = differing([run.settings for group in groups for run in group.runs]) if by else []
    hidden = [name for name in mixed if name not in by and _varies(groups, name)]
    if hidden:
        notes.append(f"groups join runs that differ in more than the seed: {', '.join(hidden)}")
    if not any(group.baseline for group in groups) and any(_unjudged(groups, group) for group in groups if group.best):
        notes.append(f"only the next {MAX_VERDICTS} are judged against the best; --baseline judges all against one run")
    judged = sum(verdict.word != REFUSED for verdict in verdicts)
    if judged > 1:
        notes.append(f"each interval holds for itself: of {judged} at 95 %, about {judged / 20:.1g} miss by chance")
    return notes


def _varies(groups: Sequence[Group], name: str) -> bool:
    return any(len({run.settings.get(name) for run in group.runs}) > 1 for group in groups)


def _unjudged(groups: Sequence[Group], best: Group) -> bool:
    return sum(group.data == best.data and group.summary.mean is not None for group in groups) > 1 + MAX_VERDICTS


def _letters(number: int) -> str:
    return chr(ord("A") + number) if number < 26 else f"{_letters(number // 26 - 1)}{chr(ord('A') + number % 26)}"
