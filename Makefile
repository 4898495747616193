# `make quickstart` and `make test` are all a newcomer needs; both make .venv first if it is not there.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
THREADS ?= $(shell nproc)

.PHONY: help quickstart test test-all style quality clean

help:  ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

quickstart: $(VENV)/installed  ## Fine-tune, evaluate and convert, in minutes on two cores (ARGS="--seed 1" adds flags)
	$(BIN)/accelerate launch --quiet --config_file accelerate_config.yaml --num_cpu_threads_per_process $(THREADS) \
	    recipes/finetune.py recipes/configs/quickstart.yaml $(ARGS)

test: $(VENV)/installed  ## Run the tests
	$(BIN)/python -m pytest -q $(ARGS)

test-all: $(VENV)/installed  ## Run the slow tests too
	$(BIN)/python -m pytest -q -m 'not gpu' $(ARGS)

style: $(VENV)/installed  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

quality: $(VENV)/installed  ## Check format and lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

clean:  ## Delete .venv and runs
	rm -rf $(VENV) runs
