"""Metrics of a production against truth, peers and requirements."""
