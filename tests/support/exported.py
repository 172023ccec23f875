"""Networks on their way out, without a run: what `segbench.export` asks of one, and a session of ONNX Runtime."""

from types import SimpleNamespace

import torch
from torch import nn

from segbench.core.tasks import Task
from segbench.data.channels import Channels
from segbench.data.loading.views import EvaluationView
from segbench.export.description import Description
from segbench.export.graph import Graph
from segbench.export.traced import write_onnx

TASKS = {("mask",): Task.MASK, ("depth",): Task.DEPTH, ("mask", "depth"): Task.MASK_DEPTH}


def graph_of(network, in_channels, heads):
    """The graph of a network that takes normalised pictures."""
    module = nn.Module()
    module.network = module.evaluated = network
    module.inputs = ["image"]
    for name in ("mean", "std"):
        module.register_buffer(name, torch.ones(1, in_channels, 1, 1))
    data = SimpleNamespace(view=EvaluationView((64, 64)), channels=Channels(tuple(range(in_channels))))
    config = SimpleNamespace(task=TASKS[tuple(heads)])
    return Graph([SimpleNamespace(module=module, parts=SimpleNamespace(data=data), config=config)], ()).eval()


def described(heads, **changes):
    """A description of such a graph."""
    facts = {
        "runs": ["a/b"],
        "classes": ["background", "leaf", "stone"],
        "inputs": ["image"],
        "heads": list(heads),
        "steps": [],
        "size": [64, 64],
        "fit": "stretch",
        "own_scale": False,
        "bands": None,
        "channels": 3,
        "values": None,
        "mean": [0.5] * 3,
        "std": [0.25] * 3,
        "tile": None,
        "overlap": 0.25,
        "looks": [],
    }
    return Description(**{**facts, **changes})


def session_of(network, path, *, in_channels, heads):
    """A session of ONNX Runtime for a network that was written to `path`."""
    import onnxruntime

    write_onnx(graph_of(network, in_channels, heads), described(heads), path=path)
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
