"""SFT and RLVR on a tiny model in one process: what is trained, what is kept, and that measuring disturbs nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from statistics import fmean, pvariance
from types import SimpleNamespace
from typing import Any

import pytest

from tests.tiny import Adding, tiny_model, tiny_tokenizer
from tests.training_case import DOMAIN, FORMAT, RLVR, SFT, case, context, losses
from warmup_rl.base.errors import RunError, Unscorable, UserError
from warmup_rl.base.jsonl import read_json, read_jsonl, write_json
from warmup_rl.base.types import Grade, Problem, Score, Split, Trace, trace_from_json
from warmup_rl.data.ranks import RankFiles
from warmup_rl.interfaces import chat as contract
from warmup_rl.interfaces.evaluation import EvaluationSettings
from warmup_rl.interfaces.plugins import build
from warmup_rl.interfaces.stage import SCRATCH, Artifacts
from warmup_rl.stages.evaluate import Evaluate
from warmup_rl.stages.rlvr import Rlvr
from warmup_rl.stages.sft import IGNORED, Sft, encode, require_supervised_end
from warmup_rl.stages.training import evaluator
from warmup_rl.stages.training.prompt_plan import prompt_plan
from warmup_rl.stages.training.rewards import Reward
from warmup_rl.stages.training.saving import check_saved


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the case's data and the model after SFT in `sft/`."""
    folder = case(tmp_path_factory.mktemp("case"))
    SFT.run(context(folder, "sft", folder / "base"))
    return folder


@pytest.fixture(scope="module")
def trained(warm: Path) -> dict[str, Any]:
    """RLVR with the curve, run once: the summary, the folder, and what was said."""
    said: list[str] = []
    given = context(warm, "rlvr", warm / "sft" / "model", say=said.append)
    RLVR.prepare(given)
    return {"summary": RLVR.run(given), "folder": given.folder, "said": said}


def a_trace() -> Trace:
    problem = next(DOMAIN.problems("train", 0))
    return Trace(problem.id, "adding", DOMAIN.prompt(problem), "so 7", "7", Score("correct", "7", True), "test")


# Supervised training


def test_the_loss_is_on_completion_and_end_token_alone() -> None:
    tokenizer = contract.fit_tokenizer(tiny_tokenizer())
    example = encode(tokenizer, a_trace(), FORMAT)
    prompt_ids = tokenizer(contract.render_prompt(tokenizer, a_trace().messages, FORMAT)).input_ids
    trained_ids = [label for label in example["labels"] if label != IGNORED]
    assert example["input_ids"] == prompt_ids + trained_ids
    assert tokenizer.decode(trained_ids) == "so 7 </think> <answer> 7 </answer> <|end|>"


def test_an_end_token_without_loss_is_refused() -> None:
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    tokenizer = contract.fit_tokenizer(tiny_tokenizer())
    good = encode(tokenizer, a_trace(), FORMAT)
    bad = {"input_ids": good["input_ids"][:-1], "labels": good["labels"][:-1]}
    for rows, ends in (([good, good], True), ([good, bad], False)):
        trainer: Any = SimpleNamespace(
            train_dataset=rows, data_collator=DataCollatorForLanguageModeling(tokenizer.pad_token_id)
        )
        if ends:
            require_supervised_end(trainer, tokenizer)
        else:
            with pytest.raises(RunError, match="end token"):
                require_supervised_end(trainer, tokenizer)


def test_sft_learns_the_layout_and_to_stop(warm: Path) -> None:
    from warmup_rl.base.config import Sampling
    from warmup_rl.engines.hf import load_model
    from warmup_rl.stages.training.evaluator import complete_and_score

    logged = losses(warm / "sft" / "log.jsonl")
    assert len(logged) == 16 and logged[-1] < logged[0] / 3
    model = load_model(str(warm / "sft" / "model"))
    rows = complete_and_score(
        model,
        contract.load_tokenizer(warm / "sft" / "model"),
        [(problem, 0) for problem in DOMAIN.take("test", 0, 5)],
        {"adding": DOMAIN},
        FORMAT,
        Sampling(max_tokens=12),
        batch_size=8,
        seed=0,
    )
    rows = list(rows)
    assert not any(row["truncated"] for row in rows)
    assert all(row["score"]["well_formed"] for row in rows)


def test_sft_leaves_a_plain_model_folder_that_keeps_its_contract(warm: Path) -> None:
    folder = warm / "sft"
    contract.check(folder / "model", FORMAT)
    assert {path.name for path in folder.iterdir()} == {"model", "log.jsonl", SCRATCH}
    assert not list((folder / "model").glob("*.bin"))


