# `make app` runs Sapphire on http://localhost:8501, `make test` runs every test; both set up first.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: app setup test check verify-corpus clean
.DELETE_ON_ERROR:

app: setup
	@$(BIN)/streamlit run app.py

setup: .venv/app.done
	@$(BIN)/python -m sapphire.models
	@$(BIN)/python -m data.demo

test: setup .venv/test.done
	@$(BIN)/python -m tests.chromium
	@$(BIN)/python -m pytest

check: .venv/test.done
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

.venv/app.done: requirements-app.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Sapphire needs Python 3.11 or newer: make PYTHON=python3.11")'
	@echo "Setting up .venv (once; about a minute) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-app.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

.venv/test.done: requirements-test.txt .venv/app.done
	@echo "Adding what the tests need (torch and friends; once, some minutes) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-test.txt
	@touch $@

# Every label, quote and line of reasoning of 50,000 cases, checked anew (some minutes on two cores).
verify-corpus: .venv/app.done
	@$(BIN)/python -m data.corpus --cases 50000 --seed 7 --verify

clean:
	rm -rf .venv build *.egg-info
