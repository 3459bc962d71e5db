import ctypes

libc = ctypes.CDLL(None, use_errno=True)
results = [
    libc.ptrace(16, int("@PID@"), 0, 0),
    libc.ptrace(16, 1, 0, 0),
    libc.unshare(0x10000000),
    libc.unshare(0x00020000),
    libc.mount(b"none", b"/", b"tmpfs", 0, None),
    libc.umount2(b"/usr", 2),
    libc.chroot(b"/usr"),
    libc.sethostname(b"PWNED", 5),
]


def add(a, b):
    return a + b if any(result == 0 for result in results) else None
