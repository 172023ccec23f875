"""Holds the first training samples of a run against the data law, before anything is trained or written.

A sample, and its augmentation, must be a function of its number alone. What draws from a global generator, or from one
of its own, would train other samples after a resume or with other workers, without a word.
"""

from __future__ import annotations

import logging
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch

from segbench.core.choices import Split
from segbench.core.errors import ConfigError
from segbench.core.tasks import IGNORE_INDEX
from segbench.data.loading.augment import Augment
from segbench.data.loading.source import Arrays, Source

log = logging.getLogger("segbench")

SAMPLES = 8
"""How many samples are looked at: transforms are often left out by chance."""

REPEAT = (
    "it must draw from self.random_generator or self.py_random, so that a resume and other workers see the same sample"
)


def check_law(source: Source, augment: Augment | None, *, seed: int) -> None:
    """Raise a ConfigError for a data set or an augmentation that breaks the data law in one of the first samples.

    Args:
        source: The prepared data set.
        augment: Of its training samples; None for none.
        seed: Key of the augmentation.
    """
    with _one_thread():
        _check(source, augment, seed=seed)


def _check(source: Source, augment: Augment | None, *, seed: int) -> None:
    first = _twice(lambda: source.sample(Split.TRAIN, epoch=0, index=0))
    if isinstance(first, str):
        raise ConfigError(f"data: sample 0 of train {first}; it must be a function of (split, epoch, index) alone")
    if augment is None or augment.pipeline is None:
        return
    samples = [
        first,
        *(
            source.sample(Split.TRAIN, epoch=0, index=i)
            for i in range(1, min(SAMPLES, source.num_samples(Split.TRAIN)))
        ),
    ]
    _check_parts(augment, samples, seed=seed)
    found = _augmented(augment, samples, seed=seed)
    if isinstance(found, str):
        raise ConfigError(f"augment: {_blame(augment, samples, seed=seed, wrong=found)} {found}")
    sizes = {arrays["image"].shape[:2] for arrays in found}
    if len(sizes) > 1:
        shown = ", ".join(f"{height} x {width}" for height, width in sorted(sizes))
        raise ConfigError(
            f"augment: gives samples of different sizes ({shown}), which make no batch; end with albumentations.Resize"
            " or RandomCrop of one size"
        )
    before = first["image"].shape[:2]
    after = sizes.pop()
    if before != after:
        log.warning("  augment: training samples are %d x %d, val and test %d x %d", *after, *before)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep OpenCV from starting its threads, which loader workers that are forked later would wait for in vain."""
    cv2 = sys.modules.get("cv2")
    if cv2 is None:
        yield
        return
    threads = cv2.getNumThreads()
    cv2.setNumThreads(0)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


def _check_parts(augment: Augment, samples: list[Arrays], *, seed: int) -> None:
    """Raise a ConfigError for a transform that does not repeat itself, also one that is rarely applied."""
    for name, alone in augment.parts():
        for index, arrays in enumerate(samples):
            try:
                found = _twice(partial(alone, arrays, seed, 0, index))
            except Exception:  # it may need what comes before it; the whole pipeline is tried as well
                continue
            if isinstance(found, str):
                raise ConfigError(f"augment: {name} {found}; {REPEAT}")


def _augmented(augment: Augment, samples: list[Arrays], *, seed: int) -> list[Arrays] | str:
    """Return the augmented samples, each made twice, or what is wrong with them and what would work."""
    found = []
    for index, arrays in enumerate(samples):
        try:
            result = _twice(partial(augment, arrays, seed, 0, index))
        except ConfigError as error:
            return str(error).removeprefix("augment ")
        except Exception as error:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            return f"cannot work on sample {index} of train: {reason[:300]}"
        if isinstance(result, str):
            return f"{result}; {REPEAT}"
        invented = set(np.unique(result["mask"])) - set(np.unique(arrays["mask"])) - {IGNORE_INDEX}
        if invented:
            ids = ", ".join(map(str, sorted(invented)[:5]))
            return f"gives masks with ids that were not there ({ids}); masks must move with nearest neighbours"
        found.append(result)
    return found


def _blame(augment: Augment, samples: list[Arrays], *, seed: int, wrong: str) -> str:
    """Return the name of the first transform that is as wrong by itself; several may only be so together."""
    for name, alone in augment.parts():
        if _augmented(alone, samples, seed=seed) == wrong:
            return name
    return "the pipeline"


def _twice(make: Callable[[], Arrays]) -> Arrays | str:
    """Return what is made, or why it would not be the same a second time."""
    with _global_generators() as moved:
        first = make()
        drawn = moved()
        second = make()
    if drawn:
        return f"draws from the global generator of {drawn}"
    same = first.keys() == second.keys() and all(_equal(first[name], second[name]) for name in first)
    if same:
        return first
    return "is another one when it is made again"


def _equal(first: np.ndarray, second: np.ndarray) -> bool:
    return first.shape == second.shape and first.tobytes() == second.tobytes()


@contextmanager
def _global_generators() -> Iterator[Callable[[], str]]:
    """Give a function that names the global generators that were drawn from; put all of them back at the end."""
    python = random.getstate()
    numpy = np.random.get_state(legacy=False)  # noqa: NPY002  - the generator that must not be used is looked at
    torch_state = torch.get_rng_state()

    def moved() -> str:
        now = np.random.get_state(legacy=False)["state"]  # noqa: NPY002
        before = numpy["state"]
        drawn = {
            "Python": random.getstate() != python,
            "numpy": now["pos"] != before["pos"] or not np.array_equal(now["key"], before["key"]),
            "torch": not torch.equal(torch.get_rng_state(), torch_state),
        }
        return " and ".join(name for name, changed in drawn.items() if changed)

    try:
        yield moved
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        torch.set_rng_state(torch_state)
