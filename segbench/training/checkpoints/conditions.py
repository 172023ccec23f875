"""What a run runs on, and what a resume in other conditions means for its numbers."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from segbench.config.trainer_settings import TrainerSettings
from segbench.core.choices import SPLITS
from segbench.core.errors import DataError
from segbench.core.plain import Plain, inner
from segbench.data.loading.datamodule import SegmentationData
from segbench.inference.trainer import device_kind
from segbench.runs.environment import git_commit, machine, versions

SOFT = (
    "git_commit",
    "processor",
    "device",
    "gpu",
    "cuda",
    "cudnn",
    "world_size",
    "sharded",
    "deterministic",
    "channels_last",
    "compile",
    "fused_optimizer",
)
"""Conditions that move the last bits of the numbers, but not the experiment; so do versions, and threads on a CPU."""

SILENT = ("hydra-core", "omegaconf", "python")
"""Versions that do no arithmetic of the training."""


def conditions(settings: TrainerSettings, seed: int, *, data: SegmentationData, is_fused: bool) -> Plain:
    """Return the content of environment.json: machine, versions, device, threads, seed and fingerprints of the data.

    Args:
        settings: The trainer's settings.
        seed: That of the run.
        data: Its data.
        is_fused: Whether the optimizer's step is one kernel for all weights.
    """
    gpu = device_kind(settings) == "cuda"
    return {
        **machine(),
        "git_commit": git_commit(),
        "versions": versions(),
        "device": device_kind(settings),
        "gpu": torch.cuda.get_device_name() if gpu else None,
        "cuda": torch.version.cuda if gpu else None,
        "cudnn": torch.backends.cudnn.version() if gpu else None,  # type: ignore[no-untyped-call]
        "threads": torch.get_num_threads(),
        "world_size": settings.devices,
        "sharded": settings.is_sharded,
        "precision": settings.precision,
        "deterministic": settings.deterministic,
        "channels_last": settings.channels_last,
        "compile": settings.compile,
        "fused_optimizer": is_fused,
        "seed": seed,
        "data_fingerprint": {split: data.fingerprint(split) for split in SPLITS},
    }


def differences(before: Mapping[str, object], now: Mapping[str, object]) -> list[str]:
    """Return the conditions that make a resume of a run no longer bit-exact, such as `threads 2 -> 8`."""
    pairs = {name: (before.get(name, now[name]), now[name]) for name in SOFT}
    if now["device"] == "cpu":
        pairs["threads"] = (before.get("threads", now["threads"]), now["threads"])
    recorded = inner(before, "versions")
    installed = inner(now, "versions")
    for name in sorted({*recorded, *installed} - {*SILENT}):
        pairs[name] = (recorded.get(name), installed.get(name))
    return [f"{name} {_word(old)} -> {_word(new)}" for name, (old, new) in pairs.items() if old != new]


def other_data(before: Mapping[str, object], now: Mapping[str, object]) -> DataError | None:
    """Return the error to raise where the samples are not those that the run was started with."""
    recorded = before.get("data_fingerprint")
    if not isinstance(recorded, Mapping):
        return None  # environment.json is lost
    other = [split for split in SPLITS if recorded.get(split) != inner(now, "data_fingerprint").get(split)]
    if not other:
        return None
    return DataError(
        f"the {', '.join(other)} data is not what the run was started with (another fingerprint): bring the old data"
        " back, or go on with resume.force=true, which is recorded"
    )


def _word(value: object) -> str:
    if value is None:
        return "none"
    return str(value)[:80]
