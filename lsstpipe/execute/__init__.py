"""Run a chunk: read, run its tasks, write, record."""
