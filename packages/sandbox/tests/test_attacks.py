"""Programs that try to cheat or to break out: each gets its verdict on each backend, and the host is unchanged."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest

from attacks.table import EXPECTED, programs, source_of
from program_sandbox import Call, Program, Ran, Sandbox
from sandbox_support import BACKENDS, left_behind, sandbox_or_skip

TESTS = {(1, 2): 3, (5, 7): 12, (-1, 1): 0}
SECRET = "the canary sings"


@dataclass(frozen=True)
class Battle:
    """What became of all programs on one backend, and of the host."""

    rans: dict[str, Ran]
    files: dict[str, str]
    visits: list[str]
    modes: tuple[tuple[int, int, int], tuple[int, int, int]]
    left: list[psutil.Process]


@pytest.fixture(scope="module", params=BACKENDS)
def battle(request: pytest.FixtureRequest) -> Iterator[Battle]:
    """All programs, two at a time, against a host that has something to steal and somebody who listens."""
    sandbox = sandbox_or_skip(request.param)
    with TemporaryDirectory(prefix="host") as name:
        yield _battle(sandbox, Path(name))


def test_every_program_is_in_the_table() -> None:
    assert programs() == set(EXPECTED)
    assert len(EXPECTED) >= 56 + 15


@pytest.mark.parametrize("name", EXPECTED)
def test_a_program_gets_its_verdict(battle: Battle, name: str) -> None:
    ran = battle.rans[name]
    right = ran.status == "done" and list(ran.values) == list(TESTS.values())
    verdict = "timeout" if ran.status == "timeout" else "pass" if right else "fail"
    expected, statuses = EXPECTED[name]
    assert verdict == expected, ran
    assert ran.status in statuses.split("|"), ran


def test_no_file_of_the_host_has_changed(battle: Battle) -> None:
    assert battle.files == {"canary": SECRET}
    assert battle.modes[0] == battle.modes[1]
    assert not list(Path("/tmp").glob("PWNED*")) and not list(Path("/dev/shm").glob("*PWNED*"))


def test_no_connection_has_come_through(battle: Battle) -> None:
    assert battle.visits == []


def test_no_process_is_left(battle: Battle) -> None:
    assert battle.left == []


def _battle(sandbox: Sandbox, folder: Path) -> Battle:
    folder.chmod(0o777)
    canary = folder / "canary"
    canary.write_text(SECRET)
    canary.chmod(0o666)
    before = _mode("/dev/null")
    with _listeners(folder) as listeners:
        words = _words(folder, canary, listeners)
        with ThreadPoolExecutor(2) as pool:
            rans = dict(zip(EXPECTED, pool.map(lambda name: _fight(sandbox, name, words), EXPECTED), strict=True))
        visits = [str(listener.getsockname()) for listener in listeners.values() if _visited(listener)]
    files = {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}
    return Battle(rans, files, visits, (before, _mode("/dev/null")), left_behind())


def _fight(sandbox: Sandbox, name: str, words: dict[str, str]) -> Ran:
    source = source_of(name)
    for word, value in words.items():
        source = source.replace(f"@{word}@", value)
    seconds = 0.5 if EXPECTED[name][0] == "timeout" else 20.0
    return sandbox.run(Program(source, [Call("add", pair) for pair in TESTS], timeout_s=seconds, memory_mb=256))


class _Listeners(dict[str, socket.socket]):
    """One of each kind; closed together."""

    def __enter__(self) -> _Listeners:
        return self

    def __exit__(self, *_: object) -> None:
        for listener in self.values():
            listener.close()


def _listeners(folder: Path) -> _Listeners:
    names: dict[str, tuple[int, str | tuple[str, int]]] = {
        "tcp": (socket.AF_INET, ("127.0.0.1", 0)),
        "unix": (socket.AF_UNIX, os.path.relpath(folder / "socket")),
        "abstract": (socket.AF_UNIX, f"\0program_sandbox-{os.getpid()}"),
    }
    found = _Listeners()
    for name, (family, address) in names.items():
        found[name] = socket.socket(family)
        found[name].bind(address)
        found[name].listen()
        found[name].setblocking(False)
    (folder / "socket").chmod(0o777)
    return found


def _words(folder: Path, canary: Path, listeners: _Listeners) -> dict[str, str]:
    return {
        "FOLDER": str(folder), "CANARY": str(canary), "PORT": str(listeners["tcp"].getsockname()[1]),
        "SOCKET": str(folder / "socket"), "ABSTRACT": listeners["abstract"].getsockname()[1:].decode(),
        "PID": str(os.getpid()), "GROUP": str(os.getpgrp()), "TESTS": __file__,
    }  # fmt: skip


def _visited(listener: socket.socket) -> bool:
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def _mode(path: str) -> tuple[int, int, int]:
    found = os.stat(path)
    return found.st_mode, found.st_uid, found.st_gid
