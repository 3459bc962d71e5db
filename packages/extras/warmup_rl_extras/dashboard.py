"""`python -m warmup_rl dashboard RUN_FOLDER`: saves a W&B workspace with the arms of a run over each other.

The names that its panels show are those of docs/metrics.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warmup_rl.base.errors import UserError
from warmup_rl.base.jsonl import read_json
from warmup_rl.cli.arguments import Arguments
from warmup_rl.interfaces.plugins import load
from warmup_rl.recipe.schema import RecipeRecord, read_recipe_record
from warmup_rl.report.plots import arm_colors
from warmup_rl.run.provenance import require_run_folder

if TYPE_CHECKING:
    from wandb_workspaces.workspaces import Section, Workspace

BUDGETS = {"rollouts": "completions drawn", "generated_tokens": "generated tokens", "flops": "training FLOPs"}
"""The x axes on which arms are laid over each other, and their titles."""
CURVES: Mapping[str, Sequence[str]] = {
    "target": (
        "correct", "well_formed", "groups_right", "groups_wrong", "completions/mean_length",
        "completions/clipped_ratio", "entropy", "grad_norm", "held_out/truncated", "held_out/tokens",
    ),
    "warmup": ("loss", "mean_token_accuracy", "grad_norm", "probe/*"),
    "pretraining": ("loss", "grad_norm"),
}  # fmt: skip
"""What is shown of a training over its steps, by the role of its stage."""
NUMBERS = {"target": ("skipped_steps", "alarms", "seconds", "flops"), "warmup": ("skipped_steps", "alarms", "seconds")}
"""Numbers of the stage's summary."""


def main(arguments: Sequence[str]) -> int:
    """Runs the command. Raises `UserError` where the run was not tracked by W&B, or no account is known."""
    parser = Arguments("dashboard", "Saves a W&B workspace that lays the arms of a run over each other.")
    parser.add_argument("folder", type=Path, metavar="RUN_FOLDER", help="folder of a run: outputs/RUN_NAME")
    parser.add_argument("--entity", help="W&B user or team (default: the account's)")
    parser.add_argument("--show", action="store_true", help="print the workspace as JSON, without an account")
    given = parser.read(arguments)
    require_run_folder(given.folder)
    recipe = read_recipe_record(given.folder / "recipe.yaml")
    if recipe.tracking.to != "wandb":
        raise UserError(f"{given.folder}: the run was tracked by {recipe.tracking.to}. Set `tracking: wandb`.")
    try:
        import wandb_workspaces  # noqa: F401
    except ImportError:
        raise UserError("wandb-workspaces is missing: pip install 'warmup-rl[dashboard]'.") from None
    if given.show:
        print(workspace(given.folder, recipe, given.entity or "ENTITY")._to_model().model_dump_json(indent=2))
        return 0
    import wandb

    if not wandb.login(prompt=False, verify=False):
        raise UserError("no account of W&B is known here. Run `wandb login`, or set WANDB_API_KEY; --show needs none.")
    made = workspace(given.folder, recipe, given.entity or wandb.Api().default_entity)
    print(made.save().url)
    return 0


def workspace(folder: Path, recipe: RecipeRecord, entity: str) -> Workspace:
    """The workspace of a run: grouped by arm, with bands over seeds, and the report's claims as numbers.

    Args:
        folder: of the run; its report, if there is one, says which claims there are.
    """
    import wandb_workspaces.expr as expr
    import wandb_workspaces.workspaces as ws

    colors: dict[object, object] = dict(arm_colors(recipe.claims, recipe.arms).items())
    trained = [(row["id"], load("stage", row["type"]).role) for row in recipe.stages]
    sections = [*_budgets(trained), *_trainings(trained), *_claims(folder)]
    return ws.Workspace(
        entity=entity,
        project=recipe.tracking.project,
        name=f"{recipe.run_name}: arms",
        sections=sections,
        runset_settings=ws.RunsetSettings(
            filters=[expr.Metric("Group") == recipe.run_name],
            groupby=[expr.Config("arm")],
            group_colors=colors,
        ),
    )


def _budgets(trained: Sequence[tuple[str, str]]) -> Iterator[Section]:
    """Held-out accuracy of the target's training over each budget."""
    import wandb_workspaces.workspaces as ws

    for stage, role in trained:
        if role == "target":
            panels = [
                _curve(f"{stage}/held_out/{figure}", f"{stage}/{axis}", f"held-out {figure} accuracy, {title}")
                for figure in ("lenient", "strict")
                for axis, title in BUDGETS.items()
            ]
            yield ws.Section(name=f"{stage}: accuracy by budget", panels=panels, is_open=True)


def _trainings(trained: Sequence[tuple[str, str]]) -> Iterator[Section]:
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws

    for stage, role in trained:
        panels: list[Any] = [_curve(f"{stage}/{name}", f"{stage}/step", name) for name in CURVES.get(role, ())]
        panels += [
            wr.ScalarChart(title=name, metric=wr.SummaryMetric(f"{stage}/{name}"), groupby_aggfunc="mean")
            for name in NUMBERS.get(role, ())
        ]
        if panels:
            yield ws.Section(name=stage, panels=panels)


def _curve(name: str, axis: str, title: str) -> Any:
    """A mean over seeds with its standard error, for each arm."""
    import wandb_workspaces.reports.v2 as wr

    what = {"metric_regex": name.replace("*", ".+")} if "*" in name else {"y": [name]}
    return wr.LinePlot(title=title, x=axis, **what, groupby_aggfunc="mean", groupby_rangefunc="stderr")


def _claims(folder: Path) -> Iterator[Section]:
    """The paired differences of the report, and its pictures; from the run `comparison`."""
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws

    path = folder / "report" / "summary.json"
    claims = read_json(path)["claims"] if path.is_file() else []
    panels: list[Any] = []
    for claim in claims:
        if claim["estimate"] is not None:
            title = f"{claim['question']}, {claim['where']} ({claim['unit']})"
            panels.append(wr.ScalarChart(title=title, metric=wr.SummaryMetric(f"claims/{claim['id']}/estimate")))
    yield ws.Section(name="comparison", panels=[*panels, wr.MediaBrowser(media_keys=["pictures/accuracy"])])
