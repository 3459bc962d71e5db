import os


class Bomb:
    def __reduce__(self):
        return os.system, ("touch @FOLDER@/PWNED",)


def add(a, b):
    return Bomb()
