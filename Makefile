# Every target sets up what it needs; nothing has to be installed by hand but Python >= 3.11, a C++20 compiler and CMake.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -q --disable-pip-version-check
NATIVE := $(wildcard src/backpass/native/*.cpp src/backpass/native/*.hpp)

.PHONY: help setup dev demo test lint bench docs-check campaigns clean

help:            ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 14

setup: $(VENV)/.installed   ## make the project's own .venv and build the kernels

# The build tools come first and stay, so that a rebuild compiles only what changed.
$(VENV)/.tools:
	@echo "setting up $(VENV) (once) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) "scikit-build-core>=0.11" "nanobind>=2.9" "ninja>=1.11" "cmake>=3.26"
	@touch $@

$(VENV)/.installed: $(VENV)/.tools pyproject.toml CMakeLists.txt $(NATIVE)
	@echo "installing backpass and building its kernels (some minutes) ..."
	@$(PIP) --no-build-isolation -e ".[all]"
	@touch $@

# What the tests compare with (PyTorch, scikit-learn) and the linters: large, so only where they are needed.
dev: $(VENV)/.dev
$(VENV)/.dev: $(VENV)/.installed pyproject.toml
	@echo "installing what the tests need (PyTorch among it) ..."
	@$(PIP) --no-build-isolation -e ".[dev]"
	@touch $@

demo: setup      ## train a batch-normalised net on the embedded digits and write a report
	@$(BIN)/backpass train digits --out runs/digits --overwrite

test: dev lint  ## lint, type-check and run the tests (under 10 minutes on two cores)
	@$(BIN)/python -m pytest -q -n auto

lint: dev      ## ruff and mypy
	@$(BIN)/ruff check src tests benchmarks
	@$(BIN)/ruff format --check -q src tests benchmarks
	@$(BIN)/mypy --no-error-summary

docs-check: dev  ## every public name documented, every example run, every link alive
	@$(BIN)/python -m pytest -q tests/test_docs.py

bench: dev     ## speed beside PyTorch, scikit-learn and NumPy, recorded in benchmarks/ (idle machine, about an hour)
	@$(BIN)/python -m benchmarks --record

campaigns: dev  ## the slow tests: kill and resume, CIFAR-10 accuracy ...
	@$(BIN)/python -m pytest -q -m slow

clean:           ## remove everything that the targets made
	rm -rf $(VENV) build runs