def test_traces_over_the_limit_are_counted_and_too_many_are_refused(warm: Path) -> None:
    said: list[str] = []
    given = context(warm, "short", warm / "base", say=said.append)
    tokenizer = contract.load_tokenizer(warm / "base")
    traces = [trace_from_json(row) for row in read_jsonl(warm / "traces.jsonl")]
    examples = [encode(tokenizer, trace, FORMAT) for trace in traces]
    longest = max(len(example["input_ids"]) for example in examples)
    with pytest.raises(UserError, match=f"32 of 32 traces are longer than {longest - 1}"):
        Sft(max_tokens=longest - 1).run(given)
    longer = {key: ids + [0] for key, ids in examples[0].items()}
    assert len(Sft(id="sft")._fitting([longer, *examples], longest, given)) == 32
    assert said == [f"1 of 33 traces are longer than {longest} tokens and left out"]


def test_packing_keeps_the_number_of_traces_a_step(warm: Path) -> None:
    said: list[str] = []
    stage = Sft(id="packed", batch_size=8, args={"packing": True, "learning_rate": 1e-3})
    summary = stage.run(context(warm, "packed", warm / "base", say=said.append))
    assert summary["examples"] == 32 and summary["steps"] in (4, 5)
    assert said[0].startswith("packing: 32 traces in ")


@pytest.mark.parametrize("half", ["fp16", "bf16"])
def test_a_half_type_that_the_device_does_not_compute_in_is_named_before_training(warm: Path, half: str) -> None:
    said: list[str] = []
    update = {"steps": 1, "args": {**SFT.args, half: True}}
    SFT.model_copy(update=update).run(context(warm, half, warm / "base", say=said.append))
    named = [line for line in said if "float32" in line]
    expected = "args.fp16 has no effect on a cpu: trains in float32. args.bf16 has one there."
    assert named == ([expected] if half == "fp16" else []) and said[: len(named)] == named


def test_an_adapter_is_merged_into_an_ordinary_model(warm: Path) -> None:
    import torch
    from safetensors.torch import load_file

    stage = Sft(id="adapted", batch_size=8, lora={"r": 4, "lora_alpha": 8}, args={"learning_rate": 1e-2})
    given = context(warm, "adapted", warm / "base")
    stage.run(given)
    before, after = (load_file(folder / "model.safetensors") for folder in (warm / "base", given.model_folder))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert before.keys() == after.keys()
    assert changed == {name for name in before if name.endswith("_proj.weight")}


@pytest.mark.parametrize("kind", ["adapter", "model"])
def test_rollouts_are_drawn_without_dropout(warm: Path, kind: str) -> None:
    found = {}
    for dropout in (0.0, 0.5):
        base = tiny_model(warm / f"dropout-{dropout}")
        config = read_json(base / "config.json")
        write_json(base / "config.json", {**config, "attention_dropout": dropout if kind == "model" else 0.0})
        given = context(warm, f"{kind}-{dropout}", base, every=0)
        lora = {"r": 4, "lora_dropout": dropout, "init_lora_weights": False} if kind == "adapter" else None
        RLVR.model_copy(update={"steps": 1, "lora": lora, "args": {"learning_rate": 0.0}}).run(given)
        found[dropout] = [row["text"] for row in read_jsonl(given.folder / "rollouts.jsonl")]
    assert found[0.0] == found[0.5]


class OneSplit(Adding):
    """The same problems in every split."""

    def problems(self, split: Split, seed: int) -> Iterator[Problem]:
        return super().problems("train", 0)


