# Two commands do everything: `make demo` and `make test`. Both set up what is missing, once.
PYTHON ?= python3
BIN := .venv/bin
NEWEST := .venv-newest/bin

# One process of tests per core, each with one thread; a file's tests stay together, so that they share what they set up.
WORKERS ?= 2
PYTEST := -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: install demo test check test-pinned test-newest

install: .venv/installed

# Into demo-output/, in the place of what an earlier run left there.
demo: .venv/installed
	$(BIN)/fwsvd-export demo --overwrite

test: check test-pinned test-newest

check: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_architecture.py

test-pinned: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python $(PYTEST)

# Without the tests in which transformers takes no part: the pinned run has them (tests/conftest.py).
test-newest: .venv-newest/installed
	OMP_NUM_THREADS=1 $(NEWEST)/python $(PYTEST) -m "not any_transformers"

# torch comes first and by exact version: some package sources offer a small CPU build only under that spelling.
.venv/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet "$$(grep '^torch==' constraints.txt)"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev,optimum]"
	touch $@

.venv-newest/installed: pyproject.toml constraints-newest.txt
	test -x $(NEWEST)/python || $(PYTHON) -m venv .venv-newest
	$(NEWEST)/python -m pip install --quiet "$$(grep '^torch==' constraints-newest.txt)"
	$(NEWEST)/python -m pip install --quiet --constraint constraints-newest.txt --editable ".[dev]"
	touch $@
