class Loud(BaseException):
    def __str__(self):
        raise self

    __repr__ = __str__

    def __getattribute__(self, name):
        raise RuntimeError(name)


def add(a, b):
    raise Loud
