"""Stage `rlvr`: reinforcement learning with verified rewards on a few problems, with TRL's GRPOTrainer."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from warmup_rl.base.config import Sampling
from warmup_rl.base.errors import UserError
from warmup_rl.base.types import Problem
from warmup_rl.interfaces import chat as contract
from warmup_rl.interfaces.domain import Domain
from warmup_rl.interfaces.evaluation import EvaluationSettings
from warmup_rl.interfaces.stage import Context, DataRequest, Stage, StagePreview
from warmup_rl.stages.training import trainer_config as options
from warmup_rl.stages.training.lora import adapter_config
from warmup_rl.stages.training.prompt_schedule import prompt_plan, use_counts
from warmup_rl.stages.training.rank_files import RankFiles
from warmup_rl.stages.training.rewards import (
    Reward,
    Rewarder,
    mean_reward,
    require_sound_golds,
    training_flops,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, TrainerCallback

    from warmup_rl.stages.training.grpo import PlannedGRPOTrainer

MOST_PROBLEMS = 100


@dataclass(frozen=True)
class _Task:
    """What a run trains on: problems and their prompts in the order of the plan's indices."""

    domain: Domain
    problems: Sequence[Problem]
    prompts: Sequence[str]
    prompt_lengths: Sequence[int]
    chat: contract.ChatContract


