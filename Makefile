PYTHON ?= python3
BIN := .venv/bin

.PHONY: help demo test test-slow lint lab docs reproduce
.DEFAULT_GOAL := help

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .venv/base.done  ## Compare methods of every family on handwritten digits, with figures, in results/demo
	$(BIN)/pppl demo

test: .venv/dev.done  ## Run the tests, in about eight minutes
	$(BIN)/python -m pytest

test-slow: .venv/dev.done  ## Run those that guard rare things at length
	$(BIN)/python -m pytest -m slow

lint: .venv/dev.done  ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

lab: .venv/lab.done  ## Open JupyterLab
	$(BIN)/jupyter lab --LabApp.default_url=/lab/tree/notebooks $(if $(filter 0,$(shell id -u)),--allow-root)

docs: .venv/docs.done  ## Build the documentation site into docs/_build/html
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html"

# Folders under version control; all that are there where git is not, as in an archive of the repository.
RESULTS = $(or $(shell git ls-files 'results/*/run.json' 2>/dev/null),$(wildcard results/*/run.json))

reproduce: .venv/audio,text.done  ## Make the reference results again and compare, hours long; some by ONLY="digits fsdd"
	$(BIN)/pppl results reproduce $(addprefix results/,$(or $(ONLY),$(RESULTS:results/%/run.json=%)))

# One mark for each set of extras that has been installed; a change of the pins installs again.
.venv/base.done: pyproject.toml requirements.lock | .venv
	$(BIN)/pip install --quiet --constraint requirements.lock --editable .
	@touch $@

.venv/%.done: pyproject.toml requirements.lock | .venv
	$(BIN)/pip install --quiet --constraint requirements.lock --editable '.[$*]'
	@touch $@

.venv:
	$(PYTHON) -m venv .venv
