"""Health rules of a training: thresholds over what trainers log, as data, and a pure function that applies them."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator

from warmup_rl.base.stats import difference_error

Action = Literal["warn", "stop", "off"]
Row = Mapping[str, Any]

_AXOLOTL = "axolotl's guide to stable GRPO"


@dataclass(frozen=True)
class Rule:
    """Holds when a figure reaches a limit at several logged steps in a row.

    Attributes:
        figure: a key of the trainer's log, or one that `figures` derives from it; `means` says what it is.
        limit: the least value that is a fault, or the greatest with `below`, by `source`.
        of_correctness: it is a fault only where the reward pays correct answers more than wrong ones.
    """

    name: str
    figure: str
    limit: float
    steps: int
    means: str
    source: str
    cause: str
    remedy: str
    below: bool = False
    of_correctness: bool = False

    @property
    def shown(self) -> str:
        steps = f" at {self.steps} steps in a row" if self.steps > 1 else ""
        return f"{self.means}: {'at most' if self.below else 'at least'} {self.limit:g}{steps}"

    def broken_by(self, value: Any) -> bool:
        if not isinstance(value, int | float):
            return False
        return value <= self.limit if self.below else value >= self.limit


RULES: tuple[Rule, ...] = (
    Rule("no_end", "never_ends", 1, 2, "no completion of the step has ended",
         "a budget that every completion reaches",
         "the model was not taught the end token, or another one is expected",
         "Warm up with traces that end, or raise sampling.max_tokens if the answers are only long."),
    Rule("truncated", "truncated", 0.8, 3, "share of completions cut off",
         f"{_AXOLOTL}: above .8 the budget is too short", "the budget is too short for the answers",
         "Raise sampling.max_tokens, or cut long traces in a clean stage."),
    Rule("all_wrong", "groups_wrong", 0.9, 5, "share of groups without a right answer",
         f"{_AXOLOTL}: silent groups above .8", "the problems are too hard for the model",
         "Use easier problems, more generations, or a longer warmup.", of_correctness=True),
    Rule("all_right", "groups_right", 0.9, 5, "share of groups without a wrong answer",
         f"{_AXOLOTL}: silent groups above .8", "there is nothing left to learn",
         "Use harder problems or fewer steps.", of_correctness=True),
    Rule("no_signal", "silent", 0.9, 1, "share of groups with equal rewards, mean of 5 steps",
         f"{_AXOLOTL}: silent groups above .8",
         "the rewards do not tell completions apart",
         "Raise generations or sampling.temperature, or change the reward.", of_correctness=True),
    Rule("entropy", "rollout_entropy", 0.01, 3, "nats a token", f"{_AXOLOTL}: below .01 it has collapsed",
         "the model draws the same completion every time", "Lower args.learning_rate, or raise args.epsilon_high.",
         below=True),
    Rule("entropy_growth", "entropy_growth", 3, 2, "entropy over its median of the first steps, where above 1 nat",
         "own runs: healthy ones stay below 1.5", "the model comes apart", "Lower args.learning_rate."),
    Rule("kl", "kl", 0.5, 2, "nats a token to the reference model", "own runs: healthy ones stay below .1",
         "the model leaves the reference too fast", "Lower args.learning_rate, or raise args.beta."),
    Rule("gradient", "gradient_spike", 10, 1, "gradient norm over its median of the last 20 steps, where above 1",
         f"{_AXOLOTL}: healthy between .001 and 1",
         "a batch that does not fit the others, or a learning rate that is too high",
         "Lower args.learning_rate or args.max_grad_norm."),
    Rule("no_gradient", "no_gradient", 1, 5, "a gradient of 0 though rewards or losses differ",
         "nothing is trained by it", "no weight is trained, or all completions are masked",
         "Check lora.target_modules and args.mask_truncated_completions."),
    Rule("length", "length_share", 0.8, 3, "mean length over the budget, where it has grown by a quarter",
         f"{_AXOLOTL}: length that grows to the cap", "the reward is gamed by length, or the budget is too short",
         "Raise sampling.max_tokens, or use args.loss_type: dr_grpo."),
    Rule("collapse", "accuracy_lost", 0.5, 1,
         "share of the best rollout accuracy (median of 3 steps) that is lost, from .2 on",
         "own runs: healthy ones lose less than .35", "the training has broken what it had learned",
         "Lower args.learning_rate.", of_correctness=True),
    Rule("held_out", "held_out_drop", 3, 1,
         "held-out accuracy below its best, in standard errors, while the reward rises",
         "three standard errors of the difference", "the model learns its problems by heart, or games the grader",
         "Use more problems or fewer steps, and read the rollouts.", of_correctness=True),
    Rule("mismatch", "sampling/sampling_logp_difference/mean", 0.1, 3,
         "mean difference of log-probabilities, sampler to trainer", f"{_AXOLOTL}: healthy below .1, broken above 1",
         "rollout engine and trainer do not compute the same",
         "Use the same data type in both, or args.vllm_importance_sampling_correction: true."),
    Rule("loss", "loss_growth", 1.3, 1, "loss over that of the first steps (medians of 3)",
         "a loss that rises is not trained", "the learning rate is too high",
         "Lower args.learning_rate, or add args.warmup_steps."),
    Rule("divergence", "loss_jump", 3, 1, "loss (median of 3) over that of the first step",
         "own runs: healthy ones stay below 1", "the model comes apart in its first steps",
         "Lower args.learning_rate, or add args.warmup_steps."),
    Rule("after_warmup", "warmup_drop", 1.96, 1,
         "accuracy before the warmup less that after it, in standard errors of the difference", "its 95% interval",
         "the warmup has cost accuracy", "Lower args.learning_rate or epochs of the warmup."),
)  # fmt: skip
AFTER_WARMUP = RULES[-1]
"""Applied to evaluations, not to the trainer's log."""
NAMES = tuple(rule.name for rule in RULES)
MOST_STEPS = max(rule.steps for rule in RULES) + 1
"""Steps in a row that decide whether a rule holds newly."""


