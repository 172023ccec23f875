"""Runs combinations of data x model x loss x optimizer x scheduler x task, tiny, and prints a table of what happened.

    python -m tests.support.matrix                the full product (more than half a million: weeks)
    python -m tests.support.matrix --pairs              a set in which every two options meet (minutes)
    python -m tests.support.matrix model=unet,fcn       the full product of what is named, all else at its default

Each combination is composed, built, trained for one step and evaluated on one batch, on small data made by the script.
It works where it should, and is refused with one sentence, before any data is read, where it cannot; anything else is
a failure, exit status 1.
"""

from __future__ import annotations

import argparse
import collections
import functools
import itertools
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from segbench.config.compose import compose_config, plain_config, run_config
from segbench.config.instantiate import find_class
from segbench.config.options import groups
from segbench.core.choices import Split
from segbench.core.errors import ConfigError
from segbench.data.loading.datamodule import SegmentationData
from segbench.inference.module import with_long_mask
from segbench.training.parts import build_experiment
from tests.support.tiny_sources import data_options, tiny_words

SETTINGS = ("data", "model", "loss", "loss/depth", "optimizer", "scheduler")
Combination = dict[str, str]
Item = tuple[str, str]
DEFAULTS = {"data": "fgbg", "model": "unet", "task": "mask", "inputs": "image"}
UNUSED = {"mask": "loss/depth", "depth": "loss"}
"""The loss that a task does not use."""
TWO_CLASSES = ("bce", "bce_dice")
TWO_PICTURES = ("two_stem",)
FIVE_HALVINGS = ("smp", "segformer", "fc_densenet")
"""Networks whose smallest features would be one pixel on the script's pictures."""
NARROW = {
    "autoencoder": ["model.width=2"],
    "custom_net": ["model.width=8"],
    "fc_densenet103": ["model.layers=[1,2,1,1,1]", "model.bottleneck=1"],
    "fc_densenet67": ["model.layers=[1,1,2,1,1]", "model.bottleneck=1"],
    "fcn_resnet": ["model.encoder=resnet18", "data.size=[48,48]"],
    "torchvision_deeplabv3": ["model.encoder=resnet18", "data.size=[48,48]"],
    "torchvision_fcn": ["model.encoder=resnet18", "data.size=[48,48]"],
    "two_stem": ["model.width=8"],
    "unet_camvid": ["model.width=8"],
    "unet_classic": ["model.width=8"],
    "unet_valid": ["model.width=4"],
}
"""Settings of large networks under which a step takes an instant; what fits what does not depend on them."""


def choices() -> dict[str, list[str]]:
    """Return every setting of the matrix and its options, found by listing conf/; of data those with a class."""
    return {
        **{name: groups()[name] for name in SETTINGS},
        "data": data_options(),
        "task": ["mask", "depth", "mask_depth"],
        "inputs": ["image", "image+background"],
    }


def product(options: Mapping[str, Sequence[str]]) -> Iterator[Combination]:
    """Yield every combination; a loss that its task does not use is not varied."""
    for values in itertools.product(*options.values()):
        combination = dict(zip(options, values, strict=True))
        unused = UNUSED.get(combination.get("task", "mask"), "")
        if unused not in options or combination[unused] == options[unused][0]:
            yield {name: value for name, value in combination.items() if name != unused}


def pairs(options: Mapping[str, Sequence[str]]) -> Iterator[Combination]:
    """Yield combinations until every two options of different settings have met: greedy, in a fixed order.

    Pairs that can work meet in a combination that works; those that cannot, each in one of its own. A loss only meets
    what a task uses it with.
    """
    names = list(options)
    unmet = {((a, x), (b, y)) for a, b in itertools.combinations(names, 2) for x in options[a] for y in options[b]}
    unmet = {pair for pair in unmet if not _useless(dict(pair))}
    for good in (True, False):
        while left := sorted(pair for pair in unmet if fits(*pair) == good):
            chosen = dict(left[0])
            # the task first: it decides which losses there are
            for name in sorted(set(names) - set(chosen), key=lambda name: (name != "task", len(options[name]), name)):
                free = [x for x in options[name] if not _useless({**chosen, name: x})]
                possible = [x for x in free if all(fits((name, x), item) for item in chosen.items())] or free
                if possible:
                    chosen[name] = max(possible, key=lambda x, n=name: (_met(unmet, chosen, n, x), x))
            combination = {name: chosen[name] for name in names if name in chosen}
            met = set(itertools.combinations(combination.items(), 2)) if expected(combination) else {left[0]}
            unmet -= met
            yield combination


def _useless(chosen: Combination) -> bool:
    """Whether a loss is chosen that the task does not use."""
    return UNUSED.get(chosen.get("task", "mask_depth")) in chosen


def _met(unmet: set, chosen: Combination, name: str, option: str) -> int:
    new = (name, option)
    return sum((new, item) in unmet or (item, new) in unmet for item in chosen.items())


@functools.cache
def facts(option: str) -> tuple[int, tuple[str, ...]]:
    """Return the number of classes of a data set and the arrays that its samples have."""
    if option == "shards":  # the small ones are an export of these
        option = "fgbg"
    node = plain_config(compose_config([f"data={option}"]))["data"]
    return len(node["classes"]), find_class(node["_target_"]).entries  # type: ignore[attr-defined]


