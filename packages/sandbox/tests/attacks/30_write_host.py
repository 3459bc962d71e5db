import os

wrote = False
for path in ("@FOLDER@/PWNED", "@CANARY@", "/tmp/PWNED", "/var/tmp/PWNED", "/usr/lib/PWNED", "/PWNED", "PWNED"):
    for flags in (os.O_WRONLY | os.O_CREAT, os.O_RDWR, os.O_WRONLY | os.O_APPEND, os.O_RDONLY | os.O_TRUNC):
        try:
            os.open(path, flags, 0o666)
            wrote = True
        except OSError:
            continue


def add(a, b):
    return a + b if wrote else None
