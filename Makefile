# The commands for developers. Every target begins with `setup`, which is quick if nothing changed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Two processes more than processors, because many tests wait for a clock; a file stays in one process.
PYTEST_ARGS ?= --numprocesses=$(shell expr $$(getconf _NPROCESSORS_ONLN) + 2) --dist=loadfile --no-loadscope-reorder

# Code that looks for cloud metadata finds none, and asks no outside host.
export AWS_EC2_METADATA_DISABLED := true
export GCE_METADATA_HOST := 127.0.0.1:1

.PHONY: setup counterparts demo test lint bench install clean

setup: $(STAMP)

$(STAMP): pyproject.toml hatch_build.py credproxy/__init__.py $(wildcard credproxy/helper/*)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

counterparts: setup
	@tools/install-counterparts

demo: setup
	@$(BIN)/credproxy demo

test: setup counterparts
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: setup counterparts
	@$(BIN)/python bench/run.py
	@$(BIN)/python bench/gateway.py
	@$(BIN)/python bench/restarts.py
	@$(BIN)/python bench/objects.py
	@$(BIN)/python bench/kinds.py

install:
	@command -v pipx >/dev/null || { echo 'make install needs pipx: apt-get install pipx, or pip install --user pipx' >&2; exit 1; }
	@pipx install --force '.[all]'

clean:
	rm -rf $(VENV) .counterparts build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*
