"""A command that something has started several times over, once for each process of a run. No torch before it must be.

The first process runs the command; the others do what it tells them, and say nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from segbench.core.errors import ConfigError, SegbenchError, exit_code_of
from segbench.core.world import World

DEVICES = "trainer.devices="


def together(run: Callable[[], Path]) -> Path:
    """Run a command in the first process, and follow it in the others; return the run folder.

    Raises:
        SegbenchError: in the first process.
        SystemExit: in the others, with the exit status of the run.
    """
    world = World.here()
    if not world.is_launched:
        return run()
    from segbench.training.distributed.ranks import Ranks

    ranks = Ranks(world)
    try:
        with ranks:
            if world.rank == 0:
                folder = run()
                ranks.send_result(str(folder))
                return folder
            from segbench.training.distributed.follow import follow

            follow(ranks)
            return Path(ranks.result())
    except (SegbenchError, KeyboardInterrupt) as error:
        if world.rank == 0:
            raise
        if isinstance(error, SegbenchError):
            ranks.say(error)
        raise SystemExit(exit_code_of(error)) from None


def with_devices(words: Sequence[str]) -> list[str]:
    """Return the settings of a command with the number of processes that something has started.

    Raises:
        ConfigError: where they ask for another number, or for a sweep.
    """
    world = World.here()
    if not world.is_launched:
        return list(words)
    for word in words:
        if word.startswith(DEVICES) and word.removeprefix(DEVICES) != str(world.size):
            raise ConfigError(
                f"{word}, but {world.starter} has started {world.size} process{'es' * (world.size > 1)}: leave"
                f" trainer.devices out, or start one process without {world.starter}, which then starts the others"
            )
    return [*words, f"{DEVICES}{world.size}"]


def refuse_sweep() -> None:
    """Raise a ConfigError where several processes were started for a sweep."""
    world = World.here()
    if world.size > 1:
        raise ConfigError(
            f"{world.starter} has started {world.size} processes, but a sweep starts those of its jobs itself: start"
            " one process, with trainer.devices=N for jobs of several devices"
        )


def decided_folder(folder: Path) -> Path:
    """Return the run folder, the same one when a launcher starts the processes again after the end of one."""
    if not World.here().is_launched:
        return folder
    from segbench.training.distributed.ranks import current

    return Path(current().remembered("folder", str(folder)))
