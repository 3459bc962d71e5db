import sys


def add(a, b):
    try:
        return int(input())
    except EOFError:
        return len(sys.stdin.read())
