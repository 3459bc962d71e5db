"""Runs arms and seeds in parallel, one process for each trial; shared stages run first."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import groupby
from queue import SimpleQueue

from warmup_rl.base.errors import UserError
from warmup_rl.base.machine import cores
from warmup_rl.recipe.schema import LAST_FOLD
from warmup_rl.run.trial import PlannedStage, Trial

Say = Callable[[str], None]


@dataclass(frozen=True)
class Job:
    """A trial to run, up to and including stage `until` if given, in a process with `threads` threads."""

    trial: Trial
    threads: int
    until: str | None = None

    @property
    def label(self) -> str:
        return trial_label("shared", self.trial.seed) if self.until else trial_label(*self.trial.place)


def trial_label(arm: str, seed: int, fold: int | None = None) -> str:
    """The prefix of console lines of a trial."""
    return f"seed {seed} {arm if fold is None else f'{arm} fold {fold}':<11}│ "


def first_jobs(trials: Sequence[Trial], workers: int) -> list[Job]:
    """One job per seed for the unfinished stages that its arms share."""
    prefixes = []
    for _, group in groupby(sorted(trials, key=lambda trial: trial.seed), key=lambda trial: trial.seed):
        arms = list(group)
        planned = shared_prefix(arms)
        if len(arms) > 1 and planned is not None and not arms[0].entry(planned).done:
            prefixes.append((arms[0], planned.stage.id))
    threads = max(1, cores() // max(1, min(workers, len(prefixes))))
    return [Job(trial, threads, until) for trial, until in prefixes]


def device_groups(per_run: int) -> list[str]:
    """The GPUs that this process sees, in groups of `per_run`, each as a value of CUDA_VISIBLE_DEVICES. Raises
    `UserError` if there are fewer."""
    import torch

    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = [name.strip() for name in given.split(",")] if given else list(map(str, range(torch.cuda.device_count())))
    names = names[: torch.cuda.device_count()]
    if len(names) < per_run:
        raise UserError(f"--gpus-per-run: {per_run} were asked for, this machine has {len(names)}. Give at most that.")
    return [",".join(names[start : start + per_run]) for start in range(0, len(names) - per_run + 1, per_run)]


def run_side_by_side(
    trials: Sequence[Trial], arguments: Sequence[str], workers: int, say: Say, devices: Sequence[str] = ()
) -> list[tuple[Trial, int]]:
    """Runs all trials, at most `workers` at a time; one that fails does not stop the others.

    Args:
        arguments: recipe and overrides, as on the command line.
        devices: groups of GPUs, one for each worker; each trial gets one that is free.

    Returns the trials that failed, with the exit code of their process.
    """
    threads = max(1, cores() // workers)
    first = first_jobs(trials, workers)
    waiting = {job.trial.seed for job in first}
    longest = sorted(trials, key=lambda trial: -sum(not trial.entry(planned).done for planned in trial.stages))
    rest = [Job(trial, threads) for trial in longest if not trial.finished]
    failed: list[tuple[Trial, int]] = []
    processes: set[subprocess.Popen[bytes]] = set()
    free: SimpleQueue[str] = SimpleQueue()
    for group in devices or [""] * workers:
        free.put(group)

    def run(job: Job) -> int:
        group = free.get()
        try:
            return _run(job, arguments, say, processes, group)
        finally:
            free.put(group)

    with ThreadPoolExecutor(workers) as pool:
        try:
            ready = [*first, *(job for job in rest if job.trial.seed not in waiting)]
            running = {pool.submit(run, job): job for job in ready}
            while running:
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    job, code = running.pop(future), future.result()
                    if code:
                        failed.append((job.trial, code))
                    elif job.until:
                        others = [other for other in rest if other.trial.seed == job.trial.seed]
                        running |= {pool.submit(run, other): other for other in others}
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(processes):
                process.terminate()
            raise
    return failed


def _run(job: Job, arguments: Sequence[str], say: Say, processes: set[subprocess.Popen[bytes]], devices: str) -> int:
    trial = job.trial
    command = [sys.executable, "-m", "warmup_rl.train", *arguments, "--arm", trial.arm, "--seed", str(trial.seed)]
    command += ["--threads", str(job.threads), "--trial", str(os.getpid())]
    if trial.recipe.folded:
        command += ["--fold", LAST_FOLD if trial.fold is None else str(trial.fold)]
    if job.until:
        command += ["--until", job.until]
    environment = {**os.environ, "OMP_NUM_THREADS": str(job.threads)}
    if devices:
        environment["CUDA_VISIBLE_DEVICES"] = devices
        command += ["--gpus", str(devices.count(",") + 1)]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
    ) as process:
        processes.add(process)
        assert process.stdout is not None
        for line in process.stdout:
            say(job.label + line.decode(errors="replace").rstrip("\n"))
        code = process.wait()
        processes.discard(process)
    return code


def shared_prefix(trials: Sequence[Trial]) -> PlannedStage | None:
    """The last of the leading stages that all trials (arms of one seed) share; None if they share none."""
    last = None
    for stages in zip(*(trial.stages for trial in trials), strict=False):
        if len({planned.key for planned in stages}) > 1:
            break
        last = stages[0]
    return last
