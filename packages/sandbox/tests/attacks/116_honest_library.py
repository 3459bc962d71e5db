import bisect
import collections
import copy
import dataclasses
import datetime
import decimal
import enum
import fractions
import hashlib
import heapq
import itertools
import json
import operator
import re
import statistics
import string
import typing


@dataclasses.dataclass
class Pair:
    left: int
    right: int

    def total(self) -> int:
        return operator.add(self.left, self.right)


class Kind(enum.Enum):
    SUM = "sum"


USED = (bisect, collections, copy, datetime, decimal, fractions, hashlib, heapq, itertools, json, re, statistics)


def add(a: int, b: int) -> "typing.Any":
    assert Kind.SUM.value in string.ascii_letters or len(USED) == 12
    return Pair(*copy.deepcopy([a, b])).total()
