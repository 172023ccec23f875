"""Training a run: the LightningModule, its callbacks, checkpoints and schedules."""
