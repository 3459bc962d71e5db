"""Where a row of a data file holds what: usual column names by content, paths into nested columns, public layouts."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

COLUMNS: dict[str, tuple[str, ...]] = {
    "question": (
        "question", "quiz", "problem", "prompt", "instruction", "input", "query", "stem", "messages", "conversations",
    ),
    "gold": (
        "gold", "gold_answer", "final_answer", "ground_truth", "correct_answer", "right_answer", "correct_option",
        "answer_key", "answerkey", "reference", "target", "expected", "expected_answer", "answer", "solution",
        "reward_model",
    ),
    "response": (
        "response", "completion", "output", "generation", "generations", "trace", "attempt", "deepseek_attempt",
        "deepseek_solution", "generated_solution", "text", "content", "messages", "conversations",
    ),
    "thinking": (
        "thinking", "reasoning", "reasoning_content", "thinking_trajectories", "thinking_trajectory",
        "deepseek_thinking_trajectory", "deepseek_reasoning",
    ),
    "options": ("options", "choices", "classes", "answer_choices"),
    "tests": ("tests", "test_list", "test", "assertions"),
    "teacher": ("teacher", "model"),
}  # fmt: skip
"""Column names by content, the most explicit first."""
EACH = "[*]"
"""The end of a path to a list of responses, each of which is a trace."""
_STEP = re.compile(r"\.([^.\[\]]+)|\[(-?\d+|[a-z]+)\]")
ROLES = {"question": "user", "response": "assistant"}
"""Whose turn of a conversation holds a content."""
_ROLES = {"user": ("user", "human"), "assistant": ("assistant", "gpt", "model"), "system": ("system",)}
_MESSAGES = ("body.choices[0].message", "choices[0].message", "[0].message", "message")
"""Paths to the message in a chat completion or in a line of a batch's output."""
_REASONING = ("reasoning_content", "reasoning", "thinking")
"""Fields of a turn that hold its thinking."""
_GOLD_KEYS = ("ground_truth", "value", "answer", "target", "gold", "final_answer", "text")


def find_column(columns: Iterable[str], content: str, taken: Collection[str] = ()) -> str | None:
    """The column with this content (a key of `COLUMNS`) by its usual names, without those `taken`; upper case, spaces
    and hyphens do not matter."""
    return _find(tuple(columns), content, frozenset(taken))


def value_at(row: Mapping[str, Any], path: str) -> Any:
    """The value of a column, or of what a path names inside one; None if it is not there.

    A path is a column, followed by keys and positions, as in `answers.text[0]`; `messages[user]` is the text of the
    last turn of that role in a conversation, `messages[assistant].reasoning_content` another field of it.
    """
    keys = _resolved(row, path)
    if keys is None:
        return None
    value: Any = row
    for key in keys:
        value = value[key]
    return value


def with_value(row: Mapping[str, Any], path: str, new: Any) -> dict[str, Any]:
    """A copy of a row with another value at a path that exists."""
    keys = _resolved(row, path)
    assert keys, path
    result: dict[str, Any] = _put(row, keys, new)
    return result


