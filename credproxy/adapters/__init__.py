"""Implementations of the ports: clock, HTTP, processes, files, metrics."""
