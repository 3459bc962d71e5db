"""Stages for on-policy distillation: `teacher` hands a model on as the teacher, `opd` trains a student on its words."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from warmup_rl.base.config import ModelName, Sampling
from warmup_rl.base.errors import UserError
from warmup_rl.interfaces import chat
from warmup_rl.interfaces.domain import Domain
from warmup_rl.interfaces.evaluation import EvaluationSettings
from warmup_rl.interfaces.stage import Context, DataRequest, Stage, StagePreview
from warmup_rl.stages.training.base import OWNED, TrainerStage
from warmup_rl.stages.training.prompt_plan import prompt_plan

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Teacher(Stage):
    """Hands the model before it on as the teacher, so that a later stage may start another model, the student."""

    type: ClassVar[str] = "teacher"
    inputs: ClassVar[frozenset[str]] = frozenset({"model"})
    outputs: ClassVar[frozenset[str]] = frozenset({"teacher"})

    def run(self, context: Context) -> dict[str, Any]:
        source, revision = str(context.inputs.model), context.inputs.model_revision
        if context.inputs["model"].is_dir():
            shutil.copytree(source, context.output("teacher"))
            return {}
        from huggingface_hub import snapshot_download

        snapshot_download(source, revision=revision, local_dir=context.output("teacher"))
        return {}


class OnPolicyDistillation(TrainerStage):
    """The student answers problems, and learns to give each token the teacher's probability (TRL's trainer).

    No answer is graded and no label is used. Teacher and student need one vocabulary. After GKD (arXiv 2306.13649).
    """

    type: ClassVar[str] = "opd"
    role: ClassVar[str] = "warmup"
    trainer_config: ClassVar[str] = "trl:DistillationConfig"
    owned_options: ClassVar[Mapping[str, str]] = {
        **OWNED,
        "max_steps": "steps",
        "num_train_epochs": "steps",
        "max_completion_length": "sampling.max_tokens",
        "temperature": "sampling.temperature",
        "top_p": "sampling.top_p",
        "top_k": "sampling.top_k",
        "teacher_model_name_or_path": "teacher",
        "teacher_model_revision": "teacher_revision",
        "chat_template_kwargs": "the chat contract decides",
        "shuffle_dataset": "the prompt schedule decides",
    }

    domain: str
    """Name of the domain whose problems the student answers."""
    problems: int = Field(default=450, gt=0)
    """Number of problems."""
    steps: int = Field(gt=0)
    """Optimizer steps, each on new answers."""
    batch_size: int = Field(default=32, gt=0)
    """Answers a step, over all processes."""
    teacher: ModelName | None = None
    """Folder or hub id of the teacher, in place of a `teacher` stage before."""
    teacher_revision: str | None = None
    """Branch, tag or commit of a hub teacher."""
    sampling: Sampling = Sampling(temperature=1.0)
    """How the student answers."""

    def required_inputs(self) -> frozenset[str]:
        return self.inputs if self.teacher else self.inputs | {"teacher"}

    def data_requests(self, evaluation: EvaluationSettings, domains: Collection[str]) -> Iterable[DataRequest]:
        yield DataRequest(self.domain, "train", self.problems, "problems")

    def check(self, *, world_size: int) -> list[str]:
        wrong = []
        if self.sampling.temperature == 0:
            wrong.append("sampling.temperature: 0 draws the same answer every time. Give a number above 0.")
        return wrong + super().check(world_size=world_size)

    def preview(self, evaluation: EvaluationSettings, domains: Mapping[str, Domain]) -> StagePreview:
        answers = self.steps * self.batch_size
        counts = {"problems": self.problems, "steps": self.steps, "answers": answers}
        return StagePreview({**counts, "generated tokens, at most": answers * self.sampling.max_tokens})

    def config(self, context: Context, **owned: Any) -> Any:
        return super().config(
            context,
            max_steps=self.steps,
            max_completion_length=self.sampling.max_tokens,
            shuffle_dataset=False,
            teacher_model_revision=self.teacher_revision,
            **self.sampling.model_dump(include={"temperature", "top_p", "top_k"}),
            **owned,
        )

    def train(
        self, context: Context, tokenizer: PreTrainedTokenizerBase, contract: chat.ChatContract
    ) -> dict[str, Any]:
        from datasets import Dataset
        from trl import DistillationTrainer

        domain, layout = context.domains[self.domain], context.response_format
        problems = domain.take("train", context.examples_seed, self.problems)
        texts = [chat.render_prompt(tokenizer, domain.prompt(problem), layout) for problem in problems]
        plan = prompt_plan(problems=len(texts), prompts_per_step=self.batch_size, steps=self.steps, seed=context.seed)
        prompts = [texts[index] for step in plan for index in step]  # TRL leaves out batches that are not full
        teacher = self.teacher or str(context.inputs["teacher"])
        theirs = chat.load_tokenizer(teacher, self.teacher_revision).get_vocab()
        if theirs != tokenizer.get_vocab():
            raise UserError(f"{context.stage_id}.teacher: {teacher} has other tokens than the student. Choose another.")
        trainer = DistillationTrainer(
            model=str(context.inputs.model),
            teacher_model=teacher,
            args=self.config(context),
            train_dataset=Dataset.from_dict({"prompt": prompts}),
            processing_class=tokenizer,
            peft_config=self.adapter(),
        )
        trainer.eos_token_ids = list(contract.stop_ids)
        trainer.generation_config.eos_token_id = list(contract.stop_ids)
        result = self.fit(trainer, context, tokenizer)
        return {"domain": self.domain, "problems": len(problems), "answers": self.steps * self.batch_size, **result}
