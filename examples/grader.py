"""A grading rule of your own for rows of a file: True, False, or None where there is no answer.

    domains: {mine: {type: jsonl, file: rows.jsonl, grader: "python: ./examples/grader.py:grade"}}

The function runs in the sandbox: it sees the standard library, and neither files nor the network.
"""

import re


def grade(question, answer, gold):
    """A duration counts as right when it is within one minute of the reference, as `1:30`, `90 min` or `1 h 30`."""
    minutes = read(answer)
    return None if minutes is None else abs(minutes - read(gold)) <= 1


def read(text):
    if found := re.fullmatch(r"\s*(\d+):(\d\d)\s*", text):
        return 60 * int(found[1]) + int(found[2])
    if found := re.fullmatch(r"\s*(?:(\d+)\s*h(?:ours?)?)?\s*(?:(\d+)\s*(?:min(?:utes?)?)?)?\s*", text):
        return 60 * int(found[1] or 0) + int(found[2] or 0) if found[1] or found[2] else None
    return None
