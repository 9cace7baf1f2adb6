# Needs Python 3.11 or newer and make, nothing else; all else goes into $(VENV).
PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?= constraints.txt

BIN := $(VENV)/bin
BASE := $(VENV)/.installed-base
SERVICE := $(VENV)/.installed-test-service
ALL := $(VENV)/.installed-test
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint $(CONSTRAINTS)

.PHONY: help demo serve test test-service lint docs clean

help:
	@echo "make demo   stream the bundled recording through a server started for it"
	@echo "make serve  run a server on http://127.0.0.1:8000 until Ctrl-C"
	@echo "make test   lint, types and tests"
	@echo "make lint   lint and types"
	@echo "make docs   the documentation as a site in build/site"
	@echo "make clean  remove $(VENV)"

demo: $(BASE)
	@$(BIN)/python -m clients.demo

serve: $(BASE)
	$(BIN)/rc-serve

test: lint
	$(BIN)/python -m pytest

# Without torch, so on any Python; the page in a browser is the same on all.
test-service: $(SERVICE)
	$(BIN)/python -m pytest tests/service tests/clients tests/stress --ignore tests/service/server/test_page.py

lint: $(ALL)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/oxlint --deny-warnings service/web

docs: $(ALL)
	$(BIN)/mkdocs build --strict --quiet

clean:
	rm -rf $(VENV)

# The base install: serving and rc-stream, without torch.
$(BASE): pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	{ echo "make: expected Python 3.11 or newer as $(PYTHON), got $$($(PYTHON) --version 2>&1)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	{ echo "make: expected $(PYTHON) with venv; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@echo "installing what serving needs into $(VENV)"
	@$(INSTALL) --editable .
	@touch $@

$(SERVICE): $(BASE)
	@echo "installing what the tests of the service need into $(VENV)"
	@$(INSTALL) --editable '.[test-service]'
	@touch $@

# Training, tests, lint and documentation in addition.
$(ALL): $(BASE)
	@echo "installing what training and tests need into $(VENV)"
	@$(INSTALL) --editable '.[test]'
	@touch $@
