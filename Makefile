# Two commands set everything up by themselves: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PEERS := .venv-bench
PEERS_READY := $(PEERS)/.ready

.PHONY: demo test lint bench clean help

help:  ## Show this list.
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 8

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "eva needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $(READY)

# One thread, as the records were made: how many add up decides in which order, and so makes another run.
demo: $(READY)  ## Train and grade the reference submission; record and pictures go to runs/demo.
	OMP_NUM_THREADS=1 $(BIN)/eva grade eva.experiments.reference --data auto --out runs/demo

test: $(READY)  ## Run the test suite.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal

lint: $(READY)  ## Check style, types and who imports whom.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(PEERS_READY): tests/benchmarks/requirements.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --requirement tests/benchmarks/requirements.txt
	@touch $(PEERS_READY)

bench: $(READY) $(PEERS_READY)  ## Time training beside its peers and the floor, on the CPU and on a GPU; an hour.
	$(BIN)/python tests/benchmarks/bench_training.py --growth
	$(BIN)/python tests/benchmarks/bench_cuda.py

clean:  ## Remove the environment and everything that can be made again.
	rm -rf $(VENV) $(PEERS) runs site build dist .pytest_cache .mypy_cache .ruff_cache
