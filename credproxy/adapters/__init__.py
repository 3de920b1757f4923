"""The world behind the ports: clock, HTTP, processes, files, metrics."""
