"""The sandbox: values over the border, who the child is, what happens when it is killed or cannot start, backends."""

from __future__ import annotations

import json
import os
import resource
import signal
import struct
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from program_sandbox import (
    Call,
    Program,
    Raised,
    Refused,
    Sandbox,
    SandboxError,
    SandboxUnavailable,
    as_set,
    open_sandbox,
)
from program_sandbox.backends import Backend, BackendMissing, _process, bwrap_backends, unsafe_backends
from program_sandbox.child import BOOT, MAX_KEYS, MAX_VALUE, plain
from program_sandbox.seccomp import filter_program
from program_sandbox.selection import probe
from program_sandbox.selftest import faults
from program_sandbox.values import Malformed, decode
from sandbox_support import BACKENDS, left_behind, sandbox_or_skip

ECHO = "def echo(value):\n    return value\n"
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(min_value=-(10**300), max_value=10**300), st.text(),
    st.floats(allow_nan=False), st.complex_numbers(allow_nan=False), st.binary(),
)  # fmt: skip
KEYS = st.recursive(SCALARS, lambda inner: st.one_of(st.tuples(inner, inner), st.frozensets(inner)), max_leaves=4)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner), st.tuples(inner, inner), st.sets(KEYS), st.dictionaries(KEYS, inner), st.frozensets(KEYS)
    ),
    max_leaves=12,
)


@pytest.fixture(scope="module", params=BACKENDS)
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    return sandbox_or_skip(request.param)


