# Each target makes what it needs: the environment in .venv, the installation, then the work.
#   make demo            carry the base through the whole recipe on this machine's CPU (9 minutes on a Xeon with AMX)
#   make test            run the tests; some: make test ARGS="-k countdown", the slow ones: make test MARK=slow
#   make lint types      style and type checks
#   make bench           speed beside vLLM, TRL, transformers and others, into docs/performance.md (75 minutes)
#   make attacks         attacks on the sandbox of programs, a row each (a minute)
#   make micro-base      remake the packaged base model (about half an hour), the tokenizer included
#   make nano-base       the same of the smaller one, the student of distillation
#   make clean           remove the environment and everything generated, but not runs/
# Variables: ARGS="…" goes on to the command, PIP_ARGS="…" to pip; PYTHON=/path/to/python3.12 chooses the interpreter
# of a new environment (after `make clean` where there is one).

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?=
ARGS ?=
MARK ?= not slow
PIP_ARGS ?=

# The first interpreter that really runs (a shim may not), has a supported version, and can make environments.
CANDIDATES := $(if $(PYTHON),$(PYTHON),python3 python3.13 python3.12 python3.11 python)
CHECK := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))

.DEFAULT_GOAL := help
.PHONY: help demo test lint types bench attacks micro-base nano-base clean
.DELETE_ON_ERROR:

help:
	@sed -n 's/^#  //p' Makefile

demo: $(VENV)/installed
	$(BIN)/r1kit run laptop $(ARGS)

test: $(VENV)/installed-dev
	$(BIN)/python -m pytest -m "$(MARK)" $(ARGS)

lint: $(VENV)/installed-dev
	$(BIN)/ruff check $(if $(ARGS),$(ARGS),.)
	$(BIN)/ruff format --check $(if $(ARGS),$(ARGS),.)

types: $(VENV)/installed-dev
	$(BIN)/mypy $(ARGS)

bench: $(VENV)/installed
	$(BIN)/python -m bench --write $(ARGS)

attacks: $(VENV)/installed
	$(BIN)/python -m bench.sandbox_attacks $(ARGS)

micro-base nano-base: %-base: $(VENV)/installed
	$(BIN)/r1kit run $@ --out runs/$@ $(ARGS)
	rm -rf r1kit/world/$* && cp -R runs/$@/stages/$*/model r1kit/world/$*

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -path ./.git -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: an installation is redone only when what it depends on has changed.
$(VENV)/created:
	@for candidate in $(CANDIDATES); do \
	  if "$$candidate" -c '$(CHECK)' >/dev/null 2>&1; then \
	    echo "environment: $$("$$candidate" -c 'import sys; print(sys.executable, sys.version.split()[0])')"; \
	    rm -rf $(VENV) && "$$candidate" -m venv $(VENV) && touch $@ && exit 0; exit 1; \
	  fi; \
	done; \
	echo "No usable Python among: $(CANDIDATES)." >&2; \
	echo "r1kit needs Python 3.11, 3.12 or 3.13 with the venv module (Debian: apt install python3-venv);" >&2; \
	echo "name one with: make PYTHON=/path/to/python3.12 …" >&2; exit 1

$(VENV)/installed: $(VENV)/created pyproject.toml constraints.txt
	@echo "installing r1kit and what it needs; the first time takes a few minutes …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt $(PIP_ARGS) -e .
	@touch $@

$(VENV)/installed-dev: $(VENV)/created pyproject.toml constraints.txt
	@echo "installing r1kit and what it needs; the first time takes a few minutes …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt $(PIP_ARGS) -e '.[dev]'
	@touch $@ $(VENV)/installed
