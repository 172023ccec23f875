"""A folder that the Hugging Face hub takes as it is: the card with its front matter, and a description in JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import segbench
from segbench.core.plain import Plain
from segbench.export.card import UNSTATED, Facts, Score
from segbench.export.description import Description
from segbench.export.steps import Format

TAGS = {Format.ONNX: "onnx", Format.TORCH: "torchscript", Format.SAFETENSORS: "safetensors"}


def labels_of(description: Description) -> dict[str, str]:
    """Return the names of the classes by their ids, as JSON has them."""
    return {str(number): name for number, name in enumerate(description.classes)}


def config_of(facts: Facts) -> Plain:
    """Return what config.json says."""
    description = facts.description
    labels = labels_of(description)
    return {
        "model_type": "segbench",
        "architectures": [facts.network],
        "segbench_version": segbench.__version__,
        "network": facts.model,
        "heads": list(description.heads),
        "inputs": list(description.inputs),
        "id2label": labels,
        "label2id": {name: int(number) for number, name in labels.items()},
        "num_channels": description.channels,
        "image_size": list(description.size),
        "image_mean": list(description.mean),
        "image_std": list(description.std),
        "fit": description.fit,
        "own_scale": description.own_scale,
        "bands": None if description.bands is None else list(description.bands),
        "values": description.values,
    }


def front_matter(facts: Facts, scores: Sequence[Score]) -> str:
    """Return what a card on the hub begins with, as YAML between two lines of dashes."""
    return "\n".join(["---", *_front(facts, scores), "---", "", ""])


def _front(facts: Facts, scores: Sequence[Score]) -> Iterator[str]:
    if facts.licence:
        yield f"license: {_quoted(facts.licence)}"
    else:
        yield "license: other"
        yield f"license_name: {UNSTATED.replace(' ', '-')}"
    yield "library_name: segbench"
    yield "pipeline_tag: image-segmentation"
    yield "tags:"
    yield from (f"- {tag}" for tag in dict.fromkeys(("semantic-segmentation", TAGS[facts.form], "safetensors")))
    if not scores:
        return
    yield "model-index:"
    yield f"- name: {_quoted(facts.description.runs[0])}"
    yield "  results:"
    yield "  - task:"
    yield "      type: image-segmentation"
    yield "    dataset:"
    yield f"      name: {_quoted(facts.data)}"
    yield f"      type: {_quoted(facts.data.lower())}"
    yield "    metrics:"
    for score in scores:
        yield f"    - type: {_quoted(score.name.removeprefix('test/').replace('/', '_'))}"
        yield f"      name: {_quoted(score.name)}"
        yield f"      value: {score.value:.6f}"


def _quoted(text: str) -> str:
    """Return text as YAML has it whatever is in it."""
    escaped = "".join(sign if sign.isprintable() else " " for sign in text).replace("'", "''")
    return f"'{escaped}'"
