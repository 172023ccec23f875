"""`model-card.md`: what a network was trained on, how good it is, and what it wants. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import segbench
from segbench.compare.comparison import compare_runs
from segbench.core.errors import SegbenchError
from segbench.core.plain import Plain
from segbench.core.score_names import at_both_sizes
from segbench.core.text import printable
from segbench.export.description import Description
from segbench.export.steps import Format, Step
from segbench.runs.folder import RunFolder
from segbench.runs.results import Results

UNSTATED = "not stated"
"""What is said of a licence that nobody gave."""


@dataclass(frozen=True)
class Facts:
    """What a card is written of."""

    description: Description
    """What the file wants and gives."""
    form: Format
    """The kind of file."""
    runs: Sequence[RunFolder]
    """The runs."""
    network: str
    """The network's class."""
    model: Plain
    """Its settings, but for where its first weights lay."""
    parameters: int
    """Its weights."""
    data: str
    """The class of the data set."""
    check: str
    """What comparing the file with the network came to."""
    opset: int | None
    """Version of ONNX's operators; None for another kind of file."""
    licence: str | None
    """Of the weights, as the user gives it."""


@dataclass(frozen=True)
class Score:
    """A score of a run with its interval."""

    name: str
    """Such as `test/mean_iou`."""
    value: float
    """Of the best epoch's weights."""
    low: float | None
    """Lower end of the 95 % interval; None where the run carries none."""
    high: float | None
    """Upper end."""

    def __str__(self) -> str:
        """Return the row of a table."""
        interval = "-" if self.low is None or self.high is None else f"{self.low:.4f} to {self.high:.4f}"
        return f"| {self.name} | {self.value:.4f} | {interval} |"


def card(facts: Facts, scores: Sequence[Sequence[Score]]) -> str:
    """Return the card as Markdown.

    Args:
        facts: What it is written of.
        scores: Those of each run, see `scores_of`.
    """
    parts = [
        [f"# {', '.join(facts.description.runs)}", "", _opening(facts), ""],
        ["## Input", "", *_input(facts.description), ""],
        ["## Output", "", *_output(facts), ""],
        ["## Data", "", *_data(facts), ""],
        ["## Scores", "", *_scores(facts, scores), ""],
        ["## Licence", "", *_licence(facts)],
    ]
    return "\n".join(printable(line) for part in parts for line in part) + "\n"


def scores_of(run: RunFolder, classes: Sequence[str]) -> list[Score]:
    """Return the scores of a run's test with their intervals; none for a run that has not finished."""
    if not run.results.is_file():
        return []
    metrics = run.read_results()["metrics"]
    wanted = at_both_sizes("test/mean_iou", "test/accuracy", *(f"test/iou/{name}" for name in classes))
    depth = sorted(name for name in metrics if name.startswith("test/depth/"))
    found = []
    for name in (*wanted, *depth):
        value = metrics.get(name, {}).get("best")
        if value is not None:
            low, high = _interval(run, name)
            found.append(Score(name, value, low, high))
    return found


def _interval(run: RunFolder, metric: str) -> tuple[float | None, float | None]:
    try:
        (group,) = compare_runs([run.path], metric=metric, hidden=True).groups
    except (SegbenchError, ValueError):  # of a run that cannot be compared, such as a changed folder
        return None, None
    return group.summary.low, group.summary.high


def _opening(facts: Facts) -> str:
    several = "" if len(facts.runs) == 1 else f" (the mean of {len(facts.runs)} runs)"
    return (
        f"A network for semantic segmentation{several}, trained and exported by segbench {segbench.__version__}:"
        f" {facts.network}{_settings(facts.model)}, {facts.parameters:,} weights. {facts.check}."
    )


def _settings(model: Plain) -> str:
    """Return the settings of a network in brackets, but for those that follow from the data."""
    own = [f"{name}={value}" for name, value in model.items() if name not in ("_target_", "in_channels", "heads")]
    return f" ({', '.join(own)})" if own else ""


