"""Asking SLURM to run a job again that it is about to end. Done after the checkpoint, never within a signal handler."""

from __future__ import annotations

import os
import subprocess


def requeue_job() -> str | None:
    """Put this SLURM job back into the queue; return what to tell the user, or None outside SLURM.

    The job then runs its script again, which continues the run if that names its folder with `hydra.run.dir=...`.
    """
    job = os.environ.get("SLURM_JOB_ID")
    if job is None:
        return None
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    task = os.environ.get("SLURM_ARRAY_TASK_ID")
    name = f"{array}_{task}" if array and task else job
    try:
        done = subprocess.run(["scontrol", "requeue", name], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        return f"job {name} could not be put back into the queue: {error}"
    if done.returncode:
        return f"job {name} could not be put back into the queue: scontrol said {done.stderr.strip() or 'nothing'}"
    return f"job {name} was put back into the queue"
