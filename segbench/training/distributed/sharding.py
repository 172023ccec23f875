"""`trainer.strategy=fsdp`: weights, gradients and the optimizer's state are spread over the processes of a run.

A checkpoint holds whole tensors all the same, as any run writes them: one process can load it, and so can a run of
another number of processes or another strategy.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.core.optimizer import LightningOptimizer
from pytorch_lightning.strategies import ModelParallelStrategy
from torch import Tensor, nn
from torch.optim import Optimizer

from segbench.core.errors import CheckpointError
from segbench.inference.checkpoints import Checkpoint
from segbench.models.sharded import load_whole, part_of, whole
from segbench.training.module import SegmentationModule


class Sharding(ModelParallelStrategy):
    """Lightning's strategy for FSDP2, with checkpoints that are read and written as those of one process.

    Args:
        world_size: How many processes there are.
    """

    def __init__(self, world_size: int) -> None:
        super().__init__(data_parallel_size=world_size, tensor_parallel_size=1, save_distributed_checkpoint=False)

    @property
    def lightning_restore_optimizer(self) -> bool:
        """Whether `load_optimizer_state_dict` is called."""
        return True

    def lightning_module_state_dict(self) -> dict[str, Tensor]:
        """Return whole tensors in the first process, of which all have sent theirs; in the others nothing."""
        module = self.lightning_module
        assert isinstance(module, SegmentationModule)
        module.settle()
        return self._gathered(module.state_dict())

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """Return the state of an optimizer likewise, as a fresh one of one process would load it."""
        if isinstance(optimizer, LightningOptimizer):
            optimizer = optimizer.optimizer
        state = optimizer.state_dict()
        return {**state, "state": {number: self._gathered(one) for number, one in state["state"].items()}}

    def _gathered(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """Return whole tensors on the CPU, in the first process; one at a time, so that no GPU holds all of them."""
        kept = {}
        for name, value in state.items():
            together = value
            if isinstance(value, Tensor):
                together = whole(value.detach())
            if self.is_global_zero:
                kept[name] = together.cpu() if isinstance(together, Tensor) else together
        return kept

    def save_checkpoint(self, checkpoint: Checkpoint, filepath: str | Path, storage_options: object = None) -> None:
        """Let the first process, which has whole tensors, write them as one process alone does."""
        if self.is_global_zero:
            self.checkpoint_io.save_checkpoint(checkpoint, filepath, storage_options=storage_options)

    def load_checkpoint(self, checkpoint_path: str | Path, weights_only: bool | None = None) -> Checkpoint:
        """Return a checkpoint, which each process reads for itself."""
        return self.checkpoint_io.load_checkpoint(checkpoint_path, weights_only=weights_only)

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        """Take of each weight the part of this process."""
        assert self.lightning_module is not None
        load_whole(self.lightning_module, checkpoint["state_dict"])

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Take of each tensor of the optimizer's state the part of this process; raises as `spread` does."""
        for optimizer, saved in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            numbers = [number for group in saved["param_groups"] for number in group["params"]]
            parameters = [one for group in optimizer.param_groups for one in group["params"]]
            likes = dict(zip(numbers, parameters, strict=True))
            state = {number: spread(values, likes[number]) for number, values in saved["state"].items()}
            optimizer.load_state_dict({**saved, "state": state})


def spread(values: Mapping[str, Any], parameter: nn.Parameter) -> dict[str, Any]:
    """Return what an optimizer keeps for a weight, spread as the weight is; numbers are everybody's.

    Raises:
        CheckpointError: for a tensor of another shape than the weight: nothing says how it would be spread.
    """
    found: dict[str, Any] = {}
    for name, value in values.items():
        found[name] = value
        if isinstance(value, Tensor) and value.ndim > 0:
            if value.shape != parameter.shape:
                raise CheckpointError(
                    f"the optimizer keeps a tensor '{name}' of {list(value.shape)} for weights of"
                    f" {list(parameter.shape)}, which trainer.strategy=fsdp cannot share out: go on with"
                    " trainer.strategy=ddp"
                )
            found[name] = part_of(value, parameter)
    return found