def _known(actions: dict[str, Action]) -> dict[str, Action]:
    if unknown := [name for name in actions if name not in NAMES]:
        raise ValueError(f"no rule {unknown[0]!r}. Rules: {', '.join(NAMES)}.")
    return actions


def _off(given: Any) -> Any:
    """`off` as YAML 1.1 reads it."""
    if isinstance(given, dict):
        return {name: _off(value) for name, value in given.items()}
    return "off" if given is False else given


HealthSettings = Annotated[Action | Annotated[dict[str, Action], AfterValidator(_known)], BeforeValidator(_off)]


def action(settings: HealthSettings, rule: str) -> Action:
    """What a recipe wants of a rule; rules that it does not name warn."""
    return settings.get(rule, "warn") if isinstance(settings, dict) else settings


def raised(found: Sequence[Row], *, is_control: bool = False) -> list[Rule]:
    """The rules that hold at the last of the `figures` of steps in a row and did not at the one before.

    Args:
        found: the last `MOST_STEPS` are enough.
        is_control: the reward does not pay correct answers more than wrong ones.
    """
    rules = [rule for rule in RULES if not (is_control and rule.of_correctness)]
    holds = [rule for rule in rules if _row_of(rule, found) >= rule.steps]
    return [rule for rule in holds if _row_of(rule, found[:-1]) < rule.steps]


def _row_of(rule: Rule, found: Sequence[Row]) -> int:
    count = 0
    for row in reversed(found):
        if not rule.broken_by(row.get(rule.figure)):
            break
        count += 1
    return count


