"""The system call filter (seccomp BPF): allows what a single-threaded Python needs to compute, and nothing else.

Since it lists what is allowed, it also refuses calls that future kernels add. The numbers are those of the kernel's
tables (`arch/x86/entry/syscalls/syscall_64.tbl`, `include/uapi/asm-generic/unistd.h`).
"""

from __future__ import annotations

import errno
import platform
import struct

# name: (x86_64, aarch64); None where the machine has no such call.
_ALLOWED: dict[str, tuple[int | None, int | None]] = {
    "read": (0, 63), "write": (1, 64), "readv": (19, 65), "writev": (20, 66), "pread64": (17, 67), "pwrite64": (18, 68),
    "close": (3, 57), "close_range": (436, 436), "lseek": (8, 62), "dup": (32, 23), "dup2": (33, None),
    "dup3": (292, 24), "pipe": (22, None), "pipe2": (293, 59), "eventfd2": (290, 19),
    "stat": (4, None), "fstat": (5, 80), "lstat": (6, None), "newfstatat": (262, 79), "statx": (332, 291),
    "access": (21, None), "faccessat": (269, 48), "faccessat2": (439, 439), "readlink": (89, None),
    "readlinkat": (267, 78), "getdents64": (217, 61), "getcwd": (79, 17), "chdir": (80, 49), "umask": (95, 166),
    "poll": (7, None), "ppoll": (271, 73), "select": (23, None), "pselect6": (270, 72), "epoll_create1": (291, 20),
    "epoll_ctl": (233, 21), "epoll_wait": (232, None), "epoll_pwait": (281, 22),
    "mmap": (9, 222), "mprotect": (10, 226), "munmap": (11, 215), "mremap": (25, 216), "madvise": (28, 233),
    "brk": (12, 214), "futex": (202, 98), "set_robust_list": (273, 99), "rseq": (334, 293), "arch_prctl": (158, None),
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "sigaltstack": (131, 132),
    "restart_syscall": (219, 128), "alarm": (37, None), "getitimer": (36, 102), "setitimer": (38, 103),
    "nanosleep": (35, 101), "clock_nanosleep": (230, 115), "clock_gettime": (228, 113), "clock_getres": (229, 114),
    "gettimeofday": (96, 169), "time": (201, None), "times": (100, 153), "getrusage": (98, 165),
    "getrlimit": (97, 163), "sched_yield": (24, 124), "sched_getaffinity": (204, 123), "uname": (63, 160),
    "getrandom": (318, 278), "getpid": (39, 172), "gettid": (186, 178), "getppid": (110, 173), "getuid": (102, 174),
    "geteuid": (107, 175), "getgid": (104, 176), "getegid": (108, 177),
}  # fmt: skip

# Calls of which only some arguments are allowed: (numbers, argument, mask, values after masking, error otherwise).
_WRITING = 0o3 | 0o100 | 0o1000 | 0o20000000  # O_ACCMODE, O_CREAT, O_TRUNC, __O_TMPFILE
_ANY = 0xFFFFFFFF
_CHECKED: list[tuple[tuple[int | None, int | None], list[tuple[int, int, tuple[int, ...]]], int]] = [
    ((2, None), [(1, _WRITING, (0,))], errno.EACCES),  # open: to read
    ((257, 56), [(2, _WRITING, (0,))], errno.EACCES),  # openat: to read
    ((16, 29), [(1, _ANY, (0x5401, 0x5413, 0x5421, 0x5450, 0x5451))], errno.ENOTTY),  # ioctl: TCGETS, TIOCGWINSZ, FIO*
    ((72, 25), [(1, _ANY, (0, 1, 2, 3, 4, 1030))], errno.EPERM),  # fcntl: duplicates and flags, no owner or signal
    ((302, 261), [(0, _ANY, (0,)), (2, _ANY, (0,))], errno.EPERM),  # prlimit64: to read its own
    ((53, 199), [(0, _ANY, (1,)), (1, 0xF, (1,))], errno.EPERM),  # socketpair: unix streams, which asyncio needs
]
KILLED_STATUS = 128 + 9
"""Exit status by which bubblewrap reports that its program was killed; the program cannot exit with it itself."""
_EXITS: list[tuple[int | None, int | None]] = [(60, 93), (231, 94)]  # exit, exit_group
_NOT_THERE: list[tuple[int | None, int | None]] = [(435, 435)]  # clone3: the C library then tries clone

_AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_KILL, _ALLOW, _ERROR = 0x80000000, 0x7FFF0000, 0x00050000
_LOAD, _EQUAL, _AT_LEAST, _MASK, _RETURN = 0x20, 0x15, 0x35, 0x54, 0x06


def filter_program(machine: str = "") -> bytes:
    """Instructions of the filter, 8 bytes each. Raises `LookupError` for a machine without a table."""
    machine = machine or platform.machine()
    if machine not in _AUDIT:
        raise LookupError(f"no table of system calls for {machine}")
    column = list(_AUDIT).index(machine)
    lines = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, _AUDIT[machine]), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, 0)]
    if machine == "x86_64":  # the x32 calls have this bit
        lines += [(_AT_LEAST, 0, 1, 0x40000000), (_RETURN, 0, 0, _KILL)]
    for numbers in _ALLOWED.values():
        lines += _when(numbers[column], [(_RETURN, 0, 0, _ALLOW)])
    for numbers, rules, error in _CHECKED:
        lines += _when(numbers[column], _checks(rules, error))
    status = [(_LOAD, 0, 0, 16), (_MASK, 0, 0, 0xFF), (_EQUAL, 0, 1, KILLED_STATUS), (_RETURN, 0, 0, _KILL)]
    for numbers in _EXITS:
        lines += _when(numbers[column], [*status, (_RETURN, 0, 0, _ALLOW)])
    for numbers in _NOT_THERE:
        lines += _when(numbers[column], [(_RETURN, 0, 0, _ERROR | errno.ENOSYS)])
    lines.append((_RETURN, 0, 0, _ERROR | errno.EPERM))
    return b"".join(struct.pack("=HBBI", *line) for line in lines)


def _when(number: int | None, body: list[tuple[int, int, int, int]]) -> list[tuple[int, int, int, int]]:
    return [] if number is None else [(_EQUAL, 0, len(body), number), *body]


def _checks(rules: list[tuple[int, int, tuple[int, ...]]], error: int) -> list[tuple[int, int, int, int]]:
    """Allows when every rule holds; the low half of an argument is what these calls read."""
    body: list[tuple[int, int, int, int]] = []
    for argument, mask, values in rules:
        body += [(_LOAD, 0, 0, 16 + 8 * argument), (_MASK, 0, 0, mask)]
        body += [(_EQUAL, len(values) - index, 0, value) for index, value in enumerate(values)]
        body.append((_RETURN, 0, 0, _ERROR | error))
    return [*body, (_RETURN, 0, 0, _ALLOW)]
