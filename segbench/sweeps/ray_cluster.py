"""Jobs on a Ray cluster: one that runs, or one that is started on this machine."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Any

from segbench.config.sweep_settings import RayLauncher
from segbench.core.errors import ConfigError
from segbench.core.states import RunState
from segbench.sweeps.folder import SweepFolder
from segbench.sweeps.plan import Job
from segbench.sweeps.pool import PATIENCE, Run, needed, run_elsewhere, state_left_by


class Cluster:
    """The jobs of one command on a cluster.

    Args:
        settings: Where it is, what a job takes of it.
        sweep: The sweep's folder, which all its machines have to see.
        typed: Settings of all jobs that are not written down.
        run: What is done with a job.

    Raises:
        ConfigError: where there is no such cluster, or no room for a job in it.
    """

    def __init__(
        self, settings: RayLauncher, sweep: SweepFolder, *, typed: Sequence[str], run: Run = run_elsewhere
    ) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to a server
        self._ray = needed("ray")
        self._sweep = sweep
        self._typed = list(typed)
        self._jobs: dict[Any, Job] = {}
        self._is_ours = not self._ray.is_initialized()
        if self._is_ours:
            self._connect(settings.address)
        if settings.address is None:
            self._check_room(settings)
        self._remote = self._ray.remote(
            num_cpus=settings.cpus_per_job,
            num_gpus=settings.gpus_per_job,
            max_retries=1,  # where its process or its machine is gone, the job goes on elsewhere
        )(run)

    def _connect(self, address: str | None) -> None:
        try:
            self._ray.init(address=address, log_to_driver=False, include_dashboard=False)
        except (ConnectionError, ValueError, RuntimeError) as error:
            said = " ".join(str(error).split())
            raise ConfigError(f"launcher.address={address} is no Ray cluster that can be reached: {said}") from None

    def _check_room(self, settings: RayLauncher) -> None:
        """Refuse a job that would wait for ever: nothing is added to a cluster that was started here."""
        room = self._ray.cluster_resources()
        for key, wanted in (("CPU", settings.cpus_per_job), ("GPU", settings.gpus_per_job)):
            if wanted > room.get(key, 0):
                self.close()
                raise ConfigError(
                    f"launcher.{key.lower()}s_per_job={wanted:g} is more than there is here, {room.get(key, 0):g};"
                    " give less, or launcher.address of a larger cluster"
                )

    def submit(self, jobs: Sequence[Job]) -> list[Any]:
        """Hand jobs to the cluster, which starts each where there is room."""
        handles = [self._remote.remote(str(self._sweep.path), job, typed=self._typed) for job in jobs]
        self._jobs.update(zip(handles, jobs, strict=True))
        return handles

    def wait(self, handles: Collection[Any]) -> list[tuple[Any, RunState]]:
        """Wait for the next that ends."""
        ready, _ = self._ray.wait(list(handles), num_returns=1)
        return [(handle, self._state(handle)) for handle in ready]

    def _state(self, handle: Any) -> RunState:
        try:
            return RunState(self._ray.get(handle))
        except self._ray.exceptions.RayError:
            return state_left_by(self._sweep, self._jobs[handle])

    def stop(self, handles: Collection[Any]) -> None:
        """Interrupt jobs, and wait for their checkpoints."""
        for handle in handles:
            with suppress(self._ray.exceptions.RayError):
                self._ray.cancel(handle)
        if handles:
            self._ray.wait(list(handles), num_returns=len(handles), timeout=PATIENCE)

    def close(self) -> None:
        """Leave the cluster; one that was started here ends."""
        if self._is_ours:
            self._ray.shutdown()
