# One word per job. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
JOBS ?= 2

DISTRIBUTIONS := core $(patsubst %/pyproject.toml,%,$(sort $(wildcard plugins/*/pyproject.toml)))
PYPROJECTS := $(addsuffix /pyproject.toml,$(DISTRIBUTIONS))
# What is installed is a function of these files' content; the stamps say which state they have reached.
STAMP := $(VENV)/.recgate

.PHONY: help
help: ## list the words
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r word does; do printf '  make %-12s %s\n' "$$word" "$$does"; done

.PHONY: install
install: $(STAMP)/install ## make .venv with the core and every plugin, editable

# Which Python it has is settled when it is made; `make clean` lets it be chosen anew.
$(STAMP)/venv:
	python=$$(.ci/python); $$python -m venv $(VENV)
	mkdir -p $(STAMP)
	touch $@

# One call for all distributions: pip then sees the whole workspace and looks for none of it anywhere else.
$(STAMP)/install: $(STAMP)/venv constraints.txt $(PYPROJECTS)
	$(PIP) install -c constraints.txt hatchling editables
	$(PIP) install -c constraints.txt --no-build-isolation $(addprefix -e ./,$(DISTRIBUTIONS))
	touch $@

$(STAMP)/requirements-%: requirements/%.txt constraints.txt $(STAMP)/install
	$(PIP) install -c constraints.txt -r $<
	touch $@

$(STAMP)/npm-%: tests/peers/%/package-lock.json $(STAMP)/requirements-test
	.ci/npm $(BIN)/python ci --prefix $(<D) --no-audit --no-fund --loglevel=error
	touch $@

$(STAMP)/c2sp: tests/peers/c2sp/requirements.txt $(STAMP)/install
	$(PIP) install --upgrade --ignore-requires-python --no-deps --target $(VENV)/c2sp -r $<
	touch $@

.PHONY: demo
demo: $(STAMP)/requirements-demo ## a gateway with a real PostgreSQL and SSH target behind it; CHECK=1 plays the clients and checks
	.ci/debian-packages -f requirements/demo-debian.txt
	$(BIN)/recgate demo $(if $(CHECK),--check)

.PHONY: test
# A thousand commands are started: none of them compiles anew what the one before it has compiled.
test: export PYTHONDONTWRITEBYTECODE :=
test: $(STAMP)/requirements-test $(STAMP)/npm-oidc $(STAMP)/c2sp lint ## lint, then every test, against real servers and clients
	.ci/debian-packages -f tests/debian.txt
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(ARGS)

.PHONY: lint
lint: $(STAMP)/requirements-test ## style, format, import contracts, types: all of them, whichever fails
	failed=; for check in "ruff check ." "ruff format --check ." "lint-imports --no-logo" basedpyright; do echo "$$check"; $(BIN)/$$check || failed="$$failed [$$check]"; done; [ -z "$$failed" ] || { echo "lint failed:$$failed" >&2; exit 1; }

.PHONY: format
format: $(STAMP)/requirements-test ## put every file into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: bench
bench: $(STAMP)/requirements-bench ## speed and size against direct, pgbouncer and ProxyJump, as a table
	.ci/debian-packages -f tests/debian.txt
	$(BIN)/python -m bench $(ARGS)

.PHONY: conformance
conformance: $(STAMP)/requirements-test $(STAMP)/requirements-bench ## other projects' suites, direct and through the gateway, compared
	.ci/debian-packages -f tests/debian.txt
	$(BIN)/python -m pytest -m conformance $(ARGS)

.PHONY: soak
soak: $(STAMP)/requirements-test ## the long runs: memory over gigabytes, thousands of sessions
	.ci/debian-packages -f tests/debian.txt
	$(BIN)/python -m pytest -m soak -s $(ARGS)

.PHONY: docs
docs: $(STAMP)/requirements-docs ## the manual, every warning an error
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

.PHONY: screenshots
screenshots: $(STAMP)/requirements-demo ## draw the README's picture anew from a real session
	.ci/debian-packages -f tests/debian.txt
	$(BIN)/python -m docs.screenshots $(ARGS)

.PHONY: pins
pins: ## resolve everything anew and write constraints.txt
	.ci/pins

.PHONY: clean
clean: ## remove .venv and what tools leave behind
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .import_linter_cache docs/_build
