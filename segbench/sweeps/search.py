"""A search through settings with Optuna: each trial is a job of the sweep, chosen by what the ones before have shown.

What a trial gets depends on the trials that have ended and its own number alone. With one trial at a time, a search
that was stopped and continued therefore chooses as one that was not; with several, it depends on which of them ends
first.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from hydra.core.override_parser.types import IntervalSweep, Override

from segbench.config.sweep_settings import SearchSettings
from segbench.config.words import parse, swept_values
from segbench.core.choices import Sampler
from segbench.core.errors import ConfigError
from segbench.core.rng import key64
from segbench.core.states import RunState
from segbench.sweeps.folder import SweepFolder
from segbench.sweeps.plan import Job, make_job
from segbench.sweeps.study import Watch, begun_trial, needed_optuna, open_study

MOST_COMBINATIONS = 100_000
"""Combinations of a grid, which Optuna lists all at once."""

HOPELESS = 3
"""Trials that fail, each for the same reason and before any other has ended well, after which no new one is begun."""


class Search:
    """The trials of a sweep.

    Args:
        sweep: Its folder; the study is kept in it as `study.log`.
        words: The settings that all trials share, and those that are searched: values as for a sweep, or intervals.
        settings: The section `sweep.search` of the configuration.
        at_once: Trials at a time.

    Raises:
        ConfigError: if Optuna is not installed or a space cannot be read.
    """

    def __init__(self, sweep: SweepFolder, words: Sequence[str], *, settings: SearchSettings, at_once: int = 1) -> None:
        self.optuna = needed_optuna()
        self.sweep = sweep
        self.path = sweep.study.absolute()
        self.settings = settings
        self.at_once = at_once
        self.fixed: dict[str, str] = {}
        self.space: dict[str, Any] = {}
        given = {override.get_key_element(): override for override in parse(words)}
        space = {key: parse([f"{key}={value}"])[0] for key, value in (settings.space or {}).items()}
        for key, override in {**space, **given}.items():
            if override.is_sweep_override():
                self.space[key] = self._distribution(override)
            else:
                self.fixed[key] = override.get_value_element_as_str()
        if not self.space:
            raise ConfigError("the search has nothing to search: give optimizer.lr='tag(log,interval(1e-4,1e-2))'")
        self.trials = self._count()
        self._numbers: dict[str, int] = {}
        self._failures: list[str] = []
        """Why trials of this session have failed."""
        self.note = ""
        """Why there are fewer trials than were asked for; empty where that is not so."""

    def _distribution(self, override: Override) -> Any:
        kinds = self.optuna.distributions
        value = override.value()
        if not isinstance(value, IntervalSweep):
            return kinds.CategoricalDistribution(swept_values(override))
        if self.settings.sampler is Sampler.GRID:
            raise ConfigError(
                f"'{override.input_line}' is an interval, of which a grid has no values: give some, such as"
                f" {override.get_key_element()}=1e-4,1e-3, or sweep=random"
            )
        if value.start is None or value.end is None or not value.start < value.end:
            raise ConfigError(f"'{override.input_line}' must go from a smaller to a larger number")
        if "log" in value.tags and value.start <= 0:
            raise ConfigError(f"'{override.input_line}' is logarithmic, so it must begin above 0")
        whole = isinstance(value.start, int) and isinstance(value.end, int)
        kind = kinds.IntDistribution if whole else kinds.FloatDistribution
        return kind(value.start, value.end, log="log" in value.tags)

    def _count(self) -> int:
        """Return how many trials there are to be."""
        if self.settings.sampler is not Sampler.GRID:
            assert self.settings.trials is not None, "only a grid ends by itself"
            return self.settings.trials
        combinations = math.prod(len(kind.choices) for kind in self.space.values())
        if combinations > MOST_COMBINATIONS:
            raise ConfigError(f"the grid has {combinations:,} combinations; give fewer values, or sweep=random")
        return min(combinations, self.settings.trials or combinations)

    def jobs(self, known: list[Job], note: Callable[[list[Job]], None]) -> Iterator[Job]:
        """Yield the trials that are left, each chosen when it is asked for; `tell` has to hear of all that have ended.

        Args:
            known: Jobs of earlier sessions; new ones are appended.
            note: Called with all jobs before a new one is started.

        Raises:
            ConfigError: for a study of another sweep.
        """
        began = time.monotonic()
        self.study = open_study(self.path, self.settings)
        if len(known) > len(self._records()):
            raise ConfigError(f"{self.sweep.study} is not the study of this sweep: it lacks trials that have been run")
        for number in range(self.trials):
            if number >= len(known) and self._is_over(began):
                self.note = (
                    f"no new trial was begun after sweep.search.max_hours={self.settings.max_hours:g}:"
                    f" {number} of {self.trials} trials"
                )
                return
            if self._is_hopeless():
                self.note = (
                    f"no new trial was begun, as all {len(self._failures)} so far failed for the same reason:"
                    f" {number} of {self.trials} trials"
                )
                return
            trial = self._trial(number)
            if number == len(known):
                chosen = {**self.fixed, **{key: str(trial.params[key]) for key in self.space}}
                known.append(make_job(number, chosen, swept=list(self.space)))
                note(known)
            job = known[number]
            self._numbers[job.name] = number
            if self._records()[number].state.is_finished():
                continue
            if self.sweep.state(job).state.is_settled:  # it ended while nobody was there to tell
                self.tell(job, self.sweep.state(job).state)
                continue
            yield replace(job, watch=Watch(str(self.path), number, self.settings))

    def _is_over(self, began: float) -> bool:
        hours = self.settings.max_hours
        return hours is not None and time.monotonic() - began >= hours * 3600

    def _is_hopeless(self) -> bool:
        """Whether it is what all trials have in common that makes them fail."""
        if len(self._failures) < HOPELESS or len(set(self._failures)) > 1:
            return False
        states = self.optuna.trial.TrialState
        return all(record.state not in (states.COMPLETE, states.PRUNED) for record in self._records())

    def _records(self) -> Any:
        """Return what the study has of its trials: their states, settings and scores."""
        return self.study.get_trials(deepcopy=False)

    def _trial(self, number: int) -> Any:
        """Return a trial with all its settings chosen; one that a kill has left half chosen is completed."""
        self.study.sampler = self._sampler(number)
        trial = begun_trial(self.path, number) if number < len(self._records()) else self.study.ask()
        if any(self.space.get(key) != distribution for key, distribution in trial.distributions.items()):
            raise ConfigError(f"{self.sweep.study} is not the study of this sweep")
        if len(trial.params) < len(self.space):
            _ = trial.relative_params  # what is chosen together, is so before the samplers of single settings
        for key, distribution in self.space.items():
            self.study.sampler = self._sampler(number, key)
            _suggest(trial, key, distribution=distribution)  # what was chosen before stays
        return trial

    def _sampler(self, number: int, key: str = "") -> Any:
        samplers = self.optuna.samplers
        settings = self.settings
        seed = key64("search", settings.seed, number, key) % 2**32
        match settings.sampler:
            case Sampler.GRID:
                choices = {name: list(kind.choices) for name, kind in self.space.items()}
                return samplers.GridSampler(choices, seed=settings.seed)
            case Sampler.RANDOM:
                return samplers.RandomSampler(seed=seed)
        return samplers.TPESampler(seed=seed, n_startup_trials=settings.startup, constant_liar=self.at_once > 1)

    def tell(self, job: Job, state: RunState) -> None:
        """Let the study know what became of a trial; one that runs elsewhere is left as it is."""
        states = self.optuna.trial.TrialState
        number = self._numbers[job.name]
        if state is RunState.FAILED:
            self._failures.append(self.sweep.state(job).error)
        self.study.sampler = self.optuna.samplers.RandomSampler(seed=0)  # a grid's would stop what has no loop to stop
        if state is RunState.COMPLETED:
            self.study.tell(number, self.sweep.state(job).score)
        elif state is RunState.PRUNED:
            self.study.tell(number, state=states.PRUNED)
        elif state is RunState.FAILED:
            self.study.tell(number, state=states.FAIL)


def _suggest(trial: Any, key: str, *, distribution: Any) -> None:
    """Choose a value of a distribution, or keep the one that was chosen."""
    kind = type(distribution).__name__
    if kind == "CategoricalDistribution":
        trial.suggest_categorical(key, distribution.choices)
    elif kind == "IntDistribution":
        trial.suggest_int(key, distribution.low, distribution.high, log=distribution.log)
    else:
        trial.suggest_float(key, distribution.low, distribution.high, log=distribution.log)