class Rlvr(Stage):
    """Trains the model on problems of one domain, each used equally often, rewarded by the domain's own grader."""

    type: ClassVar[str] = "rlvr"
    role: ClassVar[str] = "target"
    inputs: ClassVar[frozenset[Any]] = frozenset({"model"})
    outputs: ClassVar[frozenset[Any]] = frozenset({"model"})
    every_rank: ClassVar[bool] = True
    measures: ClassVar[bool] = True
    trainer_config: ClassVar[str] = "trl:GRPOConfig"
    owned_options: ClassVar[Mapping[str, str]] = {
        **options.OWNED,
        "gradient_accumulation_steps": "it follows from `prompts_per_step`, `generations` and the number of processes",
        "num_train_epochs": "steps",
        "max_steps": "steps",
        "steps_per_generation": "updates_per_step",
        "generation_batch_size": "use `prompts_per_step` and `generations`",
        "num_generations": "generations",
        "max_completion_length": "sampling.max_tokens",
        "temperature": "sampling.temperature",
        "top_p": "sampling.top_p",
        "top_k": "sampling.top_k",
        "shuffle_dataset": "the plan of prompts decides",
        "reward_weights": "reward",
        "chat_template_kwargs": "the chat contract decides",
    }

    domain: str
    """Name of the target domain."""
    problems: Annotated[int, Field(gt=0)] | Literal["all"] = MOST_PROBLEMS
    """Training problems: a number, or `all` that a data set has for training."""
    allow_more: bool = False
    """Permits more than 100 problems: the method is about few."""
    steps: int = Field(gt=0)
    """Batches of rollouts drawn and trained on."""
    prompts_per_step: int = Field(default=16, gt=0)
    """Problems a step, over all processes."""
    generations: int = Field(default=8, ge=2)
    """Rollouts of each prompt."""
    updates_per_step: int = Field(default=1, gt=0)
    """Optimizer steps that a step's rollouts are split into; more than 1 trains off-policy."""
    sampling: Sampling = Field(default_factory=lambda: Sampling(temperature=1.0))
    """How rollouts are drawn; temperature 1 where not given."""
    reward: Reward | None = None
    """A number for every outcome; where not given, the domain's own table: the paper's (arXiv 2505.13718) for its
    domains, 1 for a correct answer and else 0 for generated ones."""
    lora: dict[str, Any] | None = None
    """Options of peft's LoraConfig, merged when the stage ends; all weights are trained where not given."""
    args: dict[str, Any] = Field(default_factory=dict)
    """Any option of TRL's GRPOConfig. `per_device_train_batch_size` is the largest micro batch."""

    @field_validator("sampling", mode="before")
    @classmethod
    def _drawn_at_one(cls, given: Any) -> Any:
        return {"temperature": 1.0, **given} if isinstance(given, dict) else given

    @property
    def rollouts_per_step(self) -> int:
        return self.prompts_per_step * self.generations

    def domains_used(self, evaluation: EvaluationSettings, domains: Collection[str]) -> tuple[str, ...]:
        return (self.domain,)

    def data_requests(self, evaluation: EvaluationSettings, domains: Collection[str]) -> Iterable[DataRequest]:
        yield self._draw
        if evaluation.every:
            count, key = evaluation.curve_problems, "evaluation.curve_problems"
            yield DataRequest(self.domain, "test", count, key, evaluation.seed, use="curve")

    @property
    def _draw(self) -> DataRequest:
        most = sys.maxsize if self.allow_more else MOST_PROBLEMS
        count = most if self.problems == "all" else self.problems
        return DataRequest(self.domain, "train", count, "problems", whole=self.problems == "all")

    def check(self, *, world_size: int) -> list[str]:
        wrong = []
        if self.problems != "all" and self.problems > MOST_PROBLEMS and not self.allow_more:
            wrong.append(
                f"problems: at most {MOST_PROBLEMS} RLVR problems (got {self.problems}). Take {MOST_PROBLEMS}, or add "
                "'allow_more: true' to this stage if more are meant."
            )
        if self.sampling.temperature == 0:
            wrong.append("sampling.temperature: 0 draws the same rollout every time. Give a number above 0.")
        if self.sampling.samples != 1:
            wrong.append(f"sampling.samples: use `generations` instead (now {self.generations}).")
        if self.rollouts_per_step % self.updates_per_step:
            wrong.append(
                f"updates_per_step: {self.updates_per_step} does not divide prompts_per_step × generations = "
                f"{self.rollouts_per_step}."
            )
        else:
            wrong += options.wrong_batch(self.rollouts_per_step // self.updates_per_step, world_size, _BATCH)
        return wrong

    def last_step(self) -> int:
        return self.steps

    def preview(self, evaluation: EvaluationSettings, domains: Mapping[str, Domain]) -> StagePreview:
        domain = domains.get(self.domain)
        count = self.problems if self.problems != "all" else (domain and domain.rows_in("train")) or 1
        uses = use_counts(self._plan(count, seed=0), count)
        notes = []
        if self.args.get("loss_type") == "cispo" and "epsilon_high" not in self.args:
            notes.append("args.loss_type: cispo cuts weights at epsilon_high itself (now 0.2); its paper has 5.0.")
        if 0 in uses:
            notes.append(f"{uses.count(0)} of {count} problems are never used: raise steps.")
        return StagePreview(
            {
                "problems": count,
                "steps": self.steps,
                "uses of a prompt": f"{min(uses)}" if min(uses) == max(uses) else f"{min(uses)}-{max(uses)}",
                **({"reward": self._reward(domain).told()} if domain else {}),
                "rollouts": self.steps * self.rollouts_per_step,
                "generated tokens, at most": self.steps * self.rollouts_per_step * self.sampling.max_tokens,
            },
            tuple(notes),
        )

    def _reward(self, domain: Domain) -> Reward:
        return self.reward or Reward.model_validate(domain.REWARDS)

    def prepare(self, context: Context) -> None:
        from warmup_rl.stages.training.tracking import clean_up

        domain = context.domains[self.domain]
        require_sound_golds(domain, list(self._draw.problems(domain, context.seed)))
        if context.evaluation.every:
            domain.take("test", context.evaluation.seed, context.evaluation.curve_problems)
        self._options(context)
        adapter_config(self.lora)
        clean_up()

    def run(self, context: Context) -> dict[str, Any]:
        from warmup_rl.stages.training.tracking import training

        assert context.inputs.model is not None
        chat = contract.check(context.inputs.model, context.response_format, context.inputs.model_revision)
        tokenizer = contract.load_tokenizer(context.inputs.model, context.inputs.model_revision)
        task = self._task(context, tokenizer, chat)
        with training(context):
            return self._train(context, tokenizer, task)

    def _task(self, context: Context, tokenizer: PreTrainedTokenizerBase, chat: contract.ChatContract) -> _Task:
        domain = context.domains[self.domain]
        problems = list(self._draw.problems(domain, context.seed))
        layout = context.response_format
        prompts = [contract.render_prompt(tokenizer, domain.prompt(problem), layout) for problem in problems]
        lengths = [len(ids) for ids in tokenizer(prompts).input_ids]
        return _Task(domain, problems, prompts, lengths, chat)

    def _train(self, context: Context, tokenizer: PreTrainedTokenizerBase, task: _Task) -> dict[str, Any]:
        from warmup_rl.stages.training.saving import parameter_count, require_finished, save

        config = self._options(context)
        each = self.updates_per_step * config.num_iterations
        parts = RankFiles(context.folder / "rollouts.jsonl", context.launch_env)
        rewarder = Rewarder(
            context,
            task.domain,
            task.problems,
            task.prompt_lengths,
            self._reward(task.domain),
            generations=self.generations,
            steps_each=each,
            stop_ids=task.chat.stop_ids,
            parts=parts,
        )
        plan_SP = self._plan(len(task.problems), context.seed)
        trainer = self._trainer(context, tokenizer, task, config, rewarder, plan_SP)
        trainer.train()
        parts.close()
        require_finished(trainer, self.steps * each)
        parameters = parameter_count(trainer.model)
        save(trainer, context, tokenizer)
        if not context.launch_env.is_main:
            return {}
        parts.merge(order=lambda row: (row["step"], row["place"]))
        return self._summary(context, task, plan_SP, parameters, config.num_iterations)

    def _trainer(
        self,
        context: Context,
        tokenizer: PreTrainedTokenizerBase,
        task: _Task,
        config: Any,
        rewarder: Rewarder,
        plan_SP: list[list[int]],
    ) -> PlannedGRPOTrainer:
        from datasets import Dataset
        from transformers import PrinterCallback

        from warmup_rl.stages.training.callbacks import Progress, describe_rollouts
        from warmup_rl.stages.training.curve import Curve
        from warmup_rl.stages.training.grpo import PlannedGRPOTrainer
        from warmup_rl.stages.training.health import Health

        each = self.updates_per_step * config.num_iterations
        curve = None
        if context.evaluation.every:
            curve = Curve(context, task.domain, rewarder, steps_each=each)
        describe = describe_rollouts(curve.points if curve else {})
        callbacks: list[TrainerCallback] = [Progress(context, describe, steps_each=each), Health(context)]
        trainer = PlannedGRPOTrainer(
            model=str(context.inputs.model),
            reward_funcs=rewarder,
            args=config,
            train_dataset=Dataset.from_dict({"prompt": list(task.prompts), "index": list(range(len(task.prompts)))}),
            processing_class=tokenizer,
            peft_config=adapter_config(self.lora),
            callbacks=[curve, *callbacks] if curve else callbacks,
        )
        trainer.remove_callback(PrinterCallback)
        trainer.plan_SP = plan_SP
        trainer.bind(task.chat)
        self._require_room(trainer, task)
        if curve:
            curve.trainer = trainer
        return trainer

    def _options(self, context: Context) -> Any:
        from trl import GRPOConfig

        batch = options.split_batch(
            self.rollouts_per_step // self.updates_per_step,
            context.launch_env,
            largest=self.args.get("per_device_train_batch_size"),
            says=f"{context.stage_id}: {_BATCH}",
        )
        return options.trainer_options(
            GRPOConfig,
            self.args,
            context,
            batch,
            max_steps=self.steps * self.updates_per_step * self.args.get("num_iterations", 1),
            steps_per_generation=batch.accumulation * self.updates_per_step,
            num_generations=self.generations,
            max_completion_length=self.sampling.max_tokens,
            temperature=self.sampling.temperature,
            top_p=self.sampling.top_p,
            top_k=self.sampling.top_k,
        )

    def _plan(self, problems: int, seed: int) -> list[list[int]]:
        return prompt_plan(problems=problems, prompts_per_step=self.prompts_per_step, steps=self.steps, seed=seed)

    def _require_room(self, trainer: PlannedGRPOTrainer, task: _Task) -> None:
        limit = getattr(trainer.model.config.get_text_config(), "max_position_embeddings", None)
        longest = max(task.prompt_lengths)
        if limit is not None and longest + self.sampling.max_tokens > limit:
            raise UserError(
                f"sampling.max_tokens: the longest prompt has {longest} tokens and the completion budget is "
                f"{self.sampling.max_tokens}, more than the model's context of {limit}. Set at most {limit - longest}."
            )

    def _summary(
        self, context: Context, task: _Task, plan_SP: list[list[int]], parameters: int, iterations: int
    ) -> dict[str, Any]:
        from warmup_rl.base.jsonl import read_jsonl

        rows = list(read_jsonl(context.folder / "rollouts.jsonl"))
        lengths = {problem.id: length for problem, length in zip(task.problems, task.prompt_lengths, strict=True)}
        generated = sum(row["tokens"] for row in rows)
        prompts = sum(lengths[row["problem_id"]] for row in rows)
        uses = use_counts(plan_SP, len(task.problems))
        return {
            "domain": self.domain,
            "problems": len(task.problems),
            "steps": self.steps,
            "rollouts": len(rows),
            "unscorable": sum(row["score"] is None for row in rows),
            "generated_tokens": generated,
            "prompt_tokens": prompts,
            "parameters": parameters,
            "flops": training_flops(parameters, generated + prompts, iterations),
            "prompt_uses": {"min": min(uses), "max": max(uses)},
            "first_reward": mean_reward(rows, 1),
            "last_reward": mean_reward(rows, self.steps),
        }


_BATCH = "prompts_per_step × generations / updates_per_step"
