"""The `trainer` settings: their types, bounds and meaning. `inference/trainer.py` applies them. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from segbench.config.values import Range
from segbench.core.choices import Accelerator, Auto, Freeze, NonFinite, Precision, Strategy
from segbench.core.errors import ConfigError

MOST_THREADS = 1024
"""More threads or processes than any machine has cores: starting them would only fail later, and worse."""

Count = Annotated[int, Range(least=1)]
Workers = Annotated[int, Range(least=1, most=MOST_THREADS)]
Every = Annotated[int, Range(least=0)]


@dataclass(frozen=True, kw_only=True)
class TrainerSettings:
    """How long is trained, on what, and what is written while it is.

    Raises:
        ConfigError: for settings that have no effect together.
    """

    max_epochs: Count
    """Epochs of the whole training."""
    max_steps: Count | None
    """Optimizer steps after which training ends, where that comes first; null: no limit."""
    accelerator: Accelerator
    """The device: `auto` takes the fastest that there is; `gpu` and `cuda` need a GPU of NVIDIA, `mps` one of a Mac."""
    devices: Workers
    """Processes, one a device; together they work on one data.batch_size. Leave it out under torchrun or srun."""
    strategy: Strategy
    """How several devices share the work; `auto` is `ddp` where there are several, `fsdp` is for large networks."""
    precision: Precision
    """Number formats, in Lightning's words."""
    deterministic: bool
    """Bit-identical repeats on a GPU, slower; a CPU repeats bit by bit anyway."""
    channels_last: bool
    """Memory layout of images and weights: channels last is faster on most devices."""
    compile: bool | Auto
    """Whether torch.compile compiles the network for training; `auto`: where the gain repays the wait, by measuring."""
    accumulate: Count
    """Batches in an optimizer step."""
    gradient_clip: Annotated[float, Range(above=0)] | None
    """Largest norm of the gradient, to which a larger one is scaled; null: no limit."""
    val_every: Count
    """Epochs from one validation to the next; the last epoch always has one."""
    log_every: Count
    """Steps between rows of the training loss in metrics.csv."""
    checkpoint_every: Every
    """Steps between checkpoints within an epoch; 0: one after every epoch."""
    checkpoint_minutes: Annotated[float, Range(least=0)]
    """Minutes without a checkpoint after which one is written within an epoch; 0: never."""
    ema: Annotated[float, Range(above=0, below=1)] | None
    """Decay of a moving average of the weights, such as 0.999, which is then what is scored; null: no average."""
    ema_warmup: bool
    """Whether the average forgets untrained weights faster: its decay is at most (1 + step) / (10 + step)."""
    freeze: Freeze | None
    """What is not trained: `encoder`, whose batch normalisation then keeps its statistics; null: nothing."""
    unfreeze_at: Count | None
    """The epoch, counted from 0, from which on what was frozen is trained too; null: never."""
    sync_batchnorm: bool
    """Whether batch normalisation takes its statistics over the pictures of all GPUs."""
    patience: Count | None
    """Validations without a better score after which training ends; null: never."""
    non_finite: NonFinite
    """What a NaN or infinite training loss does, see docs/reliability.md."""
    panels_every: Every
    """Epochs between sample panels; 0: only the test's."""
    plots: bool
    """Whether plots/ is drawn at the end; false spares the jobs of a sweep a fifth of a second each."""
    profile: bool
    """Whether profile.txt in the run folder says where the time goes; on a GPU, waiting for each phase slows it."""
    threads: Workers | None
    """CPU threads of torch; null: as many as there are cores."""

    def __post_init__(self) -> None:
        if self.ema is None and not self.ema_warmup:
            raise ConfigError("trainer.ema_warmup=false does nothing without trainer.ema; give a decay such as 0.999")
        if self.unfreeze_at is not None and self.freeze is None:
            raise ConfigError("trainer.unfreeze_at does nothing without trainer.freeze; give trainer.freeze=encoder")
        if self.unfreeze_at is not None and self.devices > 1:
            raise ConfigError(
                "trainer.unfreeze_at works with one process; freeze throughout with trainer.devices above 1"
            )
        if self.sync_batchnorm and self.devices == 1:
            raise ConfigError(
                "trainer.sync_batchnorm=true does nothing with one device; give trainer.devices=2 or more"
            )
        if self.non_finite is NonFinite.ROLLBACK and self.devices > 1:
            raise ConfigError(
                "trainer.non_finite=rollback works with one process; use skip with trainer.devices above 1"
            )
        if self.is_sharded:
            self._check_sharded()

    @property
    def is_sharded(self) -> bool:
        """Whether weights, gradients and the optimizer's state are spread over several processes."""
        return self.strategy is Strategy.FSDP and self.devices > 1

    def _check_sharded(self) -> None:
        """Raise a ConfigError for what does not work on a part of each weight."""
        refused = {
            "compile=true": self.compile is True,
            "sync_batchnorm=true": self.sync_batchnorm,
            f"precision={self.precision}": self.precision not in (Precision.SINGLE, Precision.BF16_MIXED),
        }
        for setting, is_given in refused.items():
            if is_given:
                raise ConfigError(
                    f"trainer.{setting} does not work with trainer.strategy=fsdp: leave it out, or take"
                    " trainer.strategy=ddp"
                )
