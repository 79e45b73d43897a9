# make demo   first score: installs into .venv, makes music, pretrains, probes, prints the table (under 6 minutes)
# make test   installs what tests need and runs them all, but those on a real Slurm
# make test-slurm  runs sweeps on a throw-away Slurm on this machine (root; in under 10 minutes)
# make test-lowest  a light part of the tests with the lowest versions of the dependencies that pyproject.toml allows
# make lint   style, types, import directions
# make figures     draws the figures and tables of results/figures from the committed results, in a minute
# make comparison  computes the committed results of results/quick anew (2 hours on 2 cores), then the figures
# make clean  removes .venv, .bench, caches and mlflow.db; results/runs stays
PYTHON ?= python3
BIN := .venv/bin

# One thread: weights are the same bits on every number of cores.
QUICK := OMP_NUM_THREADS=1 $(BIN)/bench run --fraction 0.01,0.05,0.1,0.2,1.0 --seed 0,1,2 --resamples 200 \
	--results results/quick

TRAINED := simclr vicreg barlow_twins byol clustering supervised

.PHONY: demo test test-slurm test-lowest lint wheel figures comparison clean help

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
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[m4a,onnx,mert]' \
		|| echo "== the optional extras cannot be installed here: their tests say that they are skipped"
	@touch $@

demo: .venv/.base
	@echo "== first score: random_init, mfcc and vicreg on the embedded data set, mirrored into MLflow"
	$(BIN)/bench run --method random_init,mfcc,vicreg --fraction 0.1,1.0 --track

test: .venv/.dev
	@echo "== tests"
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --ignore tests/slurm

# One process: there is one Slurm.
test-slurm: .venv/.dev
	@echo "== tests on a real Slurm"
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/slurm

# A light part of the tests with every dependency at its lowest allowed version; torch is that of .venv.
test-lowest: .venv/.base
	@echo "== tests with the lowest versions of the dependencies"
	$(PYTHON) tests/lowest.py --torch-of $(BIN)/python

lint: .venv/.dev
	@echo "== style, types, import directions"
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy bench methods datasets tests
	$(BIN)/lint-imports

wheel: .venv/.dev
	@echo "== the wheel, in an environment that has never seen the checkout"
	$(BIN)/python tests/check_wheel.py

comparison: .venv/.base
	@echo "== the quick comparison: 8 methods, 3 seeds, 5 fractions; supervised trains anew on each labelled set"
	$(QUICK) --method random_init,mfcc,simclr,vicreg,barlow_twins,byol,clustering --draws 4
	$(QUICK) --method supervised --draws 1
	OMP_NUM_THREADS=1 $(BIN)/bench robustness --results results/quick \
		$(foreach method,$(TRAINED) random_init,$(method)-resnet_small-midiband-f1-d0-s0) mfcc-mfcc-midiband-f1-d0-s0
	$(MAKE) figures

figures: .venv/.base
	@echo "== figures and tables of the committed results"
	$(BIN)/bench figures --all --results results/quick --out results/figures --format png
	$(BIN)/bench table --results results/quick --format markdown --out results/figures/scores.md

clean:
	@echo "== removing .venv, .bench, caches and the demo's database; results/runs stays"
	rm -rf .venv .venv-lowest .bench build dist *.egg-info mlflow.db mlflow.db.lock mlruns mlartifacts .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
