"""A graph as a file of ONNX or TorchScript: both are traces, which hold for any batch, height and width.

The newer way of torch, `torch.export`, works out which sizes each branch of a network holds for: docs/export-model.md
says what that gave. What traces need of torch is told to go in some later version; the tests of this room say when.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from segbench.core.errors import ConfigError
from segbench.core.tasks import Head
from segbench.data.loading.torch_private import quiet_onnx_exporter
from segbench.export.description import KEY, Description
from segbench.export.graph import Graph
from segbench.export.steps import Step

OPSET = 18
"""Version of the operators of ONNX: the first whose `Resize` filters over the area that a pixel covers."""


def write_onnx(graph: Graph, description: Description, *, path: Path) -> None:
    """Write a graph as ONNX, with its description in the file's metadata.

    Raises:
        ConfigError: for a network that cannot be traced.
    """
    import onnx

    free = {0: "batch", 2: "height", 3: "width"}
    outputs = {head: {0: "batch", 2: f"{head}_height", 3: f"{head}_width"} for head in graph.heads}
    if Step.ARGMAX in graph.steps and Head.MASK in outputs:
        outputs[Head.MASK] = {0: "batch", 1: "mask_height", 2: "mask_width"}
    for name, symbolic in {"_upsample_bicubic2d_aa": _bicubic, "logaddexp": _logaddexp}.items():
        register = torch.onnx.register_custom_op_symbolic  # type: ignore[attr-defined]  # not in __all__
        register(f"aten::{name}", symbolic, OPSET)
    with _tracing(graph), quiet_onnx_exporter():
        torch.onnx.export(
            _trace(graph),  # networks of other libraries go other ways where they see that it is for ONNX
            graph.example(),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=graph.inputs,
            output_names=graph.heads,
            dynamic_axes={**dict.fromkeys(graph.inputs, free), **outputs},
        )
    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, {KEY: description.as_text()})
    onnx.save(model, str(path))


def write_torch(graph: Graph, description: Description, *, path: Path) -> None:
    """Write a graph as TorchScript, with its description as an extra file in the archive.

    Raises:
        ConfigError: for a network that cannot be traced.
    """
    with _tracing(graph):
        torch.jit.save(_trace(graph), str(path), _extra_files={KEY: description.as_text()})


def _trace(graph: Graph) -> torch.jit.ScriptModule:
    traced: torch.jit.ScriptModule = torch.jit.trace(  # type: ignore[no-untyped-call]
        graph, graph.example(), check_trace=False, strict=False
    )
    return traced


@contextmanager
def _tracing(graph: Graph) -> Iterator[None]:
    """Trace quietly: warnings of branches are for those of other sizes, which are checked instead."""
    verbose = logging.getLogger("torch.onnx")
    before = verbose.level
    verbose.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            yield
    except (ImportError, ConfigError):
        raise
    except Exception as error:  # each operator has its own way to refuse
        network = type(graph.members[0].network).__name__
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(
            f"the network ({network}) cannot be exported ({reason}); --format safetensors writes its weights"
        ) from error
    finally:
        verbose.setLevel(before)


def _bicubic(g: Any, *operands: Any) -> Any:
    """Return what ONNX has for the filter by which timm brings position embeddings to the size of a picture."""
    image, size = operands[:2]
    lengths = [g.op("Unsqueeze", g.op("Cast", one, to_i=7), _constant(g, [0])) for one in size.node().inputs()]
    channels = g.op("Slice", g.op("Shape", image), _constant(g, [0]), _constant(g, [2]), _constant(g, [0]))
    whole = g.op("Concat", channels, *lengths, axis_i=0)
    empty = g.op("Constant", value_t=torch.tensor([], dtype=torch.float32))
    return g.op(
        "Resize",
        image,
        empty,
        empty,
        whole,
        antialias_i=1,
        coordinate_transformation_mode_s="half_pixel",
        cubic_coeff_a_f=-0.5,
        exclude_outside_i=1,
        mode_s="cubic",
    )


def _logaddexp(g: Any, *operands: Any) -> Any:
    """Return what ONNX has for the logarithm of the sum of two exponentials, by which runs are averaged."""
    one, other = operands
    apart = g.op("Abs", g.op("Sub", one, other))
    return g.op("Add", g.op("Max", one, other), g.op("Softplus", g.op("Neg", apart)))


def _constant(g: Any, values: list[int]) -> Any:
    return g.op("Constant", value_t=torch.tensor(values))
