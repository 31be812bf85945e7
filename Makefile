# Everything runs from .venv, which comes from the hash-locked dependency files; see `make help`.

PYTHON ?= python3
WORKERS ?= 2
ARGS ?=
UPGRADE ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --quiet --disable-pip-version-check install
CHECKED := $(wildcard app tests examples bench handbook)

# The development environment holds all that the service needs: once it exists, nothing is installed beside it.
DEV := $(VENV)/.dev
RUNTIME := $(if $(wildcard $(DEV)),$(DEV),$(VENV)/.runtime)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install demo serve test soak lint bench bench-quick scale openapi reference docs screenshots lock clean

help: ## list these commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1@\2/p' Makefile | awk -F@ '{printf "%-17s %s\n", $$1, $$2}'

install: $(RUNTIME) ## only prepare .venv

demo: $(RUNTIME) ## play a storefront journey on a fresh database and show the exported file
	@$(BIN)/python -m examples.demo $(ARGS)

serve: $(RUNTIME) ## serve on SQLite (ARGS="--port 8001" for another port)
	@$(BIN)/python -m examples.serve $(ARGS)

test: $(DEV) ## run all tests, on SQLite and PostgreSQL; as root on Debian also install the programs they talk to
	@$(BIN)/python -m tests.system -n $(WORKERS) --dist=worksteal $(ARGS)

soak: $(DEV) ## kill, cut and restart a thousand times, on all ways out and both databases (SOAK_SEED=n repeats a run)
	@SOAK=1 $(BIN)/python -m tests.system -p tests.soak -n $(WORKERS) $(ARGS) tests/crash/test_kill.py \
		tests/crash/test_controls.py tests/crash/test_pause.py tests/crash/test_stuck.py tests/delivery/test_cuts.py \
		tests/crash/test_replicas.py tests/crash/test_restarts.py tests/crash/test_disk.py tests/test_canary.py \
		tests/ledger/test_imports.py tests/ledger/test_truth.py \
		tests/impact/test_client.py tests/dashboard/test_browsing.py

lint: $(DEV) ## check style and types
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m ruff format --check .
	@$(BIN)/python -m mypy $(CHECKED)

bench: $(DEV) ## measure every goal of docs/explanation/performance.md beside its peers, some 17 minutes (ARGS="--only capture")
	@$(BIN)/python -m bench $(ARGS)

bench-quick: $(DEV) ## the same, smaller and only indicative, in less than two minutes
	@$(BIN)/python -m bench --quick $(ARGS)

scale: $(DEV) ## write the figures of docs/explanation/scale.md anew (ARGS=--measure: from a new measurement)
	@$(BIN)/python -m bench.scale $(ARGS)

openapi: $(RUNTIME) ## write openapi/openapi.json anew
	@mkdir -p openapi
	@$(BIN)/conversion-capture openapi > openapi/openapi.json.part || { rm -f openapi/openapi.json.part; exit 1; }
	@mv openapi/openapi.json.part openapi/openapi.json
	@echo "wrote openapi/openapi.json"

reference: $(DEV) ## write the parts of docs/reference that the code knows anew
	@$(BIN)/python -m handbook

docs: $(DEV) ## write the documentation as a site to var/docs, without fetching anything
	@$(BIN)/python -m sphinx --nitpicky --fail-on-warning --keep-going --quiet --builder html docs var/docs
	@echo "wrote var/docs/index.html"

screenshots: $(DEV) ## take the pictures of the dashboard in docs/images anew, in Debian's Chromium
	@$(BIN)/python -m tests.dashboard.screenshots docs/images

# The files name no registry: whoever installs uses the one that pip is configured for.
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	--no-emit-index-url --no-emit-find-links $(UPGRADE) --extra build --extra sandbox

lock: $(VENV)/.made ## write the dependency files anew (UPGRADE=--upgrade for the newest versions)
	@echo "locking the dependencies"
	@$(PIP) uv
	@$(COMPILE) --output-file requirements.lock pyproject.toml
	@$(COMPILE) --extra dev --constraint requirements.lock --output-file requirements-dev.lock pyproject.toml
	@if grep --line-number '://' requirements.lock requirements-dev.lock; then echo "an address in a lock file" >&2; exit 1; fi

clean: ## remove .venv, caches and the demo's database; other data under var/ stays
	@rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis var/demo openapi/openapi.json.part
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.made:
	@command -v "$(PYTHON)" >/dev/null || { echo "There is no $(PYTHON): install Python 3.11 or newer, or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed, and $(PYTHON) is older; name another one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "creating $(VENV)"
	@"$(PYTHON)" -m venv $(VENV) || { echo "Python cannot make virtual environments: on Debian and Ubuntu, install python3-venv" >&2; exit 1; }
	@touch $@

# $(1) is the lock file; the project itself goes in as a link to this folder.
define installed
	@echo "installing $(1)"
	@$(PIP) --require-hashes --requirement $(1)
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@
endef

$(VENV)/.runtime: $(VENV)/.made requirements.lock pyproject.toml
	$(call installed,requirements.lock)

$(DEV): $(VENV)/.made requirements-dev.lock pyproject.toml
	$(call installed,requirements-dev.lock)
