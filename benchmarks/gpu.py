"""SFT and RLVR on one card with the shapes of Qwen2.5 and random weights: tokens/s, MFU, seconds by phase, peak memory.

`python -m benchmarks.gpu` needs no weights and no hub. A training that does not fit is listed with what the plan of
`check` said of it. `--shapes tiny` tries it on a CPU.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

from rich.console import Console
from rich.table import Table

from warmup_rl.base.config import Sampling
from warmup_rl.base.console import size_in_words
from warmup_rl.base.errors import RunError, UserError
from warmup_rl.base.jsonl import write_jsonl
from warmup_rl.base.types import Grade, Problem, Score, Split, Trace, to_json
from warmup_rl.cli.rehearse import Measured, finish, watched
from warmup_rl.interfaces.domain import Domain
from warmup_rl.interfaces.evaluation import EvaluationSettings
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.interfaces.stage import Artifacts, Context
from warmup_rl.run.launch_env import read_launch_env
from warmup_rl.stages.rlvr import Rlvr
from warmup_rl.stages.sft import Sft
from warmup_rl.stages.training.memory import Need, launch_of
from warmup_rl.stages.training.rewards import Reward

_QWEN = {"model_type": "qwen2", "vocab_size": 151_936, "max_position_embeddings": 32_768, "tie_word_embeddings": True}
SHAPES: Mapping[str, Mapping[str, Any]] = {
    name: {
        **_QWEN,
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": 2,
    }
    for name, hidden, inner, layers, heads in (
        ("0.5B", 896, 4_864, 24, 14),
        ("1.5B", 1_536, 8_960, 28, 12),
        ("3B", 2_048, 11_008, 36, 16),
    )
} | {
    "tiny": {
        **_QWEN,
        "vocab_size": 512,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    }
}
PEAK = {"A100": 312, "A10G": 70, "L4": 121, "L40S": 362, "RTX 4090": 165, "H100": 989, "H200": 989, "B200": 2_250}
"""Dense bfloat16 TFLOP/s of a card, by a part of its name (data sheets of NVIDIA)."""

_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}<|end|>{% endif %}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
_AROUND = 160
"""Tokens of a trace that are not its thinking, about."""


class Words(Domain):
    """Problems of which nothing is asked but a completion of a given length."""

    type: ClassVar[str] = "words"

    def problems(self, split: Split, seed: int) -> Iterator[Problem]:
        for number in count():
            yield Problem(f"words-{split}-{number}", "words", "word " * (1 + number % 8), "0")

    def default_instruction(self) -> str:
        return ""

    def grade(self, answer: str, problem: Problem) -> Grade:
        return Grade("wrong", answer)

    def chance_accuracy(self, problem: Problem) -> float:
        return 0.0


@dataclass(frozen=True, slots=True)
class Row:
    """A training that was tried; `measured` is None where it did not fit."""

    shape: str
    what: str
    parameters: int
    measured: Measured | None
    tokens: int
    mfu: float | None
    why: str = ""

    @property
    def cells(self) -> tuple[str, ...]:
        found = self.measured
        if found is None or found.a_step is None:
            return self.shape, self.what, self.why or "no second step within the time", "", "", "", ""
        phases = ", ".join(f"{phase} {seconds:.1f}" for phase, seconds in found.seconds.items())
        planned = "" if found.planned is None else size_in_words(round(found.planned))
        return (
            self.shape,
            self.what,
            f"{self.tokens / found.a_step:,.0f}",
            "" if self.mfu is None else f"{self.mfu:.1%}",
            phases,
            size_in_words(found.peak),
            planned,
        )

    @property
    def record(self) -> dict[str, Any]:
        found = self.measured
        measured = {} if found is None else {"seconds": dict(found.seconds), "step": found.a_step, "peak": found.peak}
        return {
            **{"shape": self.shape, "what": self.what, "parameters": self.parameters, "tokens": self.tokens},
            **{**measured, "planned": found and found.planned, "mfu": self.mfu, "why": self.why},
        }


def byte_tokenizer() -> Any:
    """A token for each byte, so that a text of n letters has n tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["<pad>", "<|end|>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    core = Tokenizer(models.BPE({word: number for number, word in enumerate(words)}, []))
    core.pre_tokenizer, core.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<|end|>", pad_token="<pad>", chat_template=_TEMPLATE
    )


