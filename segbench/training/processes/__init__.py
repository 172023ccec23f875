"""Several processes of one run, the signals that stop them, and what the machine refuses."""