def locate(row: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    """Paths to question, thinking, response and reference answer of a row of a trace file; those that it has. Columns
    or paths that are `given` by content go before the usual names.

    Knows flat columns, `messages` (with think tags or `reasoning_content`), ShareGPT and OpenThoughts `conversations`,
    prompt and completion as lists of turns, lists of one text (s1K), lists of responses (Open-R1 `generations`, see
    `each_response`), chat completions and lines of a batch's output.
    """
    found: dict[str, str] = {}
    for content in ("question", "thinking", "response", "gold"):
        usual = (column for name in COLUMNS[content] for column in row if plain_name(str(column)) == name)
        paths = (_inside(row, name, content) for name in ([given[content]] if content in given else usual))
        if path := next((path for path in paths if path and path not in found.values()), None):
            found[content] = path
    if "response" not in found and isinstance(row.get("choices"), list) and (path := _message_text(row, "choices")):
        found["response"] = path
    if "response" not in found and "thinking" in found and "answer" in row:
        found["response"] = "answer"  # of a completion in two columns
        found = {content: path for content, path in found.items() if content != "gold" or path != "answer"}
    turn = found.get("response", "").removesuffix(".content")
    if "thinking" not in found and turn.endswith(("]", ".message")):
        if key := next((key for key in _REASONING if isinstance(value_at(row, f"{turn}.{key}"), str)), None):
            found["thinking"] = f"{turn}.{key}"
    return found


def each_response(
    rows: Iterable[tuple[str, Mapping[str, Any]]], given: Mapping[str, str]
) -> Iterator[tuple[str, Mapping[str, Any], dict[str, str]]]:
    """The place, row and paths (see `locate`) of each response; a row with a list of responses comes once for each,
    with its own thinking if that is a list too."""
    for place, row in rows:
        paths = locate(row, given)
        if not paths.get("response", "").endswith(EACH):
            yield place, row, paths
            continue
        name = paths["response"].removesuffix(EACH)
        count, thinking = len(value_at(row, name)), value_at(row, paths.get("thinking", ""))
        beside = isinstance(thinking, list) and len(thinking) == count
        for number in range(count):
            own = {"response": f"{name}[{number}]"} | ({"thinking": f"{paths['thinking']}[{number}]"} if beside else {})
            yield f"{place}, {name}[{number}]", row, {**paths, **own}


def is_conversation(value: Any) -> bool:
    """Whether a value is a list of chat turns."""
    return isinstance(value, list | tuple) and bool(value) and all(_turn(turn)[0] is not None for turn in value)


def plain_name(column: str) -> str:
    """`ground_truth` for `Ground Truth`."""
    return column.strip().lower().replace(" ", "_").replace("-", "_")


def _inside(row: Mapping[str, Any], name: str, content: str) -> str | None:
    """The path to the text in a column; None if it holds none."""
    value = value_at(row, name)
    if value is None and name not in row:
        return None
    if is_conversation(value):
        role = ROLES.get(content)
        return _text_path(row, f"{name}[{role}]", f"{name}[{role}].content") if role else None
    if content == "gold" and isinstance(value, Mapping):
        return next((f"{name}.{key}" for key in _GOLD_KEYS if isinstance(value.get(key), str | int | float)), name)
    if content == "response" and isinstance(value, Mapping):
        return _message_text(row, name)
    texts = [text for text in value if text is not None] if isinstance(value, list) else [value]
    if content == "response" and not texts:
        return None
    if isinstance(value, list) and texts and all(isinstance(text, str) for text in texts) and content != "question":
        return f"{name}[0]" if len(value) == 1 else f"{name}{EACH}" if content == "response" else name
    return name


def _message_text(row: Mapping[str, Any], name: str) -> str | None:
    paths = (f"{name}{'' if inner[0] == '[' else '.'}{inner}.content" for inner in _MESSAGES)
    return next(filter(None, (_text_path(row, path, path) for path in paths)), None)


def _text_path(row: Mapping[str, Any], path: str, content: str) -> str | None:
    """The path if a text is there, or the path of the text in a list of one block there; None if it is neither."""
    if isinstance(value_at(row, path), str):
        return path
    block = f"{content}[0].text"
    return block if isinstance(value_at(row, block), str) and value_at(row, f"{content}[1]") is None else None


def _resolved(row: Mapping[str, Any], path: str) -> list[Any] | None:
    """The keys and positions that lead to a value; None if nothing is there."""
    if path in row or path.strip() in row:
        return [path if path in row else path.strip()]
    start = min((place for mark in ".[" if (place := path.find(mark)) > 0), default=len(path))
    name, rest = path[:start], path[start:]
    if name not in row or _STEP.sub("", rest):
        return None
    keys, value = [name], row[name]
    steps = [*_STEP.findall(rest)]
    for number, (key, place) in enumerate(steps, start=1):
        found: list[Any] = []
        if key and isinstance(value, Mapping) and key in value:
            found = [key]
        elif place in _ROLES and isinstance(value, list | tuple):
            turns = [index for index, turn in enumerate(value) if _turn(turn)[0] in _ROLES[place]]
            text = "content" if turns and "content" in value[turns[-1]] else "value"
            found = [*turns[-1:], *([text] if number == len(steps) and turns else [])]
        elif place.lstrip("-").isdecimal() and isinstance(value, list | tuple):
            found = [int(place)] if -len(value) <= int(place) < len(value) else []
        if not found:
            return None
        for one in found:
            value = value[one]
        keys += found
    return keys


def _put(value: Any, keys: list[Any], new: Any) -> Any:
    if not keys:
        return new
    inner = _put(value[keys[0]], keys[1:], new)
    if isinstance(value, Mapping):
        return {**value, keys[0]: inner}
    return [inner if index == keys[0] % len(value) else item for index, item in enumerate(value)]


def _turn(turn: Any) -> tuple[Any, Any]:
    """Role and text of a chat turn, in either of its usual forms."""
    found = turn if isinstance(turn, Mapping) else {}
    return found.get("role", found.get("from")), found.get("content", found.get("value"))


@lru_cache(maxsize=256)
def _find(columns: tuple[str, ...], content: str, taken: frozenset[str]) -> str | None:
    found = {plain_name(str(column)): column for column in columns if column not in taken}
    return next((found[name] for name in COLUMNS[content] if name in found), None)
