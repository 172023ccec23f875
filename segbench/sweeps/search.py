"""A search through settings with Optuna: each trial is a job of the sweep, chosen by what the ones before have shown.

What a trial gets depends on the earlier trials and its own number alone, so a search that was stopped and continued
chooses as one that was not.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from hydra.core.override_parser.types import IntervalSweep, Override

from segbench.config.sweep_settings import SearchSettings
from segbench.config.words import parse, swept_values
from segbench.core.errors import ConfigError, Pruned
from segbench.core.rng import key64
from segbench.core.states import RunState
from segbench.sweeps.folder import SweepFolder
from segbench.sweeps.plan import Job, make_job
from segbench.sweeps.work import run_job

STUDY = "sweep"


class Search:
    """The trials of a sweep.

    Args:
        sweep: Its folder; the study is kept in it as `study.db`.
        words: The settings that all trials share, and those that are searched: values as for a sweep, or intervals.
        settings: The section `sweep.search` of the configuration.
        typed: Settings that are not written down; see `run_job`.

    Raises:
        ConfigError: if Optuna is not installed or a space cannot be read.
    """

    def __init__(
        self, sweep: SweepFolder, words: Sequence[str], *, settings: SearchSettings, typed: Sequence[str] = ()
    ) -> None:
        self.typed = typed
        try:
            import optuna
        except ImportError:
            raise ConfigError("a search needs Optuna: pip install 'segbench[optuna]'") from None
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        logging.getLogger("alembic").setLevel(logging.ERROR)
        self.optuna = optuna
        self.sweep = sweep
        self.settings = settings
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

    def _distribution(self, override: Override) -> Any:
        kinds = self.optuna.distributions
        value = override.value()
        if isinstance(value, IntervalSweep):
            if value.start is None or value.end is None or not value.start < value.end:
                raise ConfigError(f"'{override.input_line}' must go from a smaller to a larger number")
            if "log" in value.tags and value.start <= 0:
                raise ConfigError(f"'{override.input_line}' is logarithmic, so it must begin above 0")
            whole = isinstance(value.start, int) and isinstance(value.end, int)
            kind = kinds.IntDistribution if whole else kinds.FloatDistribution
            return kind(value.start, value.end, log="log" in value.tags)
        return kinds.CategoricalDistribution(swept_values(override))

    def _open(self) -> Any:
        self.storage = self.optuna.storages.RDBStorage(f"sqlite:///{self.sweep.study.absolute()}")
        return self.optuna.create_study(
            study_name=STUDY, storage=self.storage, direction="maximize", load_if_exists=True, pruner=self._pruner()
        )

    def _pruner(self) -> Any:
        if not self.settings.prune:
            return self.optuna.pruners.NopPruner()
        return self.optuna.pruners.MedianPruner(n_startup_trials=self.settings.startup)

    def run(
        self, jobs: list[Job], note: Callable[[list[Job]], None], *, finished: Callable[[Job, RunState], None]
    ) -> None:
        """Run the trials that are left.

        Args:
            jobs: Those of earlier sessions; new ones are appended.
            note: Called with all jobs before a new one is started.
            finished: Called with each job and its state.

        Raises:
            Interrupted: if a signal stopped a job; the search can be continued.
        """
        study = self._open()
        for number in range(self.settings.trials):
            trial = self._trial(study, number)
            if number == len(jobs):
                chosen = {**self.fixed, **{key: str(trial.params[key]) for key in self.space}}
                jobs.append(make_job(number, chosen, swept=list(self.space)))
                note(jobs)
            if _record(study, trial).state.is_finished():
                continue
            state = run_job(str(self.sweep.path), jobs[number], typed=self.typed, watch=self._watch(study, trial))
            self._tell(study, trial, job=jobs[number], state=state)
            finished(jobs[number], state)

    def _trial(self, study: Any, number: int) -> Any:
        """Return a trial with all its settings chosen; one that a kill has left half chosen is completed."""
        known = study.get_trials(deepcopy=False)
        trial = self._begun(study, number) if number < len(known) else study.ask()
        if any(self.space.get(key) != distribution for key, distribution in trial.distributions.items()):
            raise ConfigError(f"{self.sweep.study} is not the study of this sweep")
        for key, distribution in self.space.items():
            seed = key64("search", self.settings.seed, number, key) % 2**32
            study.sampler = self.optuna.samplers.TPESampler(seed=seed, n_startup_trials=self.settings.startup)
            _suggest(trial, key, distribution=distribution)  # what was chosen before stays
        return trial

    def _begun(self, study: Any, number: int) -> Any:
        """Return a trial that an earlier session began."""
        place = self.storage.get_study_id_from_name(STUDY)
        return self.optuna.trial.Trial(study, self.storage.get_trial_id_from_study_id_trial_number(place, number))

    def _watch(self, study: Any, trial: Any) -> Callable[[int, float], None]:
        reported = _record(study, trial).intermediate_values

        def watch(epoch: int, score: float) -> None:
            if epoch not in reported:
                trial.report(score, epoch)
            if trial.should_prune():
                raise Pruned(f"ended after epoch {epoch + 1}: others had a better val score by then")

        return watch

    def _tell(self, study: Any, trial: Any, *, job: Job, state: RunState) -> None:
        states = self.optuna.trial.TrialState
        if state is RunState.COMPLETED:
            study.tell(trial.number, self.sweep.state(job).score)
        else:
            study.tell(trial.number, state=states.PRUNED if state is RunState.PRUNED else states.FAIL)


def _record(study: Any, trial: Any) -> Any:
    """Return what the study has of a trial: its state, and the scores that were reported."""
    return study.get_trials(deepcopy=False)[trial.number]


def _suggest(trial: Any, key: str, *, distribution: Any) -> None:
    """Choose a value of a distribution, or keep the one that was chosen."""
    kind = type(distribution).__name__
    if kind == "CategoricalDistribution":
        trial.suggest_categorical(key, distribution.choices)
    elif kind == "IntDistribution":
        trial.suggest_int(key, distribution.low, distribution.high, log=distribution.log)
    else:
        trial.suggest_float(key, distribution.low, distribution.high, log=distribution.log)
