"""An export from runs to its folder: written, checked against the network, and only then put in place."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from segbench.core.errors import CheckpointError, ConfigError
from segbench.core.files import write_atomic, write_json
from segbench.export.card import Facts, Score, card, scores_of
from segbench.export.check import compare
from segbench.export.describe import describe
from segbench.export.description import KEY, Description
from segbench.export.exported import Arrays, ExportedModel, load_onnx
from segbench.export.graph import Graph
from segbench.export.hub import config_of, front_matter, labels_of
from segbench.export.steps import Format, Step
from segbench.export.traced import OPSET, write_onnx, write_torch
from segbench.inference.load import TrainedRun
from segbench.models.external import External
from segbench.models.weights import read_state

PACKAGES = {Format.ONNX: ("onnx", "onnxruntime"), Format.TORCH: (), Format.SAFETENSORS: ("safetensors",)}
"""What each kind of file needs beside torch."""

WEIGHTS = Format.SAFETENSORS.file

PLACES = ("weights", "init_from")
"""Settings of a network that say where its first weights lay."""


@dataclass(frozen=True)
class Wanted:
    """What `export` is asked for."""

    form: Format
    """The kind of file."""
    steps: Sequence[Step]
    """What it does beside the network."""
    out: Path
    """The folder."""
    hub: bool = False
    """Whether the Hugging Face hub is to take the folder as it is."""
    licence: str | None = None
    """Of the weights."""


@dataclass(frozen=True)
class Written:
    """What was written."""

    files: Sequence[str]
    """Names of the files."""
    check: str
    """What comparing the file with the network came to."""


def check_wanted(wanted: Wanted, runs: int) -> None:
    """Raise a ConfigError for what cannot be, before anything is loaded."""
    forms = {wanted.form, Format.SAFETENSORS} if wanted.hub else {wanted.form}
    missing = [name for form in forms for name in PACKAGES[form] if find_spec(name) is None]
    if missing:
        raise ConfigError(f"--format {wanted.form} needs {' and '.join(missing)}: pip install {' '.join(missing)}")
    if wanted.form is Format.SAFETENSORS and wanted.steps:
        raise ConfigError("--format safetensors holds weights alone: leave out --with, or give --format onnx")
    if Format.SAFETENSORS in forms and runs > 1:
        raise ConfigError("the weights of several runs are no one network: export them one by one, or --format onnx")


def write_export(runs: Sequence[TrainedRun], wanted: Wanted) -> Written:
    """Write runs as one file with its card and labels into a folder that is there.

    Args:
        runs: The runs; of several, the file gives the mean.
        wanted: What is asked for.

    Raises:
        ConfigError: for runs that cannot be one file, or a network that cannot be traced.
        CheckpointError: where the file says something else than the network; nothing is written then.
        DataError: where the pictures to check it on are not there.
    """
    description = describe(runs, wanted.steps)
    with tempfile.TemporaryDirectory(dir=wanted.out, prefix=".export-") as folder:
        place = Path(folder)
        check = _written_and_checked(runs, wanted, description=description, place=place)
        if wanted.hub and wanted.form is not Format.SAFETENSORS:
            _write_weights(runs[0], place / WEIGHTS)
        _describe_beside(runs, wanted, description=description, check=check, place=place)
        names = sorted(path.name for path in place.iterdir())
        for name in names:
            (place / name).replace(wanted.out / name)
    return Written(names, check)


def _written_and_checked(runs: Sequence[TrainedRun], wanted: Wanted, *, description: Description, place: Path) -> str:
    file = place / wanted.form.file
    if wanted.form is Format.SAFETENSORS:
        return _write_weights(runs[0], file)
    graph = Graph(runs, wanted.steps).eval()
    if wanted.form is Format.ONNX:
        write_onnx(graph, description, path=file)
        model = load_onnx(file, "cpu")
    else:
        write_torch(graph, description, path=file)
        model = load_torch(file)
    runs[0].parts.read_data()
    parity = compare(model, graph, runs=runs)
    parity.demand(file.name)
    return str(parity)


def load_torch(path: Path) -> ExportedModel:
    """Return the network in a file of TorchScript that `segbench export` wrote."""
    files: dict[str, str | bytes] = {KEY: ""}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is deprecated, see `segbench.export.traced`
        traced = torch.jit.load(str(path), map_location="cpu", _extra_files=files)  # type: ignore[no-untyped-call]
    text = files[KEY]
    description = Description.of_text(text.decode() if isinstance(text, bytes) else text, str(path))

    @torch.inference_mode()
    def run(pictures: Arrays) -> Arrays:
        tensors = [torch.from_numpy(np.ascontiguousarray(picture)) for picture in pictures.values()]
        return {name: value.numpy() for name, value in zip(description.heads, traced(*tensors), strict=True)}

    return ExportedModel(description, run)


def _write_weights(run: TrainedRun, path: Path) -> str:
    """Write the weights that are used, by the network's own names, with what pictures are normalised by."""
    from safetensors.torch import save_file

    state = run.module.evaluated.state_dict()
    state = {**state, "mean": run.module.mean, "std": run.module.std}
    tensors = {name: value.detach().clone().contiguous() for name, value in state.items()}
    save_file(tensors, path, metadata={"format": "pt"})
    again = read_state(path)
    for name, value in tensors.items():
        if not torch.equal(again[name], value):
            raise CheckpointError(f"{path.name} holds another {name} than the network, so it was not kept")
    return f"checked: all {len(tensors)} tensors are those of the network, bit by bit"


def _describe_beside(
    runs: Sequence[TrainedRun], wanted: Wanted, *, description: Description, check: str, place: Path
) -> None:
    first = runs[0]
    network = first.module.network
    facts = Facts(
        description,
        wanted.form,
        runs=[run.run for run in runs],
        network=type(network.module if isinstance(network, External) else network).__name__,
        model={name: value for name, value in first.config.model.plain().items() if name not in PLACES},
        parameters=sum(parameter.numel() for run in runs for parameter in run.module.evaluated.parameters()),
        data=type(first.parts.data).__name__,
        check=check[0].upper() + check[1:],
        opset=OPSET if wanted.form is Format.ONNX else None,
        licence=wanted.licence,
    )
    scores: list[list[Score]] = [scores_of(run.run, description.classes) for run in runs]
    text = card(facts, scores)
    write_json(place / "labels.json", labels_of(description))
    if wanted.hub or wanted.form is Format.SAFETENSORS:
        write_json(place / "config.json", config_of(facts))
    write_atomic(place / "model-card.md", text)
    if wanted.hub:
        write_atomic(place / "README.md", front_matter(facts, scores[0]) + text)
