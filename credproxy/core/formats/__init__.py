"""Texts that people and their tools write, read with lines: TOML, YAML, JSON, netrc, Docker's configuration and their kin."""