def _input(description: Description) -> Iterator[str]:
    names = " and ".join(f"`{name}`" for name in description.inputs)
    kind = "float32, normalised as below"
    if description.has(Step.NORMALISATION):
        kind = "uint8, as in the files"
        if description.values is not None and description.values["low"]:
            kind = f"float32, with the values of the files ({description.values['kind']})"
    bands = "red, green and blue"
    if description.bands is not None:
        bands = f"bands {', '.join(map(str, description.bands))} of the files, counted from 0"
    yield f"- {names}: `[batch, {description.channels}, height, width]`, {kind}; channels: {bands}."
    if not description.has(Step.NORMALISATION):
        yield "- Normalisation: a picture of 8 bit is divided by 255 (others come to 0..1 by their levels); then each"
        yield f"  channel less its mean {_numbers(description.mean)} is divided by {_numbers(description.std)}."
    if description.own_scale:
        yield "- Size: pictures as they are; the network was trained on crops of them."
    elif description.has(Step.RESIZE):
        yield f"- Size: any; inside, pictures come to {_size(description)} ({description.fit})."
    else:
        yield f"- Size: trained at {_size(description)} pixels, to which pictures of other sizes come bilinearly,"
        yield f"  over the area that a pixel covers ({description.fit}); any size is taken."
    if description.looks:
        yield f"- The run's own scores average further looks: {', '.join(map(str, description.looks))}."


def _output(facts: Facts) -> Iterator[str]:
    description = facts.description
    if facts.form is Format.SAFETENSORS:
        yield "- Weights alone, by the network's own names, with `mean` and `std`."
    elif "mask" in description.heads and description.has(Step.ARGMAX):
        yield "- `mask`: class ids, uint8 `[batch, height, width]`."
    elif "mask" in description.heads and len(description.classes) == 2:
        yield "- `mask`: one logit, float32 `[batch, 1, height, width]`; its sigmoid is the second class's probability."
    elif "mask" in description.heads:
        count = len(description.classes)
        yield f"- `mask`: logits, float32 `[batch, {count}, height, width]`; the largest is the class."
    if "depth" in description.heads:
        yield "- `depth`: float32 `[batch, 1, height, width]`."
    if "mask" in description.heads:
        yield f"- Classes (`labels.json`): {', '.join(description.classes)}."
    if facts.opset is not None:
        yield f"- ONNX, opset {facts.opset}; batch, height and width are free."


def _data(facts: Facts) -> Iterator[str]:
    for run in facts.runs:
        results: Results = run.read_results() if run.results.is_file() else {}
        prints = results.get("data_fingerprint", {})
        sizes = results.get("images", {})
        yield f"- {facts.data}: {', '.join(f'{count:,} {split}' for split, count in sizes.items()) or 'not finished'}."
        yield from (f"  - fingerprint of {split}: `{value}`" for split, value in prints.items())


def _scores(facts: Facts, scores: Sequence[Sequence[Score]]) -> Iterator[str]:
    yield "On the test split, of the epoch that was best on val. Intervals (95 %) say what other units of the test,"
    yield "such as other pictures, would do to this one network; they say nothing of other seeds."
    for name, run, found in zip(facts.description.runs, facts.runs, scores, strict=True):
        yield ""
        if len(scores) > 1:
            yield f"{name} by itself (the mean of the runs is not scored):"
            yield ""
        if not found:
            yield "The run has not finished, so it has no scores."
            continue
        if run.read_results().get("test_is_val"):
            yield "There is no test: these are scores of val, which the epoch was chosen by, so they flatter."
            yield ""
        yield "| score | value | 95 % interval |"
        yield "|---|---|---|"
        yield from map(str, found)


def _licence(facts: Facts) -> Iterator[str]:
    yield f"- The weights: {facts.licence or UNSTATED}."
    for run in facts.runs:
        for record in pretrained(run):
            yield (
                f"- They began from `{Path(str(record.get('name'))).name}` ({record.get('setting')}, SHA-256"
                f" `{record.get('sha256')}`), whose licence holds for them too."
            )


def pretrained(run: RunFolder) -> list[Plain]:
    """Return the records of the weights that a run began with."""
    records = run.read_environment().get("weights")
    if not isinstance(records, list):
        return []
    return [record for record in records if isinstance(record, dict)]


def _size(description: Description) -> str:
    return f"{description.size[0]} x {description.size[1]}"


def _numbers(values: Sequence[float]) -> str:
    return f"({', '.join(f'{value:.6g}' for value in values)})"
