"""Runs arms and seeds side by side, each lane a process of its own, what they share first."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import groupby

from warmup_rl.command import LAST
from warmup_rl.run import Lane, shared_prefix

Say = Callable[[str], None]


@dataclass(frozen=True)
class Job:
    """A lane to run, up to and with stage `until` or to its end, in a process with `threads` threads."""

    lane: Lane
    threads: int
    until: str | None = None

    @property
    def label(self) -> str:
        return lane_label("shared", self.lane.seed) if self.until else lane_label(*self.lane.place)


def lane_label(arm: str, seed: int, fold: int | None = None) -> str:
    """What each console line of a lane begins with."""
    return f"seed {seed} {arm if fold is None else f'{arm} fold {fold}':<11}│ "


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def first_jobs(lanes: Sequence[Lane], workers: int) -> list[Job]:
    """A job a seed for the stages that its arms share and nobody has made yet."""
    prefixes = []
    for _, group in groupby(sorted(lanes, key=lambda lane: lane.seed), key=lambda lane: lane.seed):
        arms = list(group)
        step = shared_prefix(arms)
        if len(arms) > 1 and step is not None and not arms[0].slot(step).done:
            prefixes.append((arms[0], step.stage.id))
    threads = max(1, cores() // max(1, min(workers, len(prefixes))))
    return [Job(lane, threads, until) for lane, until in prefixes]


def run_side_by_side(lanes: Sequence[Lane], arguments: Sequence[str], workers: int, say: Say) -> list[tuple[Lane, int]]:
    """Runs all lanes, at most `workers` at a time; a lane that fails does not stop the others.

    Args:
        arguments: recipe and overrides, as on the command line.

    Returns:
        The lanes that failed, with the exit code of their process.
    """
    threads = max(1, cores() // workers)
    first = first_jobs(lanes, workers)
    waiting = {job.lane.seed for job in first}
    rest = [Job(lane, threads) for lane in sorted(lanes, key=_open_stages, reverse=True) if not lane.finished]
    failed: list[tuple[Lane, int]] = []
    processes: set[subprocess.Popen[bytes]] = set()
    with ThreadPoolExecutor(workers) as pool:
        running: dict[Future[int], Job] = {}

        def start(job: Job) -> None:
            running[pool.submit(_run, job, arguments, say, processes)] = job

        try:
            for job in first:
                start(job)
            for job in rest:
                if job.lane.seed not in waiting:
                    start(job)
            while running:
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    job, code = running.pop(future), future.result()
                    if code:
                        failed.append((job.lane, code))
                    elif job.until:
                        for other in rest:
                            if other.lane.seed == job.lane.seed:
                                start(other)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(processes):
                process.terminate()
            raise
    return failed


def exit_with_parent() -> None:
    """In a lane process: ends it when the parent, which holds the other end of stdin, is gone."""

    def watch() -> None:
        while os.read(0, 1):
            pass
        os._exit(130)

    threading.Thread(target=watch, daemon=True).start()


def _open_stages(lane: Lane) -> int:
    return sum(not lane.slot(step).done for step in lane.steps)


def _run(job: Job, arguments: Sequence[str], say: Say, processes: set[subprocess.Popen[bytes]]) -> int:
    until = ["--until", job.until] if job.until else []
    command = [sys.executable, "-m", "warmup_rl.train", *arguments, "--arm", job.lane.arm, "--seed", str(job.lane.seed)]
    if job.lane.recipe.folded:
        command += ["--fold", LAST if job.lane.fold is None else str(job.lane.fold)]
    command += [*until, "--threads", str(job.threads), "--lane"]
    environment = {**os.environ, "OMP_NUM_THREADS": str(job.threads)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
    ) as process:
        processes.add(process)
        assert process.stdout is not None
        for line in process.stdout:
            say(job.label + line.decode(errors="replace").rstrip("\n"))
        code = process.wait()
        processes.discard(process)
    return code