def fits(one: Item, other: Item) -> bool:
    """Return whether two options can ever work together: the rules that the documentation states."""
    pair = {one[0]: one[1], other[0]: other[1]}
    classes, entries = facts(pair["data"]) if "data" in pair else (2, ("image", "mask", "depth", "background"))
    refused = (
        (pair.get("loss") in TWO_CLASSES and classes > 2)
        or (pair.get("task", "mask") != "mask" and "depth" not in entries)
        or ("loss/depth" in pair and "depth" not in entries)
        or (pair.get("inputs") == "image+background" and "background" not in entries)
        or (pair.get("model") in TWO_PICTURES and pair.get("inputs") == "image")
        or (pair.get("model") in TWO_PICTURES and "background" not in entries)
    )
    return not refused


def expected(combination: Combination) -> bool:
    """Return whether a combination should work; what it does not name is at its default."""
    return all(fits(*pair) for pair in itertools.combinations({**DEFAULTS, **combination}.items(), 2))


def refusal(combination: Combination, words: Sequence[str]) -> str | None:
    """Build a combination and run it for a step; return the sentence that refuses it, or None where it works.

    Only building can refuse; data is read after it.

    Raises:
        AssertionError: if the numbers are not finite.
    """
    overrides = [f"{name}={value}" for name, value in combination.items()]
    model = combination.get("model", DEFAULTS["model"])
    larger = ["data.size=[48,48]"] if model.startswith(FIVE_HALVINGS) else []
    try:
        config = run_config(compose_config([*overrides, *words, *larger, *NARROW.get(model, [])]))
        experiment = build_experiment(config)
    except ConfigError as error:
        return str(error)
    run_a_step(config, experiment)
    return None


def run_a_step(config: dict[str, Any], experiment: Any) -> None:
    """Train one step and evaluate one batch of a built experiment."""
    experiment.read_data()
    data: SegmentationData = experiment.data
    module = experiment.module(total_steps=2)
    optimizer = module.configure_optimizers()
    for group in optimizer.param_groups:
        group["lr"] *= experiment.schedule.factor(0, 2)
    module.train()
    batch = next(iter(data.train_dataloader()))
    loss, _ = module.loss(module(batch), with_long_mask(batch))
    loss.backward()
    optimizer.step()
    assert torch.isfinite(loss), f"the loss is {loss.item()}"
    module.eval()
    scores = module.split_scores(Split.VAL)
    with torch.no_grad():
        module.score_batch(next(iter(data.val_dataloader())), Split.VAL, singly=False)
    assert len(scores.compute()) >= 5
    assert all(torch.isfinite(parameter).all() for parameter in module.network.parameters()), "a weight is not finite"


def run(combinations: Iterable[Combination], folder: Path) -> list[tuple[Combination, str, str]]:
    """Return each combination with `works`, `refused` or `FAILED`, and the sentence."""
    done = []
    for combination in combinations:
        try:
            sentence = refusal(combination, tiny_words(combination.get("data", DEFAULTS["data"]), folder))
            outcome = ("works", "") if sentence is None else ("refused", sentence)
            if (outcome[0] == "works") != expected(combination):
                outcome = ("FAILED", f"unexpectedly {outcome[0]}: {sentence}")
                print("FAILED", combination, outcome[1], flush=True)
        except Exception as error:  # the table shows it; the script goes on
            outcome = ("FAILED", f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")
            print("FAILED", combination, outcome[1], flush=True)
        done.append((combination, *outcome))
    return done


def table(done: Sequence[tuple[Combination, str, str]]) -> str:
    """Return how many combinations of each option worked, were refused and failed, as Markdown."""
    counts: dict[tuple[str, str], collections.Counter] = collections.defaultdict(collections.Counter)
    for combination, outcome, _ in done:
        for item in combination.items():
            counts[item][outcome] += 1
    lines = ["| setting | option | works | refused | failed |", "|---|---|---|---|---|"]
    for (name, option), found in counts.items():
        lines.append(f"| {name} | {option} | {found['works']} | {found['refused']} | {found['FAILED']} |")
    reasons = collections.Counter(sentence for _, outcome, sentence in done if outcome == "refused")
    lines += ["", *(f"- {count} refused: {sentence}" for sentence, count in reasons.most_common(20))]
    return "\n".join(lines)


def main() -> None:
    """Parse the arguments, run, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", action="store_true", help="every two options meet, instead of the full product")
    parser.add_argument("named", nargs="*", help="settings with their options, such as model=unet,fcn")
    arguments = parser.parse_args()
    options = choices()
    if arguments.named:
        named = {name: values.split(",") for name, _, values in (word.partition("=") for word in arguments.named)}
        for name, values in named.items():
            if name not in options or not set(values) <= set(options[name]):
                parser.error(f"{name}={','.join(values)}: choose from {options.get(name, list(options))}")
        options = named
    torch.set_num_threads(1)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        done = run(pairs(options) if arguments.pairs else product(options), Path(folder))
    print(table(done))
    failed = sum(outcome == "FAILED" for _, outcome, _ in done)
    print(f"\n{len(done)} combinations in {time.perf_counter() - began:.0f} s, {failed} failed")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
