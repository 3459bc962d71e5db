"""Console output: progress, durations, sizes and counts in words, and a log file for the output of libraries."""

from __future__ import annotations

import errno
import gc
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warmup_rl.base.errors import UserError
from warmup_rl.base.files import DISK_FULL
from warmup_rl.base.machine import share_cores
from warmup_rl.base.untrusted import printable

if TYPE_CHECKING:
    from rich.console import Console

_COLLECT_AFTER = 20_000
"""Objects that are made between two garbage collections; with Python's 700 they are a fifth of the time that importing
torch, transformers and trl takes."""
REPORT_SECONDS = 20.0
"""Time between two lines of progress."""


class _Printable:
    """A text stream that shows only what is safe; rich, which writes escape sequences of its own, gets the stream."""

    def __init__(self, stream: Any) -> None:
        self.rich_proxied_file = stream

    def write(self, text: str) -> int:
        self.rich_proxied_file.write("\r".join(map(printable, text.split("\r"))))  # progress bars return to the left
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rich_proxied_file, name)


def run_command(command: Callable[[], int], *, quiet: bool = False) -> int:
    """Runs a command: all that it prints is shown with escapes for what a terminal would act on, and what the user can
    fix is printed on stderr without a traceback (not if `quiet`: another rank does).

    Returns the command's exit code; 2 for a `UserError`, and where the system cannot read or write a file that
    the error names.
    """
    share_cores()
    gc.set_threshold(_COLLECT_AFTER)
    out, err = (one if isinstance(one, _Printable) else _Printable(one) for one in map(_open, (sys.stdout, sys.stderr)))
    with redirect_stdout(out), redirect_stderr(err):  # type: ignore[type-var]
        try:
            return command()
        except BrokenPipeError:
            return 0
        except UserError as error:
            line = str(error)
        except OSError as error:
            if error.errno == errno.ENOENT or error.filename is None and error.errno not in DISK_FULL:
                raise  # the code looks for files before it opens them
            fix = ""
            if error.errno in DISK_FULL:
                fix = " Finished work is kept: free some space and run the same command."
            elif error.errno in (errno.EEXIST, errno.ENOTDIR):
                fix = " A file stands where a folder is needed: give another path."
            line = f"{f'{error.filename}: ' if error.filename else ''}{error.strerror}.{fix}"
        if not quiet:
            print(printable(line), file=sys.stderr)
        return 2


def _open(stream: Any) -> Any:
    """The stream, or one that leads nowhere in place of a closed one, which is None."""
    return stream or open(os.devnull, "w", encoding="utf-8")


@contextmanager
def quiet_libraries(log: Path, prefix: str = "") -> Iterator[Callable[[str], None]]:
    """Redirects file descriptors 1 and 2 to `log`, also for child processes and C libraries, until the end.

    Yields a function that prints a line to the real stdout and the log.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.close(target)

    def say(line: str) -> None:
        for part in line.splitlines() or [""]:
            text = f"{prefix}{printable(part)}\n".encode()
            os.write(kept[0], text)
            os.write(1, text)

    try:
        yield say
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, saved in enumerate(kept, start=1):
            os.dup2(saved, number)
            os.close(saved)


def progress(say: Callable[[str], None], name: str, total: int) -> Callable[[int], None]:
    """Returns a function to call with the number of items just finished; it prints at most once in 20 seconds."""
    start = last = time.monotonic()
    done = 0

    def step(count: int) -> None:
        nonlocal done, last
        done += count
        now = time.monotonic()
        if 0 < done < total and now - last >= REPORT_SECONDS:
            last = now
            say(f"{name}: {done} of {total}, {duration((now - start) / done * (total - done))} left")

    return step


def duration(seconds: float) -> str:
    """`47 s`, `3 min 20 s`, `1 h 05 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def counted(number: int, what: str) -> str:
    """`1 seed`, `1,200 problems`."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def shortened(text: str) -> str:
    """The beginning and the end of a text with more than 600 characters."""
    return text if len(text) <= 600 else f"{text[:300]}\n  […]\n{text[-300:]}"


def size_in_words(count: int) -> str:
    """`980 B`, `1.9 MB`, given bytes."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 10 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def open_console(**options: Any) -> Console:
    """A rich console on stdout that prints as `printable` says; 120 columns wide if stdout is not a terminal."""
    from rich.console import Console
    from rich.segment import Segment

    class Printable(Console):
        def render(self, *given: Any, **named: Any) -> Iterator[Segment]:
            for text, style, control in super().render(*given, **named):
                yield Segment(text if control else printable(text), style, control)

    return Printable(highlight=False, width=None if sys.stdout.isatty() else 120, **options)


@contextmanager
def progress_bar(name: str) -> Iterator[Callable[[int | None], Callable[[int], None]] | None]:
    """A progress bar on stderr, or None if stderr is not a terminal: a function of the total (None if unknown) that
    returns a function to call with the number of items just finished."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(name), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:

        def start(total: int | None) -> Callable[[int], None]:
            task = bar.add_task(name, total=total)
            return lambda count: bar.advance(task, count)

        yield start