@pytest.fixture(scope="module")
def able(warm: Path) -> Path:
    """A model that is right in about half of its samples, and far less often with its dropout."""
    given = context(warm, "able", warm / "base")
    SFT.model_copy(update={"epochs": 20}).run(given)
    config = given.model_folder / "config.json"
    write_json(config, {**read_json(config), "attention_dropout": 0.3})
    return given.model_folder


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_at_learning_rate_0_rollouts_are_as_good_as_a_sampled_evaluation(
    warm: Path, able: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same model, prompts, temperature and budget, 1,280 completions each, within four standard errors of the
    difference of two means (for a share the binomial one). Drawn in train mode, rollouts are far from it."""
    problems, steps, generations = 10, 4, 32
    sampling = RLVR.sampling.model_copy(update={"samples": steps * generations})
    settings = {"problems": problems, "samplings": {"sampled": sampling}, "headline": "sampled"}
    given = replace(
        context(warm, f"rate-0-{mode}", able),
        domains={"adding": OneSplit(name="adding", below=10)},
        evaluation=EvaluationSettings.model_validate({**settings, "batch_size": 320}),
    )
    drawn = {"steps": steps, "prompts_per_step": problems, "generations": generations}
    with monkeypatch.context() as patch:
        if mode == "train":
            patch.setattr(evaluator, "evaluating", lambda model: nullcontext())
        RLVR.model_copy(update={**drawn, "args": {"learning_rate": 0.0, "beta": 0.0}}).run(given)
    Evaluate().run(replace(given, inputs=Artifacts(model=str(given.model_folder))))
    rollouts, measured = ([*read_jsonl(given.folder / name)] for name in ("rollouts.jsonl", "completions.jsonl"))
    prompts = [Counter(row["problem_id"] for row in rows) for rows in (rollouts, measured)]
    assert prompts[0] == prompts[1] and set(prompts[0].values()) == {steps * generations}

    def apart(value: Callable[[dict[str, Any]], float]) -> float:
        """Difference of the means in standard errors."""
        ours, theirs = [*map(value, rollouts)], [*map(value, measured)]
        error = (pvariance(ours + theirs) * (1 / len(ours) + 1 / len(theirs))) ** 0.5
        return abs(fmean(ours) - fmean(theirs)) / error

    right = apart(lambda row: row["score"]["verdict"] == "correct")
    others = [apart(lambda row: row["score"]["well_formed"]), apart(lambda row: row["tokens"])]
    assert 0.4 < fmean(row["score"]["verdict"] == "correct" for row in measured) < 0.8
    assert max(right, *others) < 4 if mode == "eval" else right > 10


def test_an_unknown_adapter_option_is_refused(warm: Path) -> None:
    with pytest.raises(UserError, match="lora: .*rnk"):
        Sft(id="sft", lora={"rnk": 4}).prepare(context(warm, "refused", warm / "base"))


def test_a_loss_that_is_no_number_ends_the_training(warm: Path) -> None:
    stage = Sft(id="broken", batch_size=8, epochs=3, args={"learning_rate": 1e30, "max_grad_norm": 0.0})
    with pytest.raises(RunError, match="learning_rate"):
        stage.run(context(warm, "broken", warm / "base"))


def test_a_saved_model_with_a_missing_or_infinite_weight_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = case(tmp_path) / "base"
    weights = load_file(folder / "model.safetensors")
    check_saved(folder)
    kept = dict(weights)
    name, tensor = kept.popitem()
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(RunError, match="missing"):
        check_saved(folder)
    save_file({**kept, name: tensor * float("inf")}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(RunError, match="not finite"):
        check_saved(folder)


def test_a_mixture_of_experts_is_saved_with_an_expert_each(tmp_path: Path) -> None:
    """Its experts are one tensor in memory and many in the file."""
    from safetensors.torch import load_file, save_file
    from transformers import AutoConfig, AutoModelForCausalLM

    shape = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "head_dim": 8}
    experts = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "num_key_value_heads": 2}
    config = AutoConfig.for_model("qwen3_moe", **shape, **experts)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    check_saved(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["model.layers.0.mlp.experts.2.down_proj.weight"]
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(RunError, match="incomplete: mismatched .*experts"):
        check_saved(tmp_path)


# Reinforcement learning


def test_rollouts_follow_the_plan(trained: dict[str, Any]) -> None:
    rows = list(read_jsonl(trained["folder"] / "rollouts.jsonl"))
    ids = [problem.id for problem in DOMAIN.take("train", 3, 10)]
    plan_SP = prompt_plan(problems=10, prompts_per_step=4, steps=4, seed=3)
    wanted = [
        (step, ids[index], sample) for step, held in enumerate(plan_SP, 1) for index in held for sample in range(4)
    ]
    assert [(row["step"], row["problem_id"], row["sample"]) for row in rows] == wanted
    assert trained["summary"]["prompt_uses"] == {"min": 1, "max": 2}


def test_every_rollout_has_the_reward_of_its_score(trained: dict[str, Any]) -> None:
    rows = list(read_jsonl(trained["folder"] / "rollouts.jsonl"))
    problems = {problem.id: problem for problem in DOMAIN.take("train", 3, 10)}
    for row in rows:
        score = DOMAIN.score(row["text"], problems[row["problem_id"]], FORMAT)
        assert row["score"]["outcome"] == score.outcome
        assert row["reward"] == (1.0 if score.verdict == "correct" else 0.0)
        assert row["tokens"] <= 12 and (row["tokens"] == 12 or not row["truncated"])
    summary = trained["summary"]
    assert summary["rollouts"] == 64 and summary["generated_tokens"] == sum(row["tokens"] for row in rows)


def test_rewards_move_the_weights(warm: Path, trained: dict[str, Any]) -> None:
    import torch
    from safetensors.torch import load_file

    before, after = (load_file(folder / "model" / "model.safetensors") for folder in (warm / "sft", trained["folder"]))
    assert not torch.equal(before["model.embed_tokens.weight"], after["model.embed_tokens.weight"])
    contract.check(trained["folder"] / "model", FORMAT)


def test_the_log_has_every_step_and_the_rewards_of_the_rollouts(trained: dict[str, Any]) -> None:
    log = [row for row in read_jsonl(trained["folder"] / "log.jsonl") if "reward" in row]
    rows = list(read_jsonl(trained["folder"] / "rollouts.jsonl"))
    assert [row["step"] for row in log] == [1, 2, 3, 4]
    for logged in log:
        rewards = [row["reward"] for row in rows if row["step"] == logged["step"]]
        assert logged["reward"] == pytest.approx(sum(rewards) / len(rewards))
    assert any(row["grad_norm"] > 0 for row in log)
    assert trained["said"][-1].startswith("step 4/4  reward")


def test_the_curve_has_the_first_the_last_and_every_second_step(trained: dict[str, Any]) -> None:
    curve = list(read_jsonl(trained["folder"] / "curve.jsonl"))
    assert [row["step"] for row in curve] == [0, 2, 4]
    assert [row["rollouts"] for row in curve] == [0, 32, 64]
    assert curve[0]["flops"] == 0 and curve[-1]["flops"] == trained["summary"]["flops"]
    kept = Counter(row["step"] for row in read_jsonl(trained["folder"] / "curve_completions.jsonl"))
    assert kept == {0: 5, 2: 5, 4: 5}


def test_a_run_with_the_curve_has_the_rollouts_of_one_without(warm: Path, trained: dict[str, Any]) -> None:
    given = context(warm, "no-curve", warm / "sft" / "model", every=0)
    RLVR.run(given)
    assert not (given.folder / "curve.jsonl").exists()
    assert (given.folder / "rollouts.jsonl").read_text() == (trained["folder"] / "rollouts.jsonl").read_text()


def test_a_step_split_into_several_updates_is_one_step_of_rollouts(warm: Path) -> None:
    stage = RLVR.model_copy(update={"steps": 2, "updates_per_step": 2, "args": {**RLVR.args, "num_iterations": 2}})
    given = context(warm, "updates", warm / "sft" / "model", every=1)
    summary = stage.run(given)
    assert summary["rollouts"] == 32 and summary["prompt_uses"] == {"min": 0, "max": 1}
    assert Counter(row["step"] for row in read_jsonl(given.folder / "rollouts.jsonl")) == {1: 16, 2: 16}
    assert [row["step"] for row in read_jsonl(given.folder / "curve.jsonl")] == [0, 1, 2]
    assert len(losses(given.folder / "log.jsonl")) == 8


class Fragile(Adding):
    """A domain whose verifier breaks on some answers."""

    def grade(self, answer: str, problem: Problem) -> Grade:
        if answer.isdigit() and int(answer) % 2 and answer != problem.gold:
            raise Unscorable("odd")
        return super().grade(answer, problem)


class Mistaken(Adding):
    """A domain whose reference answers are wrong."""

    def reference(self, problem: Problem) -> str:
        return "99"


def with_domain(given: Any, domain: Adding) -> Any:
    import dataclasses

    return dataclasses.replace(given, domains={"adding": domain})


def test_rollouts_that_cannot_be_scored_are_kept_without_a_reward(warm: Path) -> None:
    said: list[str] = []
    given = context(warm, "fragile", warm / "sft" / "model", every=0, say=said.append)
    stage = RLVR.model_copy(update={"steps": 2})
    summary = stage.run(with_domain(given, Fragile(name="adding", below=10)))
    rows = list(read_jsonl(given.folder / "rollouts.jsonl"))
    broken = [row for row in rows if row["score"] is None]
    assert broken and summary["unscorable"] == len(broken)
    assert all(row["reward"] is None and row["unscorable"] == "odd" for row in broken)
    assert sum("the grader failed" in line for line in said) == 1


def test_reference_answers_that_grade_wrong_are_refused_before_training(warm: Path) -> None:
    given = with_domain(context(warm, "mistaken", warm / "sft" / "model"), Mistaken(name="adding", below=10))
    with pytest.raises(UserError, match="reference answers of 10 of 10"):
        RLVR.prepare(given)


def test_a_completion_budget_that_does_not_fit_the_model_is_refused(warm: Path) -> None:
    stage = Rlvr(id="rlvr", domain="adding", problems=4, steps=1, prompts_per_step=2, sampling={"max_tokens": 4000})
    with pytest.raises(UserError, match="sampling.max_tokens"):
        stage.run(context(warm, "roomless", warm / "sft" / "model"))


OUTCOMES = [
    ("right, in form", Score("correct", "1", True), 2.0, 2.0),
    ("right, out of form", Score("correct", "1", False), 2.0, -2.0),
    ("wrong, in form", Score("wrong", "1", True), -0.5, -0.5),
    ("nothing found", Score("none", None, True), -1.0, -1.0),
    ("nothing found, out of form", Score("none", None, False), -1.0, -2.0),
    ("verifier out of time", Score("timeout", "1", True), 0.0, 0.0),
]


@pytest.mark.parametrize(("case_", "score", "ignored", "required"), OUTCOMES, ids=[row[0] for row in OUTCOMES])
def test_the_reward_table_reads_form_only_where_required(
    case_: str, score: Score, ignored: float, required: float
) -> None:
    table = {"correct": 2.0, "wrong": -0.5, "no_answer": -1.0}
    assert Reward.model_validate(table).of(score) == ignored
    assert Reward.model_validate({**table, "bad_format": -2.0, "form": "required"}).of(score) == required


def test_a_price_on_form_that_is_ignored_is_refused() -> None:
    with pytest.raises(ValueError, match="form: required"):
        Reward(bad_format=-2.0)


def test_rows_of_all_ranks_become_one_file_in_order(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    files = [RankFiles(path, rank=rank, size=2) for rank in (0, 1)]
    files[1].append([((1,), {"n": 1}), ((3,), {"n": 3})])
    files[0].append([((2,), {"n": 2})])
    files[0].close()
    with pytest.raises(RunError, match="rank1of2.jsonl: nothing was written"):
        files[0].merge(timeout=0.0)
    files[1].close()
    files[0].merge()
    assert [row["n"] for row in read_jsonl(path)] == [1, 2, 3]
    assert list(tmp_path.iterdir()) == [path]


def test_rows_of_a_launch_of_another_size_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    for rank, places in ((0, (0, 2)), (1, (1,))):
        RankFiles(path, rank=rank, size=2).append([((place,), {"n": place}) for place in places])
    with (tmp_path / "rows.rank1of2.jsonl").open("a") as torn:
        torn.write('{"place": [3], "row"')
    alone = RankFiles(path, rank=0, size=1, resume=True)
    assert alone.done() == {(0,), (1,), (2,)}
    alone.append([((3,), {"n": 3})])
    again = [RankFiles(path, rank=rank, size=2, resume=True) for rank in (0, 1)]
    assert [one.done() for one in again] == [{(0,), (2,), (3,)}, {(1,), (3,)}]
    for one in again:
        one.close()
    again[0].merge()
    assert [row["n"] for row in read_jsonl(path)] == [0, 1, 2, 3] and list(tmp_path.iterdir()) == [path]
    RankFiles(path, rank=0, size=2).append([((0,), {"n": 0})])
    assert RankFiles(path, rank=0, size=1).done() == set(), "rows of a run that is not resumed"


def test_the_reward_follows_the_lenient_verdict_unless_the_papers_table_is_asked_for() -> None:
    from warmup_rl.domains.kk import KnightsKnaves
    from warmup_rl.nano.sums import Sums

    untagged = Score("correct", "7", False)
    stage = {"type": "rlvr", "domain": "kk", "steps": 1}
    assert build("stage", stage)._reward(KnightsKnaves()).of(untagged) == 1.0
    paper = build("stage", {**stage, "reward": "paper"})
    assert paper._reward(KnightsKnaves()).of(untagged) == -2.0
    assert "bad_format -2" in paper.preview(EvaluationSettings(), {"kk": KnightsKnaves()}).counts["reward"]
    assert isinstance(paper, Rlvr) and paper._reward(Sums()) == Reward()
