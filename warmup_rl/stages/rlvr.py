"""Stage `rlvr`: reinforcement learning with verified rewards on a few problems, with TRL's GRPOTrainer."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from warmup_rl.base.config import Sampling, runtime_only
from warmup_rl.base.errors import UserError
from warmup_rl.base.jsonl import read_json, read_jsonl, write_jsonl
from warmup_rl.base.models import read_tags
from warmup_rl.base.types import Problem
from warmup_rl.data.ranks import RankFiles
from warmup_rl.interfaces import chat
from warmup_rl.interfaces.domain import Domain
from warmup_rl.interfaces.evaluation import EvaluationSettings
from warmup_rl.interfaces.format import STYLES
from warmup_rl.interfaces.stage import SCRATCH, Context, DataRequest, StagePreview
from warmup_rl.stages.training.base import OWNED, TrainerStage
from warmup_rl.stages.training.checkpoints import checkpoints
from warmup_rl.stages.training.memory import Load
from warmup_rl.stages.training.options import Batch
from warmup_rl.stages.training.preflight import Together, context_length, low_adapter_rate
from warmup_rl.stages.training.prompt_plan import prompt_plan, use_counts
from warmup_rl.stages.training.rewards import Reward, Rewarder, Task, mean_reward, require_sound_golds
from warmup_rl.stages.training.vllm_rollouts import OWNED_VLLM, VllmRollouts, model_options

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from warmup_rl.stages.training.grpo import PlannedGRPOTrainer

MOST_PROBLEMS = 100
_LARGEST_ON_CPU = 32
TRAINER = "warmup_rl.stages.training.grpo:PlannedGRPOTrainer"
SELECTIONS = {
    "active": "warmup_rl_extras.selection:Active",
    "frontier": "warmup_rl_extras.selection:Frontier",
}
"""What prompts are chosen by while training, other than the prompt schedule."""
PASS_RATES = "pass_rates.jsonl"
"""File of a finished stage: how often each problem was drawn and solved."""


class Rlvr(TrainerStage):
    """Trains the model on problems of one domain, each used equally often, rewarded by the domain's own grader."""

    type: ClassVar[str] = "rlvr"
    role: ClassVar[str] = "target"
    measures: ClassVar[bool] = True
    trainer_config: ClassVar[str] = "trl:GRPOConfig"
    batch_key: ClassVar[str] = "prompts_per_step × generations / updates_per_step"
    owned_options: ClassVar[Mapping[str, str]] = {
        **OWNED,
        **OWNED_VLLM,
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
        "shuffle_dataset": "the prompt schedule decides",
        "reward_weights": "reward",
        "chat_template_kwargs": "the chat contract decides",
    }

    domain: str
    """Name of the target domain."""
    problems: Annotated[int, Field(gt=0)] | Literal["all"] = MOST_PROBLEMS
    """Number of training problems, or `all` training problems of a data set."""
    allow_more: bool = False
    """Allow more than 100 problems; the method is meant for few."""
    steps: int = Field(gt=0)
    """Number of batches of rollouts."""
    prompts_per_step: int = Field(default=16, gt=0)
    """Problems per step, over all processes."""
    generations: int = Field(default=8, ge=2)
    """Rollouts per prompt."""
    updates_per_step: int = Field(default=1, gt=0)
    """Optimizer steps per batch of rollouts; more than 1 trains off-policy."""
    sampling: Sampling = Field(default_factory=lambda: Sampling(temperature=1.0))
    """Sampling of rollouts; the default temperature is 1."""
    rollout_engine: Literal["transformers", "vllm"] = "transformers"
    """What draws the rollouts, and the completions of the curve."""
    vllm: VllmRollouts = runtime_only(VllmRollouts())
    """Where vLLM runs."""
    reward: Reward | Literal["paper"] | None = None
    """A number for every outcome; 1 for a correct answer and 0 otherwise where not given, whatever the form. `paper`:
    the table of arXiv 2505.13718 for the domain, which takes the form into account."""
    selection: Literal["all", "active", "frontier"] = "all"
    """Which problems are drawn. `all`: each equally often; `active`: groups whose rewards are all equal are replaced by
    groups of other problems, drawn in addition (DAPO); `frontier`: mostly those solved about every second time."""
    pick: Literal["random", "hard", "medium", "mixed", "paired", "variance"] | None = None
    """Takes the problems from the pool of the `triage` stage before, in this order, in place of the first ones of the
    domain; see docs/small-data.md."""
    after_harm: bool = runtime_only(default=False)
    """Train a model, too, that its warmup left below its start on all measured domains."""
    trainer: str = TRAINER
    """A variant of the algorithm: a subclass of TRL's GRPOTrainer, as ./file.py:Class or pkg.module:Class."""

    @field_validator("sampling", mode="before")
    @classmethod
    def _drawn_at_one(cls, given: Any) -> Any:
        return {"temperature": 1.0, **given} if isinstance(given, dict) else given

    @property
    def rollouts_per_step(self) -> int:
        return self.prompts_per_step * self.generations

    @property
    def sequences_per_update(self) -> int:
        return self.rollouts_per_step // self.updates_per_step

    @property
    def _variants(self) -> tuple[str, ...]:
        """Import strings of classes that stand before the trainer."""
        return (SELECTIONS[self.selection],) if self.selection in SELECTIONS else ()

    def required_inputs(self) -> frozenset[str]:
        return self.inputs | {"triage"} if self.pick else self.inputs

    def code(self) -> tuple[str, ...]:
        return (self.trainer, *self._variants)

    def domains_used(self, evaluation: EvaluationSettings, domains: Collection[str]) -> tuple[str, ...]:
        return (self.domain,)

    def data_requests(self, evaluation: EvaluationSettings, domains: Collection[str]) -> Iterable[DataRequest]:
        if not self.pick:  # else the triage stage has asked for the pool
            yield self._request
        if evaluation.every:
            count, key = evaluation.curve_problems, "evaluation.curve_problems"
            yield DataRequest(self.domain, "test", count, key, evaluation.seed, use="curve")

    @property
    def _request(self) -> DataRequest:
        most = sys.maxsize if self.allow_more else MOST_PROBLEMS
        count = most if self.problems == "all" else self.problems
        return DataRequest(self.domain, "train", count, "problems", whole=self.problems == "all")

    def check(self, *, world_size: int) -> list[str]:
        wrong = []
        if self.pick and self.problems == "all":
            wrong.append("problems: give a number of problems to pick from the pool.")
        if self.problems != "all" and self.problems > MOST_PROBLEMS and not self.allow_more:
            wrong.append(
                f"problems: at most {MOST_PROBLEMS} RLVR problems (got {self.problems}). Take {MOST_PROBLEMS}, or add "
                "'allow_more: true' to this stage if more are meant."
            )
        if self.sampling.temperature == 0:
            wrong.append("sampling.temperature: 0 draws the same rollout every time. Give a number above 0.")
        if self.sampling.samples != 1:
            wrong.append(f"sampling.samples: use `generations` instead (now {self.generations}).")
        module = self.trainer.rpartition(":")[0]
        if not module:
            wrong.append(f"trainer: give pkg.module:Class or ./file.py:Class (got {self.trainer!r}).")
        elif module.endswith(".py") and not Path(module).is_file():
            wrong.append(f"trainer: no such file: {module} (looked from {Path.cwd()}).")
        if self.rollout_engine == "vllm":
            wrong += self.vllm.wrong(self.args, world_size)
        if self.rollouts_per_step % self.updates_per_step:
            product = f"prompts_per_step × generations = {self.rollouts_per_step}"
            wrong.append(f"updates_per_step: {self.updates_per_step} does not divide {product}.")
            return wrong
        return wrong + super().check(world_size=world_size)

    def memory_remedies(self) -> list[str]:
        return [
            f"sampling.max_tokens: below {self.sampling.max_tokens}",
            f"generations or prompts_per_step: below {self.generations} and {self.prompts_per_step}",
        ]

    def last_step(self) -> int:
        return self.steps

    def preview(self, evaluation: EvaluationSettings, domains: Mapping[str, Domain]) -> StagePreview:
        domain = domains.get(self.domain)
        count = self.problems if self.problems != "all" else (domain and domain.rows_in("train")) or 1
        least, rest = divmod(self.steps * self.prompts_per_step, count)  # the plan uses all problems equally often
        uses = f"{least}-{least + 1}" if rest else f"{least}"
        notes = []
        if self.args.get("loss_type") == "cispo" and "epsilon_high" not in self.args:
            notes.append("args.loss_type: cispo cuts weights at epsilon_high itself (now 0.2); its paper has 5.0.")
        if self.args.get("loss_type") == "bnpo":
            notes.append(
                "args.loss_type: bnpo divides by the tokens of one device's rows, so the result depends on the number "
                "of devices. dapo divides by those of the whole step, as bnpo does on one device."
            )
        notes += low_adapter_rate(self.lora, self.args, 1e-6, 1e-5)
        if not least and rest < count and self.selection == "all":
            notes.append(f"{count - rest} of {count} problems are never used: raise steps.")
        return StagePreview(
            {
                "problems": count,
                "steps": self.steps,
                **({"pick": self.pick} if self.pick else {}),
                "uses of a prompt": f"by {self.selection}" if self.selection != "all" else uses,
                **({"reward": self._reward(domain).describe()} if domain else {}),
                "rollouts": self.steps * self.rollouts_per_step,
                "generated tokens, at most": self.steps * self.rollouts_per_step * self.sampling.max_tokens,
            },
            tuple(notes),
        )

    def _reward(self, domain: Domain) -> Reward:
        return Reward.model_validate(domain.REWARDS) if self.reward == "paper" else self.reward or Reward()

    def prepare(self, context: Context) -> None:
        domain = context.domains[self.domain]
        if self.reward == "paper" and not domain.REWARDS:
            raise UserError(
                f"{context.stage_id}.reward: the paper has no table for domain {self.domain!r} ({domain.type}). Give a "
                "number for each outcome, or leave `reward` out."
            )
        if not self.pick:
            require_sound_golds(domain, list(self._request.problems(domain, context.examples_seed)))
        if context.evaluation.every:
            domain.take("test", context.evaluation.seed, context.evaluation.curve_problems)
        self.trainer_kind()
        super().prepare(context)
        if context.inputs.model is not None:
            self._require_room(context, self._longest_prompt(context))

    def rows_together(self, options: Any) -> Together:
        return "left-padded"

    def trainer_kind(self) -> Any:
        from warmup_rl.stages.training.grpo import trainer_class

        return trainer_class(self.trainer, f"{self.id or self.type}.trainer", self._variants)

    def memory_load(self, context: Context) -> Load:
        batch, is_copied = self.batch(context), bool(self.args.get("beta")) and self.lora is None
        rollouts = 0 if self.args.get("use_vllm") else batch.micro * batch.accumulation * self.updates_per_step
        return Load(batch.micro, self._longest_prompt(context) + self.sampling.max_tokens, rollouts, is_copied)

    def _longest_prompt(self, context: Context) -> int:
        """Tokens of the longest prompt, under any style where the evaluation before decides it."""
        tokenizer = chat.load_tokenizer(str(context.inputs.model), context.inputs.model_revision)
        layout, domain = context.response_format, context.domains[self.domain]
        layouts = [layout.under(style) for style in STYLES] if layout.think == "auto" else [layout]
        prompts = [
            chat.render_prompt(tokenizer, domain.prompt(problem), one)
            for problem in self._request.problems(domain, context.examples_seed)
            for one in layouts
        ]
        return max(map(len, tokenizer(prompts).input_ids), default=0)

    def _require_room(self, context: Context, longest: int) -> None:
        limit = context_length(context)
        if limit is not None and longest + self.sampling.max_tokens > limit:
            raise UserError(
                f"{context.stage_id}.sampling.max_tokens: the longest prompt has {longest} tokens and the completion "
                f"budget is {self.sampling.max_tokens}, more than the model's context of {limit}. Set at most "
                f"{limit - longest}."
            )

    def batch(self, context: Context, largest: int | None = None) -> Batch:
        on_cpu = context.launch_env.device == "cpu"  # short and long rows apart: most of a large pass is padding
        return super().batch(context, largest or (_LARGEST_ON_CPU if on_cpu else None))

    def run(self, context: Context) -> dict[str, Any]:
        """Raises `UserError` for a model that its warmup left below its start on all measured domains."""
        harm = read_tags(str(context.inputs.model)).get("below_start")
        if harm and not self.after_harm:
            raise UserError(
                f"{context.stage_id}: the warmup has made the model worse on every measured domain ({harm}). Train it "
                "less or with a lower learning rate, choose another `keep`, or set `after_harm: true` of this stage."
            )
        return super().run(context)

    def is_control(self, context: Context) -> bool:
        reward = self._reward(context.domains[self.domain])
        return reward.control_name is not None and not reward.is_constant

    def tags(self, context: Context, summary: Mapping[str, Any]) -> dict[str, str]:
        name = self._reward(context.domains[self.domain]).control_name
        return {"control": f"{name} reward"} if name else {}

    def config(self, context: Context, **owned: Any) -> Any:
        return super().config(
            context,
            max_steps=self.steps * self.updates_per_step * self.args.get("num_iterations", 1),
            steps_per_generation=self.batch(context).accumulation * self.updates_per_step,
            num_generations=self.generations,
            max_completion_length=self.sampling.max_tokens,
            **self.sampling.model_dump(include={"temperature", "top_p", "top_k"}),
            **(self.vllm.options() if self.rollout_engine == "vllm" else {}),
            **owned,
        )

    def train(
        self, context: Context, tokenizer: PreTrainedTokenizerBase, contract: chat.ChatContract
    ) -> dict[str, Any]:
        from warmup_rl.stages.training.callbacks import Progress, describe_rollouts
        from warmup_rl.stages.training.curve import Curve

        task = self._task(context, tokenizer, contract)
        by_vllm = self.rollout_engine == "vllm"
        config = self.config(context, **(model_options(self, contract, context, tokenizer, task) if by_vllm else {}))
        plan_SP = prompt_plan(
            problems=len(task.problems),
            prompts_per_step=self.prompts_per_step,
            steps=self.steps,
            seed=context.seed,
        )
        rollouts, scratch = context.folder / "rollouts.jsonl", context.folder / SCRATCH
        env, resumed = context.launch_env, bool(checkpoints(context.folder))
        scratch.mkdir(exist_ok=True)
        files = RankFiles(scratch / rollouts.name, rank=env.rank, size=env.size, resume=resumed)
        each = self.updates_per_step * config.num_iterations
        rewarder = Rewarder(context, task, files, steps_each=each)
        trainer = self._trainer(context, tokenizer, config, task, rewarder)
        trainer.plan_SP, trainer.rewarder = plan_SP, rewarder
        trainer.bind(contract)
        curves = [Curve(context, task.domain, rewarder, trainer, steps_each=each)] if context.evaluation.every else []
        describe = describe_rollouts(curves[0].points if curves else {})
        callbacks = [*curves, Progress(context, describe, steps_each=each)]
        result = self.fit(trainer, context, tokenizer, callbacks=callbacks, carried=[rewarder], steps_each=each)
        files.close()
        if not context.launch_env.is_main:
            return {}
        files.merge(into=rollouts)
        write_jsonl(context.folder / PASS_RATES, rewarder.record.rows(task.problems))
        rows, costs, parameters = list(read_jsonl(rollouts)), rewarder.costs, result["parameters"]
        return {
            "domain": self.domain,
            "problems": len(task.problems),
            "steps": self.steps,
            **asdict(costs),
            "parameters": parameters,
            "flops": costs.flops(parameters, config.num_iterations),
            **self._uses(context, task, rows, plan_SP),
            "first_reward": mean_reward(rows, 1),
            "last_reward": mean_reward(rows, self.steps),
        }

    def _task(self, context: Context, tokenizer: PreTrainedTokenizerBase, contract: chat.ChatContract) -> Task:
        domain, layout = context.domains[self.domain], context.response_format
        problems = self._picked(context) if self.pick else list(self._request.problems(domain, context.examples_seed))
        prompts = [chat.render_prompt(tokenizer, domain.prompt(problem), layout) for problem in problems]
        lengths = [len(ids) for ids in tokenizer(prompts).input_ids]
        reward, budget, stops = self._reward(domain), self.sampling.max_tokens, frozenset(contract.stop_ids)
        return Task(domain, problems, prompts, lengths, reward, self.generations, budget, stops)

    def _picked(self, context: Context) -> list[Problem]:
        """The first problems of the pool in the order that `pick` names."""
        triage = read_json(context.inputs["triage"])
        if triage["domain"] != self.domain or triage["pool"] < self.problems:
            raise UserError(
                f"{context.stage_id}.pick: the triage stage has {triage['pool']} problems of {triage['domain']!r}, "
                f"{self.problems} of {self.domain!r} are asked for. Set `domain` and `pool` of the triage stage."
            )
        pool = {
            one.id: one for one in context.domains[self.domain].each("train", context.examples_seed, triage["pool"])
        }
        return [pool[one] for one in triage["orders"][self.pick][: self.problems]]

    def _trainer(
        self, context: Context, tokenizer: PreTrainedTokenizerBase, config: Any, task: Task, rewarder: Rewarder
    ) -> PlannedGRPOTrainer:
        from datasets import Dataset

        self._require_room(context, max(task.lengths))
        trainer: PlannedGRPOTrainer = self.trainer_kind()(
            model=str(context.inputs.model),
            reward_funcs=rewarder,
            args=config,
            train_dataset=Dataset.from_dict({"prompt": list(task.prompts), "index": list(range(len(task.prompts)))}),
            processing_class=tokenizer,
            peft_config=self.adapter(),
        )
        return trainer

    def _uses(
        self, context: Context, task: Task, rows: Sequence[Mapping[str, Any]], plan_SP: list[list[int]]
    ) -> dict[str, Any]:
        """How often prompts were used, for the summary; a user's trainer may not have followed the plan."""
        groups = Counter(row["problem_id"] for row in rows if row["sample"] == 0)
        uses = [groups[problem.id] for problem in task.problems]
        summary = {"prompt_uses": {"min": min(uses), "max": max(uses)}}
        if self.code() == (TRAINER,):
            return summary
        planned, drawn = use_counts(plan_SP, len(uses)), sum(uses)
        if uses != planned:
            name = self.code()[-1].rpartition(":")[2]
            context.say(
                f"{name}: {drawn} groups were drawn where {sum(planned)} were planned; "
                f"prompts were used {min(uses)} to {max(uses)} times, so not equally often"
            )
        named = {"trainer": self.trainer, "selection": self.selection}
        return {**summary, **named, "groups": drawn, "equal_use": uses == planned}
