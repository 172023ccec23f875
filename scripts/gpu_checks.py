"""Runs on a machine with a GPU what cannot be run elsewhere: its tests, then its benchmarks, within ten minutes.

    python scripts/gpu_checks.py                      figures go to gpu_checks.json and gpu_checks.md here
    python scripts/gpu_checks.py --out DIR --minutes 5

Each part is a process of its own, so that one that breaks or takes too long costs no figure of the others.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = ("tests/training/speed", "tests/training/test_device_waits.py")
ROWS = (
    "step-unet-gpu",
    "step-fcn-gpu",
    "run-gpu",
    "prefetch-gpu",
    "optimizer-gpu",
    "deterministic-gpu",
    "fsdp-gpu",
)
"""The rows of benchmark.py, those first that matter most where time is short."""

SHARE_OF_TESTS = 0.4
"""Most of the time that the tests may take."""


def ended(words: Sequence[str], *, seconds: float) -> tuple[str, str]:
    """Return how a Python program ended (`done`, `failed` or `took too long`), and the last of what it said."""
    with subprocess.Popen(
        [sys.executable, *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as running:
        how = "took too long"
        try:
            said, _ = running.communicate(timeout=max(1.0, seconds))
            how = "failed" if running.returncode else "done"
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)  # its own processes too, which the next row would be measured beside
            said, _ = running.communicate()
    return how, said[-3000:]


def markdown(found: Mapping[str, object]) -> str:
    """Return what was found as tables for docs/benchmarks.md."""
    lines = [f"On {found.get('gpu', 'no GPU')}, torch {found.get('torch', 'unknown')}.", ""]
    lines += ["| row | what | figure |", "|---|---|---|"]
    for name in ROWS:
        figures = found.get(name)
        if isinstance(figures, list):
            lines += [f"| `{name}` | {one['name']} | {one['value']:.4g} {one['unit']} |" for one in figures]
    endings = found.get("ended")
    if isinstance(endings, dict):
        lines += ["", *(f"- `{name}`: {how}" for name, how in endings.items())]
    return "\n".join(lines) + "\n"


def checked(minutes: float) -> dict[str, object]:
    """Run the tests and the rows, one after the other, as far as the time goes, and return what they found."""
    until = time.monotonic() + 60 * minutes
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS]
    endings: dict[str, str] = {}
    endings["tests"], said = ended(words, seconds=SHARE_OF_TESTS * 60 * minutes)
    found: dict[str, object] = {"tests": said}
    print(said, flush=True)
    for row in ROWS:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "figures.json"
            words = ["scripts/benchmark.py", row, "--json", str(file)]
            endings[row], said = ended(words, seconds=until - time.monotonic())
            if file.is_file():
                found |= json.loads(file.read_text(encoding="utf-8"))
        print(f"{row}: {endings[row]}\n{said}", flush=True)
        if row not in found and endings[row] == "done":
            endings[row] = said.strip().rpartition("\n")[2]  # what it lacks here
    return {**found, "ended": endings}


def main() -> None:
    """Run everything and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(), help="folder of the figures")
    parser.add_argument("--minutes", type=float, default=10.0, help="most that all of it takes")
    arguments = parser.parse_args()
    import torch

    if not torch.cuda.is_available():
        parser.exit(
            2, "gpu_checks.py needs a GPU, of which torch sees none here; scripts/benchmark.py has rows of a CPU\n"
        )
    arguments.out.mkdir(parents=True, exist_ok=True)
    found = checked(arguments.minutes)
    (arguments.out / "gpu_checks.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    (arguments.out / "gpu_checks.md").write_text(markdown(found), encoding="utf-8")
    print(markdown(found))


if __name__ == "__main__":
    main()
