# make demo   first score: installs into .venv, makes music, pretrains, probes, prints the table (under 6 minutes)
# make test   installs what tests need and runs them all
# make lint   style, types, import directions
# make clean  removes .venv, .bench, caches and mlflow.db; results/runs stays
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint wheel clean help

help:
	@sed -n 's/^# //p' Makefile

.venv/.base: pyproject.toml
	@echo "== installing pretext-bench into .venv (torch and friends: about 2 minutes, 6 GB)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/.dev: .venv/.base
	@echo "== installing what tests and checks need"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: .venv/.base
	@echo "== first score: random_init, mfcc and vicreg on the embedded data set, mirrored into MLflow"
	$(BIN)/bench run --method random_init,mfcc,vicreg --fraction 0.1,1.0 --track

test: .venv/.dev
	@echo "== tests"
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

lint: .venv/.dev
	@echo "== style, types, import directions"
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy bench methods datasets
	$(BIN)/lint-imports

wheel: .venv/.dev
	@echo "== the wheel, in an environment that has never seen the checkout"
	$(BIN)/python tests/check_wheel.py

clean:
	@echo "== removing .venv, .bench, caches and the demo's database; results/runs stays"
	rm -rf .venv .bench build dist *.egg-info mlflow.db mlruns mlartifacts .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
