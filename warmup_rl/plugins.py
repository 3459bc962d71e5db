"""The table of plug-ins: one lazy string a name, nothing imported to say "did you mean"."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any, Literal

from warmup_rl.errors import UserError

Kind = Literal["domain", "engine", "cleaner", "corpus", "stage"]

TABLE: dict[Kind, dict[str, str]] = {
    "domain": {
        "kk": "warmup_rl.domains.kk:KnightsKnaves",
        "sums": "warmup_rl.domains.sums:Sums",
        "registers": "warmup_rl.domains.registers:Registers",
        "compass": "warmup_rl.domains.compass:Compass",
    },
    "engine": {
        "solver": "warmup_rl.engines.solver:Solver",
        "hf": "warmup_rl.engines.hf:HuggingFace",
    },
    "cleaner": {
        "correct": "warmup_rl.cleaners.basic:Correct",
        "duplicates": "warmup_rl.cleaners.basic:Duplicates",
        "length": "warmup_rl.cleaners.basic:Length",
        "rechecks": "warmup_rl.cleaners.rechecks:Rechecks",
    },
    "corpus": {
        "nano": "warmup_rl.corpora.nano:Nano",
    },
    "stage": {
        "pretrain": "warmup_rl.stages.pretrain:Pretrain",
        "distill": "warmup_rl.stages.distill:Distill",
        "clean": "warmup_rl.stages.clean:Clean",
        "sft": "warmup_rl.stages.sft:Sft",
        "rlvr": "warmup_rl.stages.rlvr:Rlvr",
        "evaluate": "warmup_rl.stages.evaluate:Evaluate",
    },
}


def load(kind: Kind, name: str) -> type[Any]:
    """The class behind a plug-in name, `pkg.module:Class`, or `./file.py:Class`.

    Raises:
        UserError: unknown name (with the nearest one), missing file or module, no such class.
    """
    target = TABLE[kind].get(name, name)
    module_name, colon, class_name = target.rpartition(":")
    if not colon:
        raise UserError(f"unknown {kind} {name!r}.{suggestion(name, TABLE[kind])} Allowed: {', '.join(TABLE[kind])}, "
                        f"pkg.module:Class or ./file.py:Class.")
    module = _file_module(Path(module_name)) if module_name.endswith(".py") else _module(kind, name, module_name)
    try:
        return getattr(module, class_name)
    except AttributeError:
        raise UserError(f"{kind} {name!r}: {module_name} has no {class_name!r}.") from None


def suggestion(name: str, allowed: Any) -> str:
    """` Did you mean 'x'?`, or nothing where no allowed name is near."""
    near = difflib.get_close_matches(name, list(allowed), n=1, cutoff=0.6)
    return f" Did you mean {near[0]!r}?" if near else ""


def _module(kind: Kind, name: str, module_name: str) -> Any:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and module_name.startswith(error.name):
            raise UserError(f"{kind} {name!r}: no module {module_name!r} can be imported.") from None
        raise


def _file_module(path: Path) -> Any:
    if not path.is_file():
        raise UserError(f"{path}: no such plug-in file (looked from {Path.cwd()}).")
    module_name = f"warmup_rl_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    spec.loader.exec_module(module)
    return module
