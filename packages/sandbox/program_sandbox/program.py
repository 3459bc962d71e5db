"""What goes into a sandbox and what comes out of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["done", "timeout", "crashed", "tampered", "raised", "no_function"]


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a function that the program defines.

    Attributes:
        function: a name at the top of the program.
        arguments: positional arguments; exact builtin types only (None, bool, int, float, complex, str, bytes, tuple,
            list, dict, set, frozenset), nested at most about 500 levels.
        keywords: keyword arguments of the same types.
    """

    function: str
    arguments: Sequence[Any] = ()
    keywords: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Program:
    """A program and the calls to make, in this order, in one process.

    Attributes:
        source: Python; it is run as a module whose `__name__` is not `__main__`.
        timeout_s: seconds for loading and all calls together, without the start of the interpreter and without the
            time that the program waits for a core.
        memory_mb: limit of the address space, in MiB.

    Raises:
        ValueError: a limit is not a finite number above 0.
        TypeError: the source is not text, or the calls are not all a `Call`.
    """

    source: str
    calls: Sequence[Call]
    timeout_s: float = 3.0
    memory_mb: int = 1024

    def __post_init__(self) -> None:
        for name, limit in (("timeout_s", self.timeout_s), ("memory_mb", self.memory_mb)):
            if not 0 < limit < math.inf:
                raise ValueError(f"{name}: a number above 0 is needed (got {limit!r})")
        if not isinstance(self.source, str):
            raise TypeError(f"source: Python as text is needed (got an object of type {type(self.source).__name__})")
        if wrong := [call for call in self.calls if not isinstance(call, Call)]:
            raise TypeError(f"calls: a sequence of Call(function, arguments) is needed (got {wrong[0]!r} in it)")


@dataclass(frozen=True, slots=True, eq=False)
class Raised:
    """Stands for the value of a call that raised; `kind` is the name of the exception's class, as the child reports it.

    Equal to nothing, not even to another of its kind: no program is right because it fails like the reference.
    """

    kind: str


@dataclass(frozen=True, slots=True, eq=False)
class Refused:
    """Stands for a value that is not plain data; `why` names its type, or says that it is too large or too deep.

    Equal to nothing, as `Raised`: the program itself chooses the name of a type.
    """

    why: str


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of a program.

    Attributes:
        status: `done`: every call has a value; `timeout`; `crashed`: the process ended early (exit, signal, memory);
            `tampered`: what came through the result pipe is not what the child writes; `raised`: the program could not
            be loaded; `no_function`: it does not define a function that is to be called.
        values: one for each call that was finished; plain data, `Raised` or `Refused`.
        seconds: wall clock from the program's first line.
        note: the reason, where the status is not `done`.
    """

    status: Status
    values: tuple[Any, ...]
    seconds: float
    note: str = ""
