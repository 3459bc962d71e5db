class Sum:
    def __init__(self, value):
        self.value = value

    def __repr__(self):
        return str(self.value)

    __str__ = __repr__

    def __int__(self):
        return self.value

    __index__ = __int__


def add(a, b):
    return Sum(a + b)
