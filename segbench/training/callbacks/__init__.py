"""What happens around the steps of a training: checkpoints, records, limits, progress, panels."""
