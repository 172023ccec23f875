"""`verify`: a run made again from its folder, and compared with what it recorded to the last bit."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from segbench.config.continued import check_start
from segbench.config.labels import check_plugins
from segbench.config.saved import read_saved_config, saved_config, with_changes
from segbench.core.errors import ConfigError, SegbenchError
from segbench.core.files import write_json
from segbench.core.plain import Plain
from segbench.core.text import say
from segbench.runs.folder import COMPILATION, RunFolder, open_run, read_json
from segbench.runs.metrics_log import read_metrics
from segbench.training.start import start

FREE = ("images_per_second", "peak_memory_bytes", "seconds", "cpu_seconds", "resumes", "compilation")
"""Entries of results.json that are about the machine at that time."""


class NotReproducedError(SegbenchError):
    """The run was made again, and came out different."""


@dataclass(frozen=True)
class Verdict:
    """What came of it."""

    steps: int
    """Checkpoints whose weights were compared."""

    rows: int
    """Rows of the log that were compared."""

    other: str | None
    """Where the first difference is; None where all is the same."""


def verify_run(path: str, changes: Sequence[str], *, plugins: Sequence[str], console: Console) -> None:
    """Train a run again in a temporary folder, and say whether weights, metrics and results are the same bits.

    Args:
        path: The run folder; nothing in it is changed.
        changes: Settings as `key=value`, such as `data.root=DIR` where the data was moved.
        plugins: The user's own packages that the run may name.
        console: Where to report.

    Raises:
        ConfigError: if there is no run with a finished epoch.
        NotReproducedError: if anything differs, with the first step from which it does.
    """
    run = open_run(path)
    changed = with_changes(read_saved_config(run.config), changes)
    anew = {"plugins": [*check_plugins(changed["plugins"]), *plugins], "logger": {}, "resume": {"force": False}}
    config = saved_config(changed | anew)
    check_start(config, changes, where=f"verify trains {run.path} anew, which")
    if not run.digests.is_file():
        raise ConfigError(f"{run.path} has no digests.csv: it has not finished an epoch, so there is nothing to verify")
    before = run.read_environment()
    threads = before.get("threads")
    if config.trainer.threads is None and before.get("device") == "cpu" and isinstance(threads, int):
        config = replace(config, trainer=replace(config.trainer, threads=threads))
    with tempfile.TemporaryDirectory(prefix="segbench-verify-") as folder:
        again = RunFolder(Path(folder) / "run")
        again.path.mkdir()
        # what was decided by measuring is taken over, as a resume does
        write_json(again.environment, {COMPILATION: before.get(COMPILATION)})
        start(config, again, begin=RunFolder.create, console=Console(quiet=True))
        verdict = compare_runs(run, again)
        inexact = _conditions(before, read_json(again.environment))
    _report(run, verdict, inexact=inexact, console=console)


def _conditions(before: Plain, now: Plain) -> list[str]:
    from segbench.training.checkpoints.conditions import differences

    resumes = before.get("resumes")
    past = [
        str(reason)
        for resume in (resumes if isinstance(resumes, list) else [])
        if isinstance(resume, dict)
        for kind in ("forced", "inexact", "length")
        for reason in (resume.get(kind) or [])
    ]
    return [*differences(before, now), *(f"{reason} at a resume" for reason in past)]


def compare_runs(run: RunFolder, again: RunFolder) -> Verdict:
    """Return where two runs of one experiment first differ: weights, then the metrics table, then the results."""
    from segbench.training.checkpoints.digests import read_digests

    weights = read_digests(run.digests)
    mine = read_digests(again.digests)
    common = sorted({*weights} & {*mine})
    known = {(row["split"], row["epoch"], row["step"]): row for row in read_metrics(run.metrics)}
    rows = [
        (known[key], row)
        for row in read_metrics(again.metrics)
        if (key := (row["split"], row["epoch"], row["step"])) in known
    ]
    found = [(step, f"the weights at step {step}") for step in common if weights[step] != mine[step]]
    for old, new in rows:
        found += [
            (int(old["step"]), f"{name} at step {old['step']}: {old.get(name)} then, {new.get(name)} now")
            for name in sorted({*old, *new})
            if old.get(name) != new.get(name)
        ]
    other = min(found)[1] if found else _other_results(run, again)
    return Verdict(len(common), len(rows), other)


def _other_results(run: RunFolder, again: RunFolder) -> str | None:
    if not run.results.is_file():
        return None
    then = run.read_results()
    now = again.read_results()
    for name in ("data_fingerprint", *sorted(then)):
        if name not in FREE and then.get(name) != now.get(name):
            return f"'{name}' in results.json"
    return None


def _report(run: RunFolder, verdict: Verdict, *, inexact: list[str], console: Console) -> None:
    reasons = ""
    if inexact:
        reasons = f"; what is not as it was then: {', '.join(inexact)}"
    if not verdict.steps:
        raise NotReproducedError(f"{run.path} and its repeat have no checkpoint of the same step to compare{reasons}")
    if verdict.other is not None:
        raise NotReproducedError(f"{run.path} is not reproduced: the first difference is {verdict.other}{reasons}")
    say(
        console,
        f"reproduced: the weights at {verdict.steps} checkpoints, {verdict.rows} rows of metrics.csv and the results"
        f" are the same bits as in {run.path}{reasons}",
    )
