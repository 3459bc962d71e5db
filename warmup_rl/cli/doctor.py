"""`python -m warmup_rl doctor`: what this machine has, what it lacks, and how to get it."""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import psutil

from program_sandbox import APPARMOR_PROFILE, FALLBACK_ORDER, probe
from warmup_rl.base.errors import UserError
from warmup_rl.base.files import free_bytes
from warmup_rl.cli.arguments import Arguments
from warmup_rl.run.code_digest import MISSING, installed_version

NEEDED = ("torch", "transformers", "trl", "datasets", "accelerate", "peft")
_SOURCES = "pip install -e . (from the folder of the sources), or make install"
DEEPSPEED_TOOLS = {
    "compiler": (("c++", "g++", "clang++"), "builds its optimizers at the first run", "apt-get install g++"),
    "ninja": (("ninja",), "builds them in parallel", "pip install ninja"),
    "CUDA compiler": (("nvcc",), "fused optimizers on a GPU", "the CUDA toolkit of torch's version"),
}
MIN_DISK = 20 * 2**30
"""Bytes."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked: what there is or why not, how to get it, and whether only some recipes need it."""

    part: str
    name: str
    is_there: bool
    found: str
    fix: str = ""
    optional: bool = False


def main(arguments: Sequence[str]) -> None:
    """Prints the table. Raises `UserError` if nothing can be trained here."""
    Arguments("doctor", "Checks this machine: sandbox, training libraries, GPU, disk, model hub.").read(arguments)
    findings = [*_sandbox(), *_training(), *_hardware(), *_hub(), *_optional()]
    print("What this machine has (yes), lacks (no), or lacks and can do without (-)")
    print("\n".join(_lines(findings)))
    if any("apparmor" in finding.fix.lower() for finding in findings if not finding.is_there):
        print(APPARMOR_PROFILE)
    lacking = [finding.name for finding in findings if not finding.is_there and finding.part == "training"]
    if lacking:
        raise UserError(f"nothing can be trained on this machine: {', '.join(lacking)} cannot be used. See the table.")
    if not any(finding.is_there for finding in findings if finding.part == "sandbox"):
        print("\nNo sandbox works: recipes with code (humaneval_plus, mbpp_plus, own graders) are refused here.")


def _sandbox() -> Iterator[Finding]:
    """The backends that can run programs of a model here; the first that works is used."""
    used = ""
    for name in FALLBACK_ORDER:
        result = probe(name)
        if result.backend is None:
            yield Finding("sandbox", name, False, result.why, result.fix, optional=bool(used))
        else:
            use = f"used if {used} does not work" if used else "used for programs of a model"
            yield Finding("sandbox", name, True, f"{result.backend.how} ({use})")
            used = used or name


def _training() -> Iterator[Finding]:
    """What every recipe needs, and DeepSpeed, which only its launch files need."""
    yield from (_package("training", name, "every recipe needs it", _SOURCES, optional=False) for name in NEEDED)
    yield (deepspeed := _package("deepspeed", "deepspeed", "launch/zero*.yaml", "pip install deepspeed"))
    for name, (programs, use, fix) in DEEPSPEED_TOOLS.items() if deepspeed.is_there else ():
        path = next(filter(None, map(shutil.which, programs)), "")
        yield Finding("deepspeed", name, bool(path), path or f"not found: {use}", fix, optional=True)


def _hardware() -> Iterator[Finding]:
    cores, memory = len(os.sched_getaffinity(0)), psutil.virtual_memory()
    free = f"{memory.available / 2**30:.0f} of {memory.total / 2**30:.0f} GB free"
    yield Finding("machine", "processor", True, f"{cores} cores, {free}")
    yield _gpu()
    room = free_bytes(Path.cwd())
    fix = "hub models need tens of GB; put run folders elsewhere with a link named outputs"
    found = f"{room / 2**30:.0f} GB free in {Path.cwd()}"
    yield Finding("machine", "disk", room > MIN_DISK, found, fix, optional=True)


def _gpu() -> Finding:
    try:
        torch = importlib.import_module("torch")
    except ImportError as error:
        return Finding("training", "torch", False, f"cannot be imported: {error}", "pip install torch")
    if torch.cuda.is_available() and (count := torch.cuda.device_count()):
        return Finding("machine", "GPU", True, ", ".join(map(torch.cuda.get_device_name, range(count))))
    if shutil.which("nvidia-smi"):
        fix = "a torch built for the driver's CUDA: https://pytorch.org/get-started/locally"
        return Finding("machine", "GPU", False, "nvidia-smi is here, but torch sees none", fix)
    return Finding("machine", "GPU", False, "none: nano recipes train on the CPU, hub models need a GPU", optional=True)


def _hub() -> Iterator[Finding]:
    """Where models and data sets of the hub come from."""
    from huggingface_hub.constants import HF_HUB_CACHE, HF_HUB_OFFLINE

    held = len(list(Path(HF_HUB_CACHE).glob("*--*")))
    found = f"{held} models and data sets in {HF_HUB_CACHE}"
    if HF_HUB_OFFLINE:
        fix = "download once with HF_HUB_OFFLINE=0: hf download ORGANIZATION/NAME"
        yield Finding("hub", "offline", held > 0, f"HF_HUB_OFFLINE is set; {found}", fix, optional=True)
    else:
        yield Finding("hub", "online", True, found)


def _optional() -> Iterator[Finding]:
    use = "faster completions of hub models on a GPU"
    yield _package("optional", "vllm", use, "pip install 'warmup_rl[vllm]'")
    yield _package("optional", "reasoning_gym", "the comparison in `make bench`", "pip install 'warmup_rl[bench]'")


def _package(part: str, name: str, use: str, fix: str, *, optional: bool = True) -> Finding:
    found = installed_version(name)
    there = found != MISSING
    return Finding(part, name, there, found if there else f"not installed: {use}", fix, optional)


def _lines(findings: Sequence[Finding]) -> Iterator[str]:
    """A heading for each part and a line for each finding, followed by how to get it if it is missing."""
    width = max(len(finding.name) for finding in findings)
    for part, group in groupby(findings, key=lambda finding: finding.part):
        yield f"\n{part}"
        for finding in group:
            mark = "yes" if finding.is_there else "-" if finding.optional else "no"
            yield f"  {mark:<5}{finding.name:<{width}}  {finding.found}"
            if finding.fix and not finding.is_there:
                yield f"  {'':<5}{'':<{width}}  to get it: {finding.fix}"