def figures(rows: Sequence[Row], *, budget: int | None = None, held_out: int = 0) -> dict[str, Any]:
    """What the rules look at, at the last of the rows: its values, and those that need the rows before.

    Args:
        rows: what the trainer has logged so far, with `held_out` at the steps of the curve.
        budget: most tokens of a completion.
        held_out: problems of the curve.
    """
    row = dict(rows[-1])
    clipped, silent = row.get("completions/clipped_ratio"), row.get("frac_reward_zero_std")
    if clipped is not None:
        said = _values(rows[-2:], "completions/clipped_ratio") == [1, 1]  # by `no_end`
        row |= {"never_ends": clipped, "truncated": None if said else clipped}
    if silent is not None:
        one_sided = max(row.get("groups_right", 0.0), row.get("groups_wrong", 0.0))
        of_steps = _values(rows[-5:], "frac_reward_zero_std")
        row["silent"] = statistics.mean(of_steps) if one_sided < 0.9 and len(of_steps) == 5 else None
    if "reward" in row:  # traces may be as predictable as they like
        row["rollout_entropy"] = row.get("entropy")
    row |= _gradients(rows)
    if 3 < len(losses := _values(rows, "loss")) < 7 and "reward" not in row and losses[0] > 0:
        row["loss_jump"] = statistics.median(losses[-3:]) / losses[0]  # later on `loss` has steps to compare with
    if len(rows) > 6:
        row |= _growths(rows, budget)
    if held_out:
        row["held_out_drop"] = _held_out_drop(rows, held_out)
    return row


def _gradients(rows: Sequence[Row]) -> dict[str, float]:
    norms = _values(rows, "grad_norm")
    if not norms or "grad_norm" not in rows[-1]:
        return {}
    last, before = norms[-1], [norm for norm in norms[-21:-1] if norm]
    still = last == 0 and rows[-1].get("frac_reward_zero_std", 0) < 1
    spike = last / statistics.median(before) if len(before) >= 8 and last > 1 else 0.0
    return {"gradient_spike": spike, "no_gradient": float(still)}


def _growths(rows: Sequence[Row], budget: int | None) -> dict[str, float]:
    """How far length, entropy, loss and accuracy are from those of the first steps, or the best."""
    found: dict[str, float] = {}
    lengths, entropies = _values(rows, "completions/mean_length"), _values(rows, "entropy")
    if budget and lengths and lengths[-1] >= 1.25 * statistics.median(lengths[:3]):
        found["length_share"] = lengths[-1] / budget
    if "reward" in rows[-1] and entropies[-1:] > [1.0]:
        found["entropy_growth"] = entropies[-1] / max(statistics.median(entropies[:3]), 0.1)
    right, losses = _smoothed(_values(rows, "correct")), _smoothed(_values(rows, "loss"))
    if right and max(right) - right[-1] >= 0.2:
        found["accuracy_lost"] = 1 - right[-1] / max(right)
    if losses and "reward" not in rows[-1] and losses[0] > 0:  # the loss of GRPO is 0 by construction
        found["loss_growth"] = losses[-1] / losses[0]
    return found


def _held_out_drop(rows: Sequence[Row], problems: int) -> float | None:
    """Standard errors between the best held-out accuracy and the last, where the reward has risen since; else None."""
    measured = [(place, row["held_out"]) for place, row in enumerate(rows) if "held_out" in row]
    if len(measured) < 2 or measured[-1][0] != len(rows) - 1:
        return None
    best_place, best = max(measured, key=lambda point: point[1])
    last = measured[-1][1]
    around = [_values(rows[max(0, place - 4) : place + 1], "reward") for place in (best_place, len(rows) - 1)]
    if not all(around) or statistics.mean(around[1]) <= statistics.mean(around[0]):
        return None
    return (best - last) / difference_error((best, problems), (last, problems))


def _values(rows: Sequence[Row], key: str) -> list[float]:
    return [row[key] for row in rows if isinstance(row.get(key), int | float)]


def _smoothed(values: Sequence[float]) -> list[float]:
    return [statistics.median(values[place : place + 3]) for place in range(len(values) - 2)]
