# Two commands for a person: `make chat` and `make test`. The rest is for developers.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   := .venv
BIN    := $(VENV)/bin
PIP     = $(if $(wildcard $(BIN)/pip),$(BIN)/pip,$(PYTHON) -m pip --python $(BIN)/python)
PORT   ?= 8765
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: chat test check bench format clean

## Talk to her in the browser: install, prepare the models once, serve on 127.0.0.1
chat: $(VENV)/.runtime
	@$(BIN)/ohlora serve --port $(PORT)

## Run every test
test: $(VENV)/.tests
	$(BIN)/python -m pytest

## Style, types, and that the documents tell the truth
check: $(VENV)/.tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/docs

## Measure speed side by side in one run; writes docs/benchmarks.md
bench: $(VENV)/.tests requirements/bench.txt
	@$(PIP) install -q --no-deps -r requirements/bench.txt
	$(BIN)/python -m benchmarks

format: $(VENV)/.tests
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist src/*.egg-info

# The base Python's pip installs into the venv, so Debian's missing ensurepip does not matter.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "ohlora wants Python 3.11 or newer, found $$($(PYTHON) --version): install it or run make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV) 2>/dev/null || $(PYTHON) -m venv --clear --without-pip $(VENV) || \
	  { rm -rf $(VENV); echo "Python's venv module is missing: on Debian or Ubuntu run apt-get install python3-venv"; exit 1; }

$(VENV)/.runtime: requirements/runtime.txt pyproject.toml packages/ohlora-embedded/pyproject.toml | $(VENV)/bin/python
	@echo "Installing the runtime into $(VENV) (about 0.7 GB, once)"
	@$(PIP) install -q --no-deps -r requirements/runtime.txt
	@$(PIP) install -q --no-deps --no-build-isolation -e packages/ohlora-embedded -e .
	@touch $@

# The lists are complete and installed without dependencies, so nothing can ask for another torch.
$(VENV)/.tests: $(VENV)/.runtime requirements/test.txt
	@echo "Installing what the tests need (torch, transformers, a browser)"
	@$(PIP) install -q --no-deps -r requirements/test.txt
	@$(PIP) install -q torch==2.13.0
	@$(BIN)/python tests/browser/install_chromium.py
	@$(BIN)/python tests/vision/fetch_mtcnn.py
	@touch $@
