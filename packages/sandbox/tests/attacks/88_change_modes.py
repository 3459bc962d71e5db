import os

changed = False
for path in ("@CANARY@", "@FOLDER@", "/dev/null", "/usr/lib/os-release", 0, 1, 2):
    for attempt in (
        lambda p: os.chmod(p, 0o777),
        lambda p: os.chown(p, 65534, 65534),
        lambda p: os.utime(p, (0, 0)),
        lambda p: os.setxattr(p, "user.PWNED", b"1"),
    ):
        try:
            attempt(path)
            changed = True
        except (OSError, TypeError):
            continue


def add(a, b):
    return a + b if changed else None
