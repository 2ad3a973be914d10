# Two commands set everything up on a machine that has only Python and make: `make demo` and `make test`.
# All of them share one virtual environment, .venv. A file .venv/.NAME says that an installation came to its end; it is
# written last, so an interrupted one is taken up again, and it is older than what it was made from once that changes.

PYTHON ?= python3
ARGS ?=

BIN := .venv/bin
STUDIES := replication replication_deviations replication_decoding replication_text replication_images replication_mixture
# a worker a processor; tests are dealt to whoever is idle
PARALLEL := --numprocesses logical --dist worksteal
PIP_INSTALL := $(BIN)/python -m pip install --quiet

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
ifdef CI
export NO_COLOR := 1
endif

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow check bench docs proofs replication build lock clean
.DELETE_ON_ERROR:

help: ## list the targets
	@echo "make TARGET [ARGS='more arguments of the command behind it'] [PYTHON=interpreter for a new .venv]"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' Makefile

demo: .venv/.package ## install what the library needs, and run the demonstration
	$(BIN)/tce demo $(ARGS)

test: .venv/.dev ## run the tests that take less than six minutes together
	$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

test-slow: .venv/.dev ## run all tests, the slow ones too
	$(BIN)/python -m pytest $(PARALLEL) -m "slow or not slow" $(ARGS)

check: .venv/.dev ## lint, formatting, types, import contracts, time of import
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python -m mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest --quiet tests/unit/test_imports.py

bench: .venv/.dev ## measure the speed of the simulator, of experiments, predictions and networks
	$(BIN)/python benchmarks/speed.py $(ARGS)
	$(BIN)/python benchmarks/multivariate.py
	$(BIN)/python benchmarks/markov.py
	$(BIN)/python benchmarks/mixture.py
	$(BIN)/python benchmarks/experiments.py
	$(BIN)/python benchmarks/prediction.py
	$(BIN)/python benchmarks/networks.py
	$(BIN)/python benchmarks/generation.py
	$(BIN)/python benchmarks/autoencoder.py

docs: .venv/.dev ## build the documentation: docs/_build/html/index.html
	$(BIN)/python docs/generate.py
	$(BIN)/python -m sphinx --quiet --fresh-env --fail-on-warning --builder html $(ARGS) docs docs/_build/html

proofs: .venv/.dev ## run the derivations and typeset them: build/proofs/html/index.html (ARGS='SLUG ...': only these)
	rm -rf build/proofs
	$(BIN)/python proofs/booklet.py --out build/proofs/source $(ARGS)
	$(BIN)/python -m sphinx --quiet --fail-on-warning --builder html -c docs \
	-D html_title="tce_theory: theorems and derivations" build/proofs/source build/proofs/html

replication: .venv/.dev ## run the replication study (an hour and a half on two processors; it goes on where it was), and record it
	mkdir -p build/replication
	for name in $(STUDIES); do \
	$(BIN)/tce run simulations/$$name.toml --store build/replication/$$name.sqlite $(ARGS) || exit 1; done
	$(BIN)/tce report $(STUDIES:%=build/replication/%.sqlite) --json > build/replication/record.json
	cp build/replication/record.json tce_theory/experiments/studies/replication.json
	$(BIN)/tce report --out build/replication/report.md

build: .venv/.package ## build the wheel in dist
	$(BIN)/python -m hatchling build --target wheel

clean: ## remove .venv and all that the other targets have made
	rm -rf .venv build dist tce-demo docs/_build docs/api docs/generated
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .benchmarks
	find tce_theory tests benchmarks docs proofs -name __pycache__ -prune -exec rm -rf {} +

# --- the environment ---

# make keeps the output of a command that ends in failure to itself, hence "|| true"
found_python = $(shell "$(PYTHON)" --version 2>&1 || true)
is_too_old = $(shell "$(PYTHON)" -c "import sys; sys.exit(sys.version_info < (3, 11))" 2>/dev/null || echo yes)
require_python = $(if $(is_too_old),$(error Python 3.11 or newer is needed; PYTHON=$(PYTHON) gives "$(found_python)"))

.venv/.made:
	$(require_python)
	@echo "Making the virtual environment .venv"
	@"$(PYTHON)" -m venv --clear .venv
	@touch $@

.venv/.runtime: .venv/.made requirements/runtime.lock requirements/build.lock
	@echo "Installing the locked dependencies (about a minute the first time)"
	@$(PIP_INSTALL) --require-hashes -r requirements/runtime.lock -r requirements/build.lock
	@touch $@

# build.lock has the build back end: with it in place nothing is fetched that is not locked
.venv/.package: .venv/.runtime pyproject.toml
	@$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.dev: .venv/.package requirements/dev.lock
	@echo "Installing the locked tools for tests, checks and documentation"
	@$(PIP_INSTALL) --require-hashes -r requirements/dev.lock
	@touch $@

# --- the lock files ---

UV_COMPILE = build/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--custom-compile-command "make lock" $(ARGS)

lock: build/uv/.made ## bring the lock files up to date with pyproject.toml (ARGS=--upgrade: newest versions)
	$(UV_COMPILE) --output-file requirements/runtime.lock pyproject.toml
	$(UV_COMPILE) --output-file requirements/dev.lock --constraint requirements/runtime.lock --group dev pyproject.toml
	build/uv/bin/python -c 'import tomllib; \
	print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
	| $(UV_COMPILE) --output-file requirements/build.lock --constraint requirements/dev.lock -

build/uv/.made:
	$(require_python)
	@"$(PYTHON)" -m venv --clear build/uv
	@build/uv/bin/python -m pip install --quiet uv
	@touch $@
