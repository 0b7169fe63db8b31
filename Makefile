# `make run` and `make test` set themselves up; the second time they start at once.
#   PYTHON    interpreter that makes .venv (found by itself: 3.11 or newer)
#   PORT      of the app
#   ARGS      handed to pytest
#   WORKERS   processes that run the tests
#   PIP_ARGS  handed to pip, for example --index-url of a mirror, or torch's index of CPU builds

SHELL := /bin/bash
PORT ?= 7860
ARGS ?=
WORKERS ?= 2
PIP_ARGS ?=
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$p; break; }; done)

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
NEEDED_GIB := 6
PILLOW := 13.0.0
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS)

.DEFAULT_GOAL := help
.PHONY: help run test check bench train-demo screenshots clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

run: $(READY) ## start the app on http://127.0.0.1:7860 (PORT=... for another port)
	@$(BIN)/thinkscope app --port $(PORT)

test: $(READY) ## run all tests (ARGS="-k images" for some)
	@command -v chromium chromium-browser google-chrome >/dev/null || echo "Chromium is missing, so the browser tests cannot run: apt-get install -y chromium"
	@$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadgroup $(ARGS)

check: $(READY) ## lint, format, types, import rules, spelling
	@$(BIN)/ruff check . || { echo "Lint: '$(BIN)/ruff check --fix .' mends most of it."; exit 1; }
	@$(BIN)/ruff format --check . || { echo "Format: run '$(BIN)/ruff format .'."; exit 1; }
	@$(BIN)/pyright --pythonpath $(BIN)/python
	@$(BIN)/lint-imports || { echo "A module imports what its room may not; pyproject.toml states the rules."; exit 1; }
	@$(BIN)/typos || { echo "Spelling: '$(BIN)/typos --write-changes' mends it; names go into [tool.typos] of pyproject.toml."; exit 1; }

bench: $(READY) ## measure speed, one JSON object for each script
	@set -e; for script in benchmarks/[!_]*.py; do echo "== $$script" >&2; $(BIN)/python $$script --json; done

train-demo: $(READY) ## train a small model on Shapes, a few minutes
	@$(BIN)/thinkscope shapes --out runs/demo-data --split train --n 4000
	@$(BIN)/thinkscope shapes --out runs/demo-data --split validation --n 256
	@$(BIN)/thinkscope train tte-flash --config workbench/recipes/configs/demo.toml --out runs/demo \
		--data runs/demo-data/train.jsonl --set data.validation=runs/demo-data/validation.jsonl --resume

screenshots: $(READY) ## make the pictures of the README from the running app
	@$(BIN)/python docs/screenshots.py

clean: ## remove .venv and caches
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml constraints.txt
	@if [ -z "$(PYTHON)" ]; then echo "No Python 3.11 or newer was found. Install one (apt-get install python3.11 python3.11-venv), or name it: make PYTHON=/path/to/python3.11"; exit 1; fi
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than Python 3.11, or does not run; name another: make PYTHON=/path/to/python3.11"; exit 1; }
	@if [ ! -d $(VENV) ]; then free=$$(df -Pk . | awk 'NR==2 {print int($$4/1048576)}'); \
		if [ "$$free" -lt $(NEEDED_GIB) ]; then echo "Only $$free GiB of disk are free here; the packages need $(NEEDED_GIB). Free some and run make again."; exit 1; fi; fi
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "Python cannot make a virtual environment. On Debian: apt-get install python3-venv"; exit 1; }
	@echo "Installing torch (the largest package, so it comes first) ..."
	@$(PIP) -c constraints.txt torch || { echo "torch could not be installed. pip needs the network once, and $(NEEDED_GIB) GiB of disk; behind a mirror: make PIP_ARGS='--index-url URL'. Then run make again: it goes on from here."; exit 1; }
	@echo "Installing the other packages ..."
	@$(PIP) -c constraints.txt -e '.[test,lint]' || { echo "The packages could not be installed; the lines above say which. Mend the network or the disk and run make again: it goes on from here."; exit 1; }
	@# gradio declares pillow<13 but works with it, and 13 mends the JPEG decoder (CVE-2026-112403).
	@$(PIP) --no-deps pillow==$(PILLOW) || { echo "Pillow $(PILLOW) could not be installed; check the network and run make again."; exit 1; }
	@touch $@
