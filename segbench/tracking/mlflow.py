"""MLflow: a run in an experiment of a local file, or of a server whose address is given."""

from __future__ import annotations

import json
import logging
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from segbench.core.states import RunState
from segbench.tracking.tracker import About, Identity, Tracker, need

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

STATES = {RunState.COMPLETED: "FINISHED", RunState.FAILED: "FAILED"}
"""What MLflow calls how a run ended; `KILLED` for all others."""
FOLDER_TAG = "segbench.run"
"""Names the run folder, and with it whose run it is."""
MOST_AT_ONCE = 100
MOST_METRICS = 1000
LONGEST = 6000
"""Characters of a setting."""
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # it would tell its makers that it is used
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # with 7 a missing server is told after minutes
}


class Mlflow(Tracker):
    """Sends to MLflow: `mlflow ui` in the same folder shows the runs of its own default file.

    Args:
        uri: Where MLflow keeps runs: `sqlite:///FILE`, or the address of a server.
        experiment: The experiment that runs are sorted into.
    """

    def __init__(self, uri: str = "sqlite:///mlflow.db", experiment: str = "segbench") -> None:
        need("mlflow", "mlflow")
        self.uri = uri
        self.experiment = experiment
        self._waiting: list[Metric] = []

    @property
    def place(self) -> str:
        """The address without a password, and the experiment."""
        return f"mlflow {re.sub('//[^/@]*@', '//', self.uri)} {self.experiment}"

    def open(self, about: About, identity: Identity | None, *, last: int) -> Identity:
        """Begin a run, or go on with one."""
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        for library in ("mlflow", "alembic"):
            logging.getLogger(library).setLevel(logging.WARNING)
        from mlflow import MlflowClient
        from mlflow.entities import Param, RunTag

        self._client: MlflowClient = MlflowClient(self.uri)
        tags = {FOLDER_TAG: str(about.folder), "segbench.tags": ", ".join(about.tags)}
        if about.note:
            tags["mlflow.note.content"] = about.note
        run_id = self._known(about.folder, identity) or self._new(about.name)
        self._run_id = run_id
        run = self._client.get_run(run_id)
        self._time = run.info.start_time
        params = [
            Param(_key(name), str(value)[:LONGEST])
            for name, value in about.settings().items()
            if _key(name) not in run.data.params  # MLflow lets none be changed
        ]
        for first in range(0, len(params), MOST_AT_ONCE):
            self._client.log_batch(run_id, params=params[first : first + MOST_AT_ONCE])
        self._client.log_batch(run_id, tags=[RunTag(name, value[:LONGEST]) for name, value in tags.items()])
        self._client.log_text(run_id, json.dumps(about.config, indent=2, default=str), "config.json")
        return {"id": run_id}

    def _known(self, folder: Path, identity: Identity | None) -> str | None:
        """Return the run that is known, if it is still there and that of this folder, as one that runs again."""
        from mlflow.exceptions import MlflowException

        if identity is None:
            return None
        run_id = identity.get("id", "")
        try:
            run = self._client.get_run(run_id)
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            return None
        if run.info.lifecycle_stage != "active" or run.data.tags.get(FOLDER_TAG) != str(folder):
            return None
        self._client.update_run(run_id, status="RUNNING")
        return run_id

    def _new(self, name: str) -> str:
        experiment = self._client.get_experiment_by_name(self.experiment)
        if experiment is None:
            found: str = self._client.create_experiment(self.experiment)
        else:
            found = experiment.experiment_id
        run_id: str = self._client.create_run(found, run_name=name).info.run_id
        return run_id

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Keep them until `flush`, as a call for each step would take as long as the step.

        All have the time of the run's beginning: MLflow keeps what comes again with the same time once.
        """
        from mlflow.entities import Metric

        self._waiting += [Metric(_key(tag), value, self._time, step) for tag, value in values.items()]

    def image(self, name: str, png: bytes, *, step: int) -> None:
        """Add it as an artifact, `<name>/<step>.png`."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"{step:08d}.png"
            file.write_bytes(png)
            self._client.log_artifact(self._run_id, str(file), name)

    def summary(self, values: Mapping[str, float], *, step: int) -> None:
        """Add them as metrics, of which MLflow's table shows the last value."""
        self.scalars(step, values)

    def flush(self) -> None:
        """Add the scalars that wait, as many in a call as MLflow takes."""
        for first in range(0, len(self._waiting), MOST_METRICS):
            self._client.log_batch(self._run_id, metrics=self._waiting[first : first + MOST_METRICS])
        self._waiting.clear()

    def close(self, state: RunState) -> None:
        """Say how the run ended."""
        self._client.set_terminated(self._run_id, STATES.get(state, "KILLED"))


def _key(name: str) -> str:
    """Return a name with the characters that MLflow allows, of at most the length that it allows."""
    return re.sub(r"[^\w\-. /:]", "_", name, flags=re.ASCII)[:250]
