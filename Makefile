# make demo   set up from nothing, train, export and recommend on the default data
# make test   set up from nothing, run the tests
# make test-trackers  the tests of MLflow, Weights & Biases, joblib and Ray, which need packages of their own
# make peers  install what scripts/benchmark.py compares with, apart from everything else
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TRACKERS := $(VENV)-trackers
SITE := 'import sysconfig; print(sysconfig.get_path("purelib"))'

.PHONY: setup demo test test-trackers test-slow lint node peers clean
.DEFAULT_GOAL := test

setup: $(READY)

# a failed installation leaves no mark, so that the next make tries again
$(READY): pyproject.toml
	@echo "installing into $(VENV), which takes about two minutes"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

demo: $(READY)
	$(BIN)/python scripts/demo.py

# a process a core, each with one thread: two threads beside another busy process wait for each other
test: $(READY) node
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile

# runs sent to MLflow and Weights & Biases, multiruns through joblib and Ray
test-trackers: $(TRACKERS)/.ready
	$(TRACKERS)/bin/python -m pytest -m extras

# an environment that sees what is in .venv behind its own: it brings a hundred packages, and MLflow an older pyarrow
$(TRACKERS)/.ready: pyproject.toml $(READY)
	@echo "installing into $(TRACKERS), which takes about a minute"
	$(PYTHON) -m venv --clear $(TRACKERS)
	$(BIN)/python -c $(SITE) >"$$($(TRACKERS)/bin/python -c $(SITE))/ordinary.pth"
	$(TRACKERS)/bin/pip install --quiet --disable-pip-version-check --editable '.[mlflow,wandb,launchers]'
	touch $@

# what takes minutes: twenty trainings killed and resumed; 2,000 random settings, 500 random arguments and 500 damaged files, none of
# which may end in a traceback
test-slow: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow --numprocesses auto

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# the check that a bundle runs in Node.js; without npm its test is skipped and says so
node: tests/node/package-lock.json
	@if command -v npm >/dev/null; then \
		test -d tests/node/node_modules || (cd tests/node && npm ci --ignore-scripts --silent --no-audit --no-fund); \
	else echo "npm is not installed: the Node.js check will be skipped"; fi

# two environments of their own, in .venv-peers
peers: $(READY)
	$(BIN)/python scripts/benchmark.py environments

clean:
	rm -rf $(VENV) $(TRACKERS) .venv-peers tests/node/node_modules runs .pytest_cache .mypy_cache .ruff_cache
