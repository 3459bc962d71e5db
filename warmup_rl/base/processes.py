"""Work on batches in processes of their own."""

from __future__ import annotations

import gc
import os
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain, islice
from multiprocessing.connection import Connection, Pipe
from queue import SimpleQueue
from subprocess import Popen
from traceback import format_exc
from typing import Any, TypeVar, cast

from warmup_rl.base.errors import UserError
from warmup_rl.base.stopping import stop_with

Batch = TypeVar("Batch")
Made = TypeVar("Made")


def in_processes(
    make: Callable[[Batch], Made], batches: Iterable[Batch], processes: int
) -> Generator[Made, None, None]:
    """What `make` makes of each batch, in order, while the next ones are drawn; a few batches are held at a time.

    One batch alone is made here, and starts no process. The processes do not import the script that runs here, as those
    of `multiprocessing` do: it need not guard its `main`, and may be a terminal.

    Args:
        make: a function of a module.

    Raises:
        UserError: a process ended before its work, as one that the system kills.
    """
    batches = iter(batches)
    first, ahead, free = list(islice(batches, 2)), deque[Future[Made]](), SimpleQueue[Connection]()
    if len(first) == 1:
        yield make(first[0])
        return

    def ask(batch: Batch) -> Made:
        worker = free.get()
        try:
            worker.send((make, batch))
            made, error = worker.recv()
        except (EOFError, OSError):
            raise UserError(
                "A process that this command had started ended before its work, often for lack of memory. Free some "
                "and run the command again."
            ) from None
        finally:
            free.put(worker)
        if error:
            raise error
        return cast(Made, made)

    with ExitStack() as started:
        threads = started.enter_context(ThreadPoolExecutor(processes))  # left last, when the processes are gone
        for _ in range(processes):
            free.put(started.enter_context(_worker()))
        for batch in chain(first, batches):
            ahead.append(threads.submit(ask, batch))
            if len(ahead) > 2 * processes:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


@contextmanager
def _worker() -> Iterator[Connection]:
    """A process that serves a connection; it ends with it, and does not hear of Ctrl-C."""
    ours, theirs = Pipe()
    with theirs:
        place = theirs.fileno()
        serving = f"from {__name__} import serve; serve({place}, {os.getpid()})"
        code = f"import sys; sys.path[:] = {sys.path!r}; {serving}"
        process = Popen([sys.executable, "-c", code], pass_fds=[place], process_group=0)
    try:
        yield ours
    finally:
        process.kill()  # it has nothing to tidy up
        process.wait()


def serve(place: int, parent: int) -> None:
    """Makes what the process `parent` asks for at a connection, given its file descriptor, until one of them ends."""
    gc.disable()  # what batches are made of has no cycles
    stop_with([parent])
    with Connection(place) as asked, suppress(EOFError, OSError):
        while True:
            make, batch = asked.recv()
            try:
                answer: tuple[Any, Exception | None] = make(batch), None
            except Exception as error:
                error.add_note(format_exc())
                answer = None, error
            asked.send(answer)