def typed(value: Any) -> Any:
    """A value with its types, so that True is not 1, nor -0.0 the same as 0.0."""
    if isinstance(value, dict):
        return "dict", [(typed(key), typed(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return type(value).__name__, [typed(item) for item in value]
    if isinstance(value, set | frozenset):
        return type(value).__name__, sorted(repr(typed(item)) for item in value)
    return type(value).__name__, repr(value)


@settings(max_examples=100, deadline=None)
@given(VALUES)
def test_a_value_is_the_same_on_the_other_side(value: Any) -> None:
    line = f'["value",{plain(value)}]'.encode()
    assert typed(decode(line)) == typed(("value", value))


BORDER = [
    None, True, 0, -1, 2**53, -(2**64), 10**4000, 0.1, float("inf"), -0.0, 1 + 2j, "", "é\x00\n", b"\xff", [], (), [[]],
    ((),), set(), {1, "a"}, frozenset({2}), {}, {(1, 2): [3, {"a": None}]}, {True: 1.0},
]  # fmt: skip


def test_arguments_and_results_keep_their_types(sandbox: Sandbox) -> None:
    ran = sandbox.run(Program(ECHO, [Call("echo", (value,)) for value in BORDER]))
    assert ran.status == "done"
    assert [typed(value) for value in ran.values] == [typed(value) for value in BORDER]


REFUSED: list[tuple[str, str, str]] = [
    ("generator", "(x for x in [1])", "generator"),
    ("subclass", "type('Mine', (int,), {})(3)", "Mine"),
    ("own class called Match", "type('Match', (), {})()", "Match"),
    ("function", "len", "builtin_function_or_method"),
    ("too deep", "eval('[' * 60 + ']' * 60)", "nested too deep"),
    ("range without end", "range(10 ** 12)", "too large"),
    ("range beyond all", "range(10 ** 30)", "too large"),
    ("too large", f"'x' * {MAX_VALUE}", "too large"),
    ("number too long to be written", f"1 << {8 * MAX_VALUE}", "too large"),
    ("lone surrogate", "chr(0xd800)", "UnicodeEncodeError"),
    ("too many keys", "dict.fromkeys(range(5000))", "too large"),
    ("too many elements", "set(range(5000))", "too large"),
]


def test_only_plain_data_comes_back(sandbox: Sandbox) -> None:
    calls = "".join(f"def f{index}():\n    return {row[1]}\n" for index, row in enumerate(REFUSED))
    ran = sandbox.run(Program(calls, [Call(f"f{index}") for index in range(len(REFUSED))]))
    assert [value.why for value in ran.values] == [row[2] for row in REFUSED]


def test_dictionaries_of_the_library_and_ranges_come_back() -> None:
    from collections import Counter, OrderedDict, defaultdict

    for value in (Counter("aab"), OrderedDict(a=1), defaultdict(int, a=2)):
        assert decode(f'["value",{plain(value)}]'.encode()) == ("value", dict(value))
    assert decode(f'["value",{plain(range(1, 9, 2))}]'.encode()) == ("value", range(1, 9, 2))


MALFORMED: list[tuple[str, str]] = [
    ("no JSON", "hello"),
    ("an object", '{"a": 1}'),
    ("an object as value", '["value",{"a":1}]'),
    ("a float literal", '["value",0.5]'),
    ("not a number", '["value",NaN]'),
    ("a huge literal", '["value",' + "9" * 5000 + "]"),
    ("deep JSON", '["value",' + "[" * 100_000),
    ("deep value", '["value",' + '["l",' * 60 + "1" + "]" * 62),
    ("unknown tag", '["value",["q",1]]'),
    ("no tag", '["value",[1,2]]'),
    ("empty", '["value",[]]'),
    ("a key that cannot be hashed", '["value",["d",["l"],1]]'),
    ("a key without value", '["value",["d",1]]'),
    ("a key twice", '["value",["d",1,2,1,3]]'),
    ("an element twice", '["value",["s",1,1]]'),
    ("keys that collide", json.dumps(["value", ["s", *(["i", f"{n * ((1 << 61) - 1):x}"] for n in range(1, 99))]])),
    ("hex with a prefix", '["value",["i","0x1f"]]'),
    ("hex with blanks", '["value",["i"," 1f"]]'),
    ("number for text", '["value",["i",5]]'),
    ("bad float", '["value",["f","1,5"]]'),
    ("float too large", '["value",["f","0x1p99999"]]'),
    ("range without step", '["value",["r",1,2,0]]'),
    ("range without end", '["value",["r",0,9000000000000,1]]'),
    ("range beyond all", '["value",["r",0,["i","ffffffffffffffffffff"],1]]'),
    ("range of booleans", '["value",["r",true,2,3]]'),
    ("lone surrogate", '["value","\\ud800"]'),
    ("lone surrogate in a name", '["raised","\\ud800"]'),
    ("two values", '["value",1,2]'),
    ("more keys than any", json.dumps(["value", ["s", *range(MAX_KEYS + 1)]])),
    ("a list for a name", '["raised",["l"]]'),
]


@pytest.mark.parametrize("line", [row[1] for row in MALFORMED], ids=[row[0] for row in MALFORMED])
def test_what_the_child_would_not_write_is_refused(line: str) -> None:
    with pytest.raises(Malformed):
        decode(line.encode())


def test_values_made_to_collide_are_no_set() -> None:
    prime = (1 << 61) - 1
    assert as_set([number * prime for number in range(40_000)]) is None
    assert as_set([(number * prime,) for number in range(40_000)]) is None
    assert as_set([[1]]) is None
    assert as_set(range(5000)) is None
    assert as_set([1, 2, 1, -1, -2] * 1000) == {1, 2, -1, -2}


def test_a_forged_note_is_short_and_printable() -> None:
    body = "\x1b[31m\u202e\n" + "A" * 100_000
    for word in ("raised", "refused", "missing", "broken"):
        note = decode(json.dumps([word, body]).encode())[1]
        assert note.startswith("\\x1b[31m\\u202e\\nAAA") and len(note) == 80


def test_failing_alike_is_not_being_equal() -> None:
    assert Raised("ValueError") != Raised("ValueError")
    assert Refused("Match") != Refused("Match")


def test_only_plain_data_goes_in(sandbox: Sandbox) -> None:
    with pytest.raises(TypeError, match="an argument of echo is of type object"):
        sandbox.run(Program(ECHO, [Call("echo", (object(),))]))


@pytest.mark.parametrize(
    ("limit", "value"),
    [("timeout_s", -1), ("timeout_s", 0), ("timeout_s", float("nan")), ("memory_mb", 0), ("timeout_s", float("inf"))],
)
def test_a_limit_is_a_finite_number_above_0(limit: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{limit}: a number above 0 is needed"):
        Program(ECHO, [], **{limit: value})


def test_something_else_than_a_program_is_named(sandbox: Sandbox) -> None:
    wrong: Any = "x=1"
    with pytest.raises(TypeError, match=r"a Program\(source, calls\) is needed \(got an object of type str\)"):
        sandbox.run(wrong)
    with pytest.raises(TypeError, match="source: Python as text is needed"):
        Program(None, [])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"a sequence of Call\(function, arguments\) is needed \(got 'echo' in it\)"):
        Program(ECHO, ["echo"])  # type: ignore[list-item]


def test_each_call_gets_arguments_of_its_own(sandbox: Sandbox) -> None:
    source = "def take(items, more=()):\n    items.append(len(more))\n    return items\n"
    shared: list[int] = [1]
    ran = sandbox.run(Program(source, [Call("take", (shared,)), Call("take", (shared,), {"more": (1, 2)})]))
    assert ran.values == ([1, 0], [1, 2])
    assert shared == [1]


def test_programs_share_nothing(sandbox: Sandbox) -> None:
    source = "import builtins\nseen = hasattr(builtins, 'mark')\nbuiltins.mark = 1\ndef f():\n    return seen\n"
    assert [sandbox.run(Program(source, [Call("f")])).values for _ in range(3)] == [(False,)] * 3


def test_a_program_does_the_same_every_time(sandbox: Sandbox) -> None:
    source = "def f():\n    return list({'a', 'b', 'c', 'd', 'e'}), hash('x')\n"
    assert len({repr(sandbox.run(Program(source, [Call("f")])).values) for _ in range(3)}) == 1


def test_values_before_the_end_are_kept(sandbox: Sandbox) -> None:
    source = "import time\ndef f(n):\n    return n if n < 2 else time.sleep(60)\n"
    ran = sandbox.run(Program(source, [Call("f", (n,)) for n in range(4)], timeout_s=0.3))
    assert (ran.status, ran.values) == ("timeout", (0, 1))
    assert 0.3 <= ran.seconds < 20


def test_the_child_is_nobody_and_knows_nothing(sandbox: Sandbox) -> None:
    source = "from os import *\ndef who():\n    return getuid(), geteuid(), getgid(), getegid(), dict(environ)\n"
    user, effective, group, effective_group, environment = sandbox.run(Program(source, [Call("who")])).values[0]
    if "user" in sandbox.how:  # a root that may not change its user stays what it is
        assert (user, effective, group, effective_group) == (65534,) * 4
    assert set(environment) <= {
        "PYTHONHASHSEED", "TZ", "LC_ALL", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "PWD", "LC_CTYPE"
    }  # fmt: skip


def test_the_child_of_root_is_nobody_on_the_host_too(sandbox: Sandbox) -> None:
    if "another user" not in sandbox.how:
        pytest.skip("only root can become another user")

    def look(process: psutil.Process) -> tuple[Any, ...]:
        status = open(f"/proc/{process.pid}/status").read().split("\n")
        fields = dict(line.split(":\t", 1) for line in status if ":\t" in line)
        rights = int(fields["CapEff"], 16) | int(fields["CapPrm"], 16), fields["NoNewPrivs"], fields["Seccomp"]
        return process.uids().real, process.gids().real, *rights

    found, _ = while_running(sandbox, look, seconds=0.5)
    assert found == (65534, 65534, 0, "1", "2")


def test_a_hundred_programs_at_once_are_all_right(sandbox: Sandbox) -> None:
    source = "def add(a, b):\n    print(a)\n    return a + b\n"
    with ThreadPoolExecutor(8) as pool:
        rans = list(pool.map(lambda n: sandbox.run(Program(source, [Call("add", (n, 1))], 30.0)), range(100)))
    assert [ran.values for ran in rans] == [(n + 1,) for n in range(100)]


def test_many_runs_leave_nothing_open(sandbox: Sandbox) -> None:
    programs = [ECHO, "import os\nos._exit(3)\n", "def echo(value):\n    while True: pass\n"]

    def run(number: int) -> str:
        return sandbox.run(Program(programs[number % 30 if number % 30 < 3 else 0], [Call("echo", (1,))], 0.1)).status

    before = len(os.listdir("/proc/self/fd"))
    with ThreadPoolExecutor(2) as pool:
        assert {"done", "crashed", "timeout"} >= set(pool.map(run, range(150)))
    assert len(os.listdir("/proc/self/fd")) == before
    assert left_behind() == []
    assert [child for child in psutil.Process().children(recursive=True) if child.status() == "zombie"] == []


def test_a_program_that_somebody_kills_is_run_again(sandbox: Sandbox) -> None:
    killed, ran = while_running(sandbox, lambda process: process.send_signal(signal.SIGKILL), seconds=0.5)
    assert killed is None
    assert ran.status == "timeout"  # of the second run


def test_a_program_cannot_pass_for_one_that_was_killed(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    limit = "resource.setrlimit(resource.RLIMIT_CPU, (0, 1))"
    source = f"import os, resource\ndef leave():\n    os._exit(137)\ndef lower():\n    {limit}\n"
    ran = sandbox.run(Program(source, [Call("leave")]))
    assert (ran.status, ran.note) == ("crashed", "ended by SIGSYS")
    assert isinstance(sandbox.run(Program(source, [Call("lower")])).values[0], Raised)
    assert "run again" not in caplog.text


def test_a_program_that_waits_for_a_core_has_its_time(sandbox: Sandbox) -> None:
    """Six programs that spin on one core: each gets a sixth of the time, and the honest one needs half of its limit."""
    spin = "def run():\n    while True: pass\n"
    honest = "import time\ndef run():\n    end = time.process_time() + 0.4\n    while time.process_time() < end: pass\n"
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        with ThreadPoolExecutor(6) as pool:
            sources = [*[spin] * 5, honest]
            rans = list(pool.map(lambda source: sandbox.run(Program(source, [Call("run")], 0.8)), sources))
    finally:
        os.sched_setaffinity(0, allowed)
    assert [ran.status for ran in rans] == [*["timeout"] * 5, "done"]


def test_sleep_counts_as_time_of_the_program(sandbox: Sandbox) -> None:
    ran = sandbox.run(Program("import time\ndef nap():\n    time.sleep(60)\n", [Call("nap")], 0.3))
    assert ran.status == "timeout"


def test_where_memory_runs_out_the_program_is_the_first_to_go(sandbox: Sandbox) -> None:
    read = lambda process: open(f"/proc/{process.pid}/oom_score_adj").read().strip()  # noqa: E731
    assert while_running(sandbox, read, seconds=0.5)[0] == "1000"


def test_a_wrapper_without_caller_is_ended() -> None:
    """A caller that is killed at once leaves a wrapper that waits for it; the next caller ends it."""
    sandbox_or_skip("bwrap")
    sleep = [sys.executable, "-c", "import time; time.sleep(600)", BOOT]
    gone = psutil.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    owners = [_process(gone.pid), _process(os.getpid()), "pid:[1] 1 1"]
    gone.kill()
    gone.wait()
    ended, mine, elsewhere = [psutil.Popen([*sleep, owner]) for owner in owners]
    try:
        list(bwrap_backends(()))
        assert ended.wait(10) == -signal.SIGKILL
        assert mine.is_running() and elsewhere.is_running()
    finally:
        for process in (ended, mine, elsewhere):
            with suppress(psutil.NoSuchProcess):
                process.kill()
            process.wait()


def test_a_wrapper_that_is_killed_twice_gives_no_verdict() -> None:
    sandbox = sandbox_or_skip("bwrap")
    program = Program("import time\ndef wait():\n    time.sleep(60)\n", [Call("wait")], 60.0)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(sandbox.run, program)
        killed: set[int] = set()
        while len(killed) < 2 and not running.done():
            for wrapper in psutil.Process().children():
                if wrapper.pid not in killed and any(map(_filtered, wrapper.children(recursive=True))):
                    wrapper.kill()
                    killed.add(wrapper.pid)
        with pytest.raises(SandboxUnavailable, match="the sandbox was killed"):
            running.result()


def test_nothing_outlives_a_killed_trainer(sandbox: Sandbox) -> None:
    mark = f"sleep_{time.monotonic_ns()}"
    script = f"""
from program_sandbox import Call, Program, open_sandbox
source = "import time\\ndef {mark}():\\n    time.sleep(60)\\n"
open_sandbox({sandbox.backend!r}).run(Program(source, [Call("{mark}")], 60.0))
"""
    trainer = psutil.Popen([sys.executable, "-c", script])
    family: list[psutil.Process] = []
    while trainer.poll() is None and not any(_filtered(child) and _honest(child) for child in family):
        family = trainer.children(recursive=True)
    trainer.kill()
    trainer.wait()
    assert family
    assert psutil.wait_procs(family, timeout=10)[1] == []


def while_running(sandbox: Sandbox, act: Any, seconds: float = 3.0) -> tuple[Any, Any]:
    """Does something to the interpreter of a program that waits; what that gives, and what became of the program."""
    mark = f"wait_{threading.get_ident()}_{time.monotonic_ns()}"
    source = f"import time\ndef {mark}():\n    time.sleep(60)\n"
    rans: list[Any] = []
    thread = threading.Thread(target=lambda: rans.append(sandbox.run(Program(source, [Call(mark)], seconds))))
    thread.start()
    found = []
    while not found and thread.is_alive():
        children = psutil.Process().children(recursive=True)
        found = [child for child in children if child.name().startswith("python") and _filtered(child)]
    result = act(found[0])
    thread.join()
    return result, rans[0]


def _honest(process: psutil.Process) -> bool:
    """Whether it has slept for a while: it is no program of the self-test."""
    return time.time() - process.create_time() > 0.3


def _filtered(process: psutil.Process) -> bool:
    """Whether the system call filter is on: the last thing before the program begins."""
    try:
        return "Seccomp:\t2" in open(f"/proc/{process.pid}/status").read()
    except OSError:
        return False


def test_a_sandbox_that_fails_gives_no_verdict_and_then_ends_the_run() -> None:
    broken = Sandbox(Backend("bwrap", "a wrapper that is none", ("/bin/false",), {}))
    for _ in range(4):
        with pytest.raises(SandboxUnavailable, match="ended before it was ready"):
            broken.run(Program(ECHO, [Call("echo", (1,))]))
    with pytest.raises(SandboxError, match="failed on 5 programs in a row"):
        broken.run(Program(ECHO, [Call("echo", (1,))]))


def test_a_machine_out_of_descriptors_is_no_fault_of_the_program(sandbox: Sandbox) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (before + 3, hard))
    try:
        with pytest.raises(SandboxUnavailable, match="cannot start a process"):
            sandbox.run(Program(ECHO, [Call("echo", (1,))]))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(os.listdir("/proc/self/fd")) == before
    assert sandbox.run(Program(ECHO, [Call("echo", (1,))])).values == (1,)


def test_the_self_test_sees_through_a_sandbox_that_is_none() -> None:
    found = "; ".join(faults(Sandbox(next(unsafe_backends(())))))
    assert "read(" in found and "send(" in found and "a connection came through" in found


def test_the_unsafe_way_must_be_asked_for_twice(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("WARMUP_RL_UNSAFE_SANDBOX", raising=False)
    with pytest.raises(SandboxError, match="set WARMUP_RL_UNSAFE_SANDBOX=1"):
        open_sandbox("unsafe_subprocess")
    monkeypatch.setenv("WARMUP_RL_UNSAFE_SANDBOX", "1")
    assert open_sandbox("unsafe_subprocess").run(Program(ECHO, [Call("echo", (5,))])).values == (5,)
    assert "NO SANDBOX" in capsys.readouterr().err


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(SandboxError, match="Allowed: auto, bwrap, landlock, unsafe_subprocess"):
        open_sandbox("docker")  # type: ignore[arg-type]


def test_a_missing_wrapper_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(BackendMissing, match="not installed") as caught:
        list(bwrap_backends(()))
    assert "apt-get install bubblewrap" in caught.value.fix


@pytest.fixture
def without_bwrap(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine on which bubblewrap is not installed."""
    monkeypatch.setenv("PATH", "/nowhere")
    probe.cache_clear()
    yield
    probe.cache_clear()


def test_without_bubblewrap_the_next_backend_is_used(without_bwrap: None) -> None:
    sandbox_or_skip("landlock")
    assert open_sandbox().backend == "landlock"
    with pytest.raises(SandboxError, match="bwrap: bubblewrap is not installed. To fix: apt-get install bubblewrap"):
        open_sandbox("bwrap")


@pytest.mark.parametrize("backend", BACKENDS)
def test_named_packages_can_be_imported_and_no_others(backend: str) -> None:
    pytest.importorskip("numpy")
    sandbox_or_skip(backend)
    source = "import numpy\ndef f(a):\n    return numpy.array(a).sum().item()\ndef g():\n    import torch\n"
    with_numpy = open_sandbox(backend, packages=["numpy"])  # type: ignore[arg-type]
    total, other = with_numpy.run(Program(source, [Call("f", ([1, 2],)), Call("g")], 30.0, memory_mb=2048)).values
    assert (total, other.kind) == (3, "ModuleNotFoundError")
    assert open_sandbox(backend).run(Program(source, [Call("f", ([1, 2],))])).status == "raised"  # type: ignore[arg-type]


ALLOW, KILL = 0x7FFF0000, 0x80000000
CALLS: list[tuple[str, str, int, tuple[int, ...], str]] = [
    ("read", "x86_64", 0, (), "allow"), ("read", "aarch64", 63, (), "allow"),
    ("clone", "x86_64", 56, (), "EPERM"), ("clone", "aarch64", 220, (), "EPERM"),
    ("fork", "x86_64", 57, (), "EPERM"), ("vfork", "x86_64", 58, (), "EPERM"),
    ("clone3", "x86_64", 435, (), "ENOSYS"), ("clone3", "aarch64", 435, (), "ENOSYS"),
    ("execve", "x86_64", 59, (), "EPERM"), ("execve", "aarch64", 221, (), "EPERM"),
    ("socket", "x86_64", 41, (), "EPERM"), ("socket", "aarch64", 198, (), "EPERM"),
    ("kill", "x86_64", 62, (), "EPERM"), ("kill", "aarch64", 129, (), "EPERM"),
    ("ptrace", "aarch64", 117, (), "EPERM"), ("openat to read", "x86_64", 257, (0, 0, 0o2000000), "allow"),
    ("openat to read", "aarch64", 56, (0, 0, 0o2000000), "allow"),
    ("openat to write", "x86_64", 257, (0, 0, 1), "EACCES"), ("openat to write", "aarch64", 56, (0, 0, 2), "EACCES"),
    ("openat to cut", "aarch64", 56, (0, 0, 0o1000), "EACCES"), ("open to make", "x86_64", 2, (0, 0o100), "EACCES"),
    ("fcntl duplicate", "x86_64", 72, (0, 1030), "allow"), ("fcntl owner", "x86_64", 72, (0, 8), "EPERM"),
    ("ioctl of a terminal", "aarch64", 29, (0, 0x5412), "ENOTTY"), ("isatty", "aarch64", 29, (0, 0x5401), "allow"),
    ("own limits", "aarch64", 261, (0,), "allow"), ("new limits", "x86_64", 302, (0, 0, 4096), "EPERM"),
    ("exit", "x86_64", 231, (1,), "allow"), ("exit as if killed", "x86_64", 231, (0x189,), "kill"),
    ("exit as if killed", "aarch64", 94, (137,), "kill"), ("limits of others", "aarch64", 261, (7,), "EPERM"),
    ("socketpair of streams", "x86_64", 53, (1, 0o2000001), "allow"),
    ("socketpair of datagrams", "x86_64", 53, (1, 2), "EPERM"), ("socketpair inet", "x86_64", 53, (2, 1), "EPERM"),
    ("x32", "x86_64", 0x40000000, (), "kill"), ("a call of the future", "x86_64", 999, (), "EPERM"),
    ("a call of the future", "aarch64", 999, (), "EPERM"),
]  # fmt: skip


@pytest.mark.parametrize(("machine", "number", "arguments", "verdict"), [row[1:] for row in CALLS],
                         ids=[f"{row[0]}, {row[1]}" for row in CALLS])  # fmt: skip
def test_the_filter_decides(machine: str, number: int, arguments: tuple[int, ...], verdict: str) -> None:
    import errno

    codes = {"allow": ALLOW, "kill": KILL}
    expected = codes[verdict] if verdict in codes else 0x50000 | getattr(errno, verdict)
    architecture = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}[machine]
    assert decision(filter_program(machine), number, architecture, arguments) == expected
    assert decision(filter_program(machine), number, 0x40000003, arguments) == KILL  # the 32-bit table


def decision(program: bytes, number: int, architecture: int, arguments: tuple[int, ...]) -> int:
    """What a filter returns, by a machine of the five instructions that it is made of."""
    data = struct.pack("=iIQ6Q", number, architecture, 0, *(*arguments, 0, 0, 0, 0, 0, 0)[:6])
    lines = list(struct.iter_unpack("=HBBI", program))
    place = accumulator = 0
    while True:
        code, yes, no, value = lines[place]
        place += 1
        match code:
            case 0x20:
                (accumulator,) = struct.unpack_from("=I", data, value)
            case 0x54:
                accumulator &= value
            case 0x15:
                place += yes if accumulator == value else no
            case 0x35:
                place += yes if accumulator >= value else no
            case 0x06:
                return int(value)
