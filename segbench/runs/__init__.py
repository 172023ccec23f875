"""The run folder: its names, status, results, metrics log, environment. Read and written without torch."""
