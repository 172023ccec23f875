"""Settings that are looked for before a run: a learning rate, a batch size."""
