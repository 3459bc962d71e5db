"""`python -m warmup_rl doctor`: what this machine has, what it lacks, and how to get it."""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import groupby
from pathlib import Path
from typing import Literal

import psutil

from program_sandbox import APPARMOR_PROFILE, FALLBACK_ORDER, probe
from warmup_rl.base.errors import UserError
from warmup_rl.cli.arguments import Arguments

State = Literal["good", "lacks", "note"]
NEEDED = ("torch", "transformers", "trl", "datasets", "accelerate", "peft")
OPTIONAL = {
    "vllm": ("completions of hub models on a GPU, many times as fast", "pip install 'warmup_rl[vllm]'"),
    "reasoning_gym": ("only to be measured against in `make bench`", "pip install 'warmup_rl[bench]'"),
}
_DISK_GB = 20
_MARKS: dict[State, str] = {"good": "yes", "lacks": "no", "note": "-"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        part: what it belongs to, e.g. `sandbox`.
        name: the thing.
        state: `good`, `lacks`, or `note` where it is wanted only by some.
        found: what there is, or why not.
        mend: how to get it; empty where there is nothing to do.
    """

    part: str
    name: str
    state: State
    found: str
    mend: str = ""


def main(arguments: Sequence[str]) -> None:
    """Prints the table. Raises `UserError` when nothing can be trained here."""
    Arguments("doctor", "Looks at this machine: sandbox, training libraries, GPU, disk, model hub.").read(arguments)
    findings = [*sandbox(), *training(), *hardware(), *hub(), *optional()]
    print("What this machine has (yes), lacks (no), or has not but may do without (-)")
    print("\n".join(_lines(findings)))
    if any("apparmor" in finding.mend.lower() for finding in findings):
        print(APPARMOR_PROFILE)
    lacking = [finding.name for finding in findings if finding.state == "lacks" and finding.part == "training"]
    if lacking:
        raise UserError(f"nothing can be trained on this machine: {', '.join(lacking)} cannot be used. See the table.")
    if not any(finding.state == "good" for finding in findings if finding.part == "sandbox"):
        print("\nNo sandbox works: recipes with code (humaneval_plus, mbpp_plus, own graders) are refused here.")


def sandbox() -> Iterator[Finding]:
    """The backends that can run programs of a model here; the first that works is used."""
    taken = ""
    for name in FALLBACK_ORDER:
        result = probe(name)
        if result.backend is None:
            yield Finding("sandbox", name, "note" if taken else "lacks", result.why, result.fix)
            continue
        use = f"where {taken} does not work" if taken else "taken for programs of a model"
        taken = taken or name
        yield Finding("sandbox", name, "good", f"{result.backend.how} ({use})")


def training() -> Iterator[Finding]:
    """What every recipe needs, and DeepSpeed, which only its launch files need."""
    for package in NEEDED:
        found = _version(package)
        mend = "" if found else "pip install -e . (from the folder of the sources), or make install"
        yield Finding("training", package, "good" if found else "lacks", found or "not installed", mend)
    found = _version("deepspeed")
    if not found:
        yield Finding("deepspeed", "deepspeed", "note", "not installed: no launch/zero*.yaml", "pip install deepspeed")
        return
    yield Finding("deepspeed", "deepspeed", "good", found)
    for name, programs, why, mend in (
        ("compiler", ("c++", "g++", "clang++"), "builds its optimisers at the first run", "apt-get install g++"),
        ("ninja", ("ninja",), "builds them in parallel", "pip install ninja"),
        ("CUDA compiler", ("nvcc",), "fused optimisers on a GPU", "the CUDA toolkit of torch's version"),
    ):
        path = next(filter(None, map(shutil.which, programs)), None)
        yield Finding("deepspeed", name, "good" if path else "note", path or f"not found: {why}", "" if path else mend)


def hardware() -> Iterator[Finding]:
    """Cores, memory, GPUs, disk."""
    cores = len(os.sched_getaffinity(0))
    memory = psutil.virtual_memory()
    free = f"{memory.available / 2**30:.0f} of {memory.total / 2**30:.0f} GB free"
    yield Finding("machine", "processor", "good", f"{cores} cores, {free}")
    yield from _graphics()
    disk = shutil.disk_usage(Path.cwd())
    room = f"{disk.free / 2**30:.0f} GB free in {Path.cwd()}"
    enough = disk.free > _DISK_GB * 2**30
    mend = "" if enough else "hub models need tens of GB; point run folders elsewhere by a link named outputs"
    yield Finding("machine", "disk", "good" if enough else "note", room, mend)


def hub() -> Iterator[Finding]:
    """Where models and data sets of the hub come from."""
    offline = os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0")
    home = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
    cache = Path(os.environ.get("HF_HUB_CACHE", home / "hub"))
    held = sorted(path.name for path in cache.glob("*--*")) if cache.is_dir() else []
    found = f"{len(held)} models and data sets in {cache}"
    if not offline:
        yield Finding("hub", "online", "good", found)
        return
    mend = "" if held else "fetch once with HF_HUB_OFFLINE=0: hf download ORGANISATION/NAME"
    yield Finding("hub", "offline", "good" if held else "note", f"HF_HUB_OFFLINE is set; {found}", mend)


def optional() -> Iterator[Finding]:
    """Packages that some recipes or benchmarks want."""
    for package, (why, mend) in OPTIONAL.items():
        found = _version(package.replace("_", "-"))
        yield Finding("optional", package, "good" if found else "note", found or f"not installed: {why}",
                      "" if found else mend)  # fmt: skip


def _graphics() -> Iterator[Finding]:
    try:
        torch = importlib.import_module("torch")
    except ImportError as error:
        yield Finding("training", "torch", "lacks", f"cannot be imported: {error}", "pip install torch")
        return
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count:
        names = ", ".join(torch.cuda.get_device_name(index) for index in range(count))
        yield Finding("machine", "GPU", "good", names)
    elif shutil.which("nvidia-smi"):
        mend = "a torch built for the driver's CUDA: https://pytorch.org/get-started/locally"
        yield Finding("machine", "GPU", "lacks", "nvidia-smi is here, but torch sees none", mend)
    else:
        yield Finding("machine", "GPU", "note", "none: nano recipes train on the processor, hub models need one")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _lines(findings: Sequence[Finding]) -> Iterator[str]:
    """A heading a part, a line a finding, and below it how to get what is not there."""
    width = max(len(finding.name) for finding in findings)
    for part, group in groupby(findings, key=lambda finding: finding.part):
        yield f"\n{part}"
        for finding in group:
            yield f"  {_MARKS[finding.state]:<5}{finding.name:<{width}}  {finding.found}"
            if finding.mend:
                yield f"  {'':<5}{'':<{width}}  to get it: {finding.mend}"
