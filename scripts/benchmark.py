"""Measures segbench against a hand-written loop on the same work, in the same process.

    python scripts/benchmark.py [--steps 60] [key=value ...]

Prints scenes a second of the renderer, and images a second of a plain PyTorch loop and of segbench's trainer with the
same network, loss, optimizer, data and batch size. Two rounds in turn, so that a drifting machine shows.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import torch

from segbench.config.compose import compose_config, run_config
from segbench.config.schema import RunConfig
from segbench.core.choices import Split
from segbench.data.loading.source import SplitDataset
from segbench.training.parts import build_experiment


def plain_loop(config: RunConfig, steps: int) -> float:
    """Return images a second of the least loop that does the same work."""
    experiment = build_experiment(config)
    data, network = experiment.data, experiment.network.to(memory_format=torch.channels_last)
    data.prepare()
    dataset, size = SplitDataset(data, Split.TRAIN, augment=None, seed=0), data.batch_size
    optimizer = experiment.make_optimizer(network.parameters())
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) * 255 for v in (data.mean, data.std))
    began = 0.0
    for step in range(steps + 1):
        if step == 1:
            began = time.perf_counter()
        items = [dataset[0, step * size + place] for place in range(size)]
        batch = {name: torch.stack([item[name] for item in items]) for name in items[0]}
        image = ((batch["image"].float() - mean) / std).contiguous(memory_format=torch.channels_last)
        loss, _ = experiment.loss(network(image), {"mask": batch["mask"].long()})
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    return steps * size / (time.perf_counter() - began)


def segbench_run(words: list[str], steps: int) -> float:
    """Return images a second of a run of the command line, as its results.json says."""
    from segbench.commands.launch import train_main

    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        try:
            train_main(
                [
                    *words,
                    f"trainer.max_steps={steps + 1}",
                    "trainer.panels_every=0",
                    "data.val_size=1",
                    "data.test_size=1",
                    f"hydra.run.dir={run}",
                ]
            )
        except SystemExit as stop:
            if stop.code:
                raise
        return float(json.loads((run / "results.json").read_text())["images_per_second"])


def scenes_a_second(config: RunConfig, count: int = 512) -> float:
    """Return the scenes that the data set renders in a second of this process."""
    data = build_experiment(config).data
    data.prepare()
    began = time.perf_counter()
    for index in range(count):
        data.sample(Split.TRAIN, epoch=0, index=index)
    return count / (time.perf_counter() - began)


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=60)
    arguments, words = parser.parse_known_args()
    words = [f"data.train_size={(arguments.steps + 1) * 16}", "data.batch_size=16", *words]
    config = run_config(compose_config(words))
    torch.manual_seed(0)
    rendered = scenes_a_second(config)
    rounds = []
    for _ in range(2):
        plain, ours = plain_loop(config, arguments.steps), segbench_run(words, arguments.steps)
        rounds.append({"plain_loop": round(plain, 1), "segbench": round(ours, 1), "ratio": round(ours / plain, 3)})
    report = {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "scenes_rendered_per_s": round(rendered),
        "train_images_per_s": rounds,
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