def model_of(shape: Mapping[str, Any], folder: Path) -> int:
    """Writes a model with random weights that reads bytes; returns the number of its parameters."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    tokenizer = byte_tokenizer()
    ends = {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**shape, **ends), dtype=torch.bfloat16)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return sum(weight.numel() for weight in model.parameters())


def flops_a_token(shape: Mapping[str, Any], parameters: int, length: int) -> float:
    """Of a forward and backward pass with causal attention over `length` tokens (arXiv 2204.02311, appendix B, halved
    for the causal mask); recomputed activations do not count."""
    return 6.0 * parameters + 6.0 * shape["num_hidden_layers"] * shape["hidden_size"] * length


def trainings(lengths: Sequence[int], budget: int) -> Iterator[tuple[str, Sft | Rlvr, int]]:
    """Name, stage and tokens of a trace for each training that is measured."""
    for length in lengths:
        yield (
            f"SFT at {length:,}",
            Sft(id="sft", batch_size=4, steps=2, args={"per_device_train_batch_size": 1}),
            length,
        )
    for engine in ("transformers", "vllm"):
        if engine == "vllm" and find_spec("vllm") is None:
            continue
        stage = Rlvr(
            id="rlvr",
            domain="words",
            problems=16,
            steps=2,
            prompts_per_step=8,
            generations=8,
            rollout_engine=engine,
            sampling=Sampling(temperature=1.0, max_tokens=budget),
            reward=Reward(control="random"),
            args={"beta": 0.0},
        )
        yield f"RLVR, 64 rollouts of {budget:,}, {engine}", stage, 0


def measure(shape: str, model: Path, parameters: int, stage: Sft | Rlvr, what: str, length: int, peak: float) -> Row:
    """Two steps of a training in a folder of its own."""
    folder, layout, domain = Path(tempfile.mkdtemp(dir=model.parent)), ResponseFormat(), Words(name="words")
    traces = folder / "traces.jsonl"
    thinking = "word " * max(1, (length - _AROUND) // 5)
    rows = [
        to_json(Trace(one.id, "words", domain.prompt(one), thinking, one.gold, Score("correct", "0", True), "made up"))
        for one in domain.take("train", 0, 8 if length else 0)
    ]
    write_jsonl(traces, rows)
    context = Context(
        folder=folder,
        inputs=Artifacts(str(model), None, traces=traces),
        domains={"words": domain},
        response_format=layout,
        evaluation=EvaluationSettings(every=0),
        seed=0,
        stage_id=stage.id,
        launch_env=read_launch_env(),
    )
    found = Measured()
    try:
        with watched(found, stage):
            stage.run(context)
    except (UserError, RunError) as error:
        plan = stage.memory(context, launch_of(None, None, None, context.launch_env))
        size = size_in_words(round(plan.total(length or 1_024))) if isinstance(plan, Need) else ""
        planned = size and f" (planned: {size})"
        return Row(shape, what, parameters, None, 0, None, f"{str(error).splitlines()[0]}{planned}")
    finish(found, stage, context)
    tokens = stage.batch_size * (found.longest or length) if isinstance(stage, Sft) else found.tokens // 2
    mfu = None
    if peak and found.a_step and isinstance(stage, Sft):
        rate = tokens / found.a_step
        mfu = rate * flops_a_token(SHAPES[shape], parameters, found.longest or length) / (peak * 1e12)
    return Row(shape, what, parameters, found, tokens, mfu)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints one table, and writes `gpu.json`, which names the card and the versions."""
    import torch

    parser = argparse.ArgumentParser("python -m benchmarks.gpu", description=(__doc__ or "").splitlines()[0])
    known = [name for name in SHAPES if name != "tiny"]
    parser.add_argument("--shapes", nargs="+", choices=list(SHAPES), default=known)
    parser.add_argument("--lengths", nargs="+", type=int, default=[4_096, 16_384], help="tokens of a trace in SFT")
    parser.add_argument("--budget", type=int, default=1_024, help="tokens of a rollout")
    parser.add_argument("--peak", type=float, help="bfloat16 TFLOP/s of the card, where its name is not known")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    given = parser.parse_args(arguments)
    card = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "CPU"
    peak = given.peak or next((rate for name, rate in PEAK.items() if name in card), 0)
    rows = []
    for name in given.shapes:
        with tempfile.TemporaryDirectory() as folder:
            model = Path(folder) / "model"
            parameters = model_of(SHAPES[name], model)
            for what, stage, length in trainings(given.lengths, given.budget):
                print(f"{name}: {what} ...", file=sys.stderr)
                rows.append(measure(name, model, parameters, stage, what, length, peak))
    table = Table(title=f"{card}, two steps each, the second one measured")
    for column in ("shape", "training", "tokens/s", "MFU", "seconds by phase, both steps", "peak memory", "planned"):
        table.add_column(column)
    for row in rows:
        table.add_row(*row.cells)
    Console().print(table)
    packages = ("torch", "transformers", "trl", "warmup_rl", *(["vllm"] if find_spec("vllm") else []))
    record = {"card": card, "tflops": peak, "versions": {one: version(one) for one in packages}}
    given.out.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**record, "rows": [row.record for row in rows]}, indent=2)
    (given.out / "gpu.json").write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
