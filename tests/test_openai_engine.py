"""The openai engine against a server that does what servers do: all is answered once and counted, and no key leaks."""

import gzip
import json
import logging
import threading
import time
from email.utils import formatdate

import pytest
from pydantic import ValidationError

from tests.scripted_server import Answer, said, serving
from tests.tiny import Adding
from warmup_rl.base.config import Sampling
from warmup_rl.base.errors import UserError
from warmup_rl.base.types import Refusal, Request
from warmup_rl.engines.openai import OpenAI, prompt_text
from warmup_rl.engines.openai_client import Failure, read_reply, wait_seconds
from warmup_rl.interfaces.engine import EngineContext
from warmup_rl.interfaces.format import ResponseFormat
from warmup_rl.stages.clean import Clean

KEY = "sk-TESTKEY0123456789abcdefghij"


def context(**fields):
    return EngineContext({}, ResponseFormat(), fields.pop("seed", 0), **fields)


def requests(count, samples=1):
    domain = Adding(name="sums")
    problems = domain.take("train", 0, count)
    return [Request(problem, domain.prompt(problem), sample) for problem in problems for sample in range(samples)]


def engine(url, **fields):
    return OpenAI(**{"base_url": url, "model": "teacher-32b", "backoff": 0.001, **fields})


def completions(url, wanted, sampling=None, *, where=None, **fields):
    with engine(url, **fields).open(where or context()) as session:
        return list(session.complete(wanted, sampling or Sampling()))


def by_pair(found):
    return {(one.problem_id, one.sample): one for one in found}


def test_every_request_is_completed_once_with_its_own_text() -> None:
    together = threading.Barrier(6)

    def script(body, count):
        together.wait(10)
        return said(body["messages"][0]["content"])

    with serving(script) as (server, url):
        wanted = requests(20, samples=3)
        found = completions(url, wanted, concurrency=6)
    assert len(found) == 60 and set(by_pair(found)) == {(one.problem.id, one.sample) for one in wanted}
    for one in wanted:
        completion = by_pair(found)[one.problem.id, one.sample]
        assert completion.text == one.messages[0]["content"]
        assert (completion.tokens, completion.prompt_tokens, completion.attempts) == (5, 7, 1)
    assert len(server.bodies) == 60 and server.most == 6


def test_no_more_is_read_ahead_than_is_under_way() -> None:
    taken = []

    def stream():
        for one in requests(30):
            taken.append(one)
            yield one

    with serving(lambda body, count: said("x")) as (_, url), engine(url, concurrency=4).open(context()) as session:
        for number, _ in enumerate(session.complete(stream(), Sampling()), start=1):
            assert len(taken) <= number + 3


BAD = {
    "429": Answer({"error": {"message": "slow down"}}, status=429, headers={"Retry-After": "0"}),
    "429 with a date": Answer(b"", status=429, headers={"Retry-After": formatdate(0, usegmt=True)}),
    "500": Answer(b"oops", status=500),
    "503 as HTML": Answer(b"<html>down</html>", status=503, headers={"Content-Type": "text/html"}),
    "408": Answer(b"", status=408),
    "409": Answer(b"", status=409),
    "HTML": Answer(b"<html><body>Sign in</body></html>", headers={"Content-Type": "text/html"}),
    "empty body": Answer(b""),
    "truncated JSON": Answer(b'{"choices": [{"message": {"content": "4'),
    "body cut short": Answer({"choices": [{"message": {"content": "4" * 1000}}]}, cut=True),
    "reset in the body": Answer({"choices": [{"message": {"content": "4" * 1000}}]}, reset=True),
    "reset before an answer": Answer(reset=True),
    "no choices": Answer({"choices": []}),
    "choices of another type": Answer({"choices": "many"}),
    "null content": said(None),
    "content of another type": said(17),
    "a list": Answer([1, 2]),
    "an error with status 200": Answer({"error": {"message": "upstream"}}),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_what_is_no_answer_is_asked_again_and_counted(bad) -> None:
    with serving(lambda body, count: bad if count <= 2 else said("fine")) as (server, url):
        found = completions(url, requests(2))
    assert [one.text for one in found] == ["fine", "fine"]
    assert [one.attempts for one in found] == [3, 3] and len(server.bodies) == 6


def test_a_server_that_hangs_is_asked_again() -> None:
    with serving(lambda body, count: Answer(hang=True) if count == 1 else said("fine")) as (_, url):
        found = completions(url, requests(2), timeout=0.3)
    assert [(one.text, one.attempts) for one in found] == [("fine", 2)] * 2


def test_a_server_that_comes_up_late_is_waited_for() -> None:
    with serving(lambda body, count: said("x")) as (_, url):
        pass
    with pytest.raises(UserError, match=r"in 3 attempts; the last error: \w*Connect"):
        completions(url, requests(1), retries=2)


REFUSALS = {
    401: "Check `api_key_env` \\(none is given\\)",
    403: "Check `api_key_env`",
    404: r"Check `model` \('teacher-32'\).*Did you mean 'teacher-32b'\? It serves: teacher-32b, other",
    400: "context length is 10. It refuses 'Say ok.', too: fix the setting that it names, in `sampling` or `extra`",
    422: "fix the setting that it names",
}


@pytest.mark.parametrize(("status", "message"), REFUSALS.items())
def test_what_asking_again_cannot_mend_ends_at_once(status, message) -> None:
    refusal = Answer({"error": {"message": "maximum context length is 10"}}, status=status)
    with serving(lambda body, count: refusal) as (server, url):
        with pytest.raises(UserError, match=message):
            completions(url, requests(5), model="teacher-32", concurrency=1)
    about_all = status in (401, 403, 404)
    assert len(server.bodies) == (1 if about_all else 2), "one short question, to tell whose fault it is"


LONG = Answer({"error": {"message": "maximum context length is 10"}}, status=400)


@pytest.mark.parametrize("place", [0, 4, 9])
def test_a_refusal_of_one_request_leaves_the_others_alone(place) -> None:
    wanted = requests(10)
    refused = wanted[place].messages[0]["content"]
    with serving(lambda body, count: LONG if body["messages"][0]["content"] == refused else said("x")) as (server, url):
        found = completions(url, wanted, concurrency=1)
    assert [one.problem_id for one in found] == [one.problem.id for one in wanted]
    refusals = [one for one in found if isinstance(one, Refusal)]
    assert refusals == [found[place]] and found[place].finish_reason == "status 400, maximum context length is 10"
    assert not found[place].text and found[place].attempts == 1
    short = [body for body in server.bodies if body["messages"][0]["content"] == "Say ok."]
    settings = [{key: body.get(key) for key in ("max_tokens", "temperature", "model")} for body in server.bodies]
    assert len(short) == (place == 0) and settings == settings[:1] * len(settings)


def test_requests_that_are_all_refused_are_refused_one_by_one_if_a_short_one_is_answered() -> None:
    def script(body, count):
        return said("ok") if body["messages"][0]["content"] == "Say ok." else LONG

    with serving(script) as (server, url):
        found = completions(url, requests(10), concurrency=4)
    assert len(found) == 10 and all(isinstance(one, Refusal) for one in found) and len(server.bodies) == 11


@pytest.mark.parametrize("status", [401, 402, 403, 404])
def test_what_concerns_all_requests_ends_the_run_whatever_was_answered_before(status) -> None:
    broke = Answer({"error": {"message": "no"}}, status=status)
    with serving(lambda body, count: said("x") if len(server.bodies) < 4 else broke) as (server, url):
        with pytest.raises(UserError, match=f"refused the request: status {status}, no"):
            completions(url, requests(10), concurrency=1)
    assert len(server.bodies) == 4


def test_an_account_without_credit_ends_at_once() -> None:
    broke = Answer({"error": {"message": "pay", "code": "insufficient_quota"}}, status=429)
    with serving(lambda body, count: broke) as (server, url):
        with pytest.raises(UserError, match="no credit left"):
            completions(url, requests(5), concurrency=1)
    assert len(server.bodies) == 1


def test_an_outage_ends_the_run_after_all_that_was_answered_is_given() -> None:
    wanted = requests(12)
    broken = wanted[3].messages[0]["content"]

    def script(body, count):
        return Answer(b"", status=502) if body["messages"][0]["content"] == broken else said("fine")

    found = []
    with serving(script) as (server, url), engine(url, retries=4, concurrency=4).open(context()) as session:
        with pytest.raises(UserError, match="in 5 attempts; the last error: status 502"):
            for completion in session.complete(wanted, Sampling()):
                found.append(completion)
        answered = {body["messages"][0]["content"] for body in server.bodies} - {broken}
        assert len(found) == len(answered) >= 3
        again = list(session.complete(wanted[:3], Sampling()))
    assert len(again) == 3


def test_rate_limits_do_not_use_up_patience_while_others_get_through() -> None:
    wanted = requests(30)
    last = wanted[0].messages[0]["content"]
    served = []

    def script(body, count):
        if body["messages"][0]["content"] == last and len(served) < 29:
            return Answer(b"", status=429)
        served.append(1)
        return said("fine")

    with serving(script) as (_, url):
        found = completions(url, wanted, retries=3, concurrency=2, backoff=0.02)
    assert len(found) == 30


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [("7", 7, 7), ("7.5", 7.5, 7.5), (formatdate(1000 + 30, usegmt=True), 30, 30), (formatdate(900, usegmt=True), 2, 4),
     ("soon", 2, 4), ("nan", 2, 4), ("-3", 2, 4), ("", 2, 4), ("1", 2, 4)],
)  # fmt: skip
def test_waiting_keeps_to_the_servers_wish_and_doubles_with_jitter(header, least, most) -> None:
    for draw in (0.0, 0.5, 0.999):
        assert least <= wait_seconds(3, {"retry-after": header}, backoff=1.0, draw=draw, now=1000.0) <= most
    is_slow = [wait_seconds(n, {}, backoff=1.0, draw=0.5, now=0.0) for n in range(1, 2000)]
    assert is_slow == sorted(is_slow) and is_slow[1] == 2 * is_slow[0] and is_slow[-1] <= 60


def test_retry_after_is_kept_to() -> None:
    limited = Answer(b"", status=429, headers={"Retry-After": "0.5"})
    with serving(lambda body, count: limited if count == 1 else said("fine")) as (_, url):
        start = time.monotonic()
        assert [one.text for one in completions(url, requests(1))] == ["fine"]
        assert time.monotonic() - start >= 0.5


def test_a_server_that_asks_to_wait_for_a_day_ends_the_run() -> None:
    limited = Answer(b"", status=429, headers={"Retry-After": "86400"})
    with serving(lambda body, count: limited) as (_, url), pytest.raises(UserError, match="asks to wait 24 h"):
        completions(url, requests(1))


ANSWERS = {
    "plain": (said("4"), ("4", None, "stop", False, 5, 7)),
    "reasoning_content": (said("4", reasoning_content="so"), ("4", "so", "stop", False, 5, 7)),
    "reasoning": (said("4", reasoning="so"), ("4", "so", "stop", False, 5, 7)),
    "cut in the answer": (said("4", reason="length"), ("4", None, "length", True, 5, 7)),
    "cut in the reasoning": (said(None, reason="length", reasoning="so"), ("", "so", "length", True, 5, 7)),
    "content filter": (said(None, reason="content_filter"), ("", None, "content_filter", False, 5, 7)),
    "refusal": (said(None, refusal="no"), ("", None, "stop", False, 5, 7)),
    "empty content": (said(""), ("", None, "stop", False, 5, 7)),
    "no finish reason": (said("4", reason=None), ("4", None, "stop", False, 5, 7)),
    "no usage": (said("four and four", usage=None), ("four and four", None, "stop", False, 4, 0)),
    "usage of other types": (
        Answer({"choices": [{"message": {"content": "x" * 8}}], "usage": {"completion_tokens": "9"}}),
        ("x" * 8, None, "stop", False, 2, 0),
    ),
    "content in parts": (said([{"type": "thinking"}, {"type": "text", "text": "4"}]), ("4", None, "stop", False, 5, 7)),
}  # fmt: skip


@pytest.mark.parametrize(("answer", "read"), ANSWERS.values(), ids=ANSWERS)
def test_answers_are_read_for_what_they_are(answer, read) -> None:
    with serving(lambda body, count: answer) as (server, url):
        (one,) = completions(url, requests(1))
    assert (one.text, one.thinking, one.finish_reason, one.truncated, one.tokens, one.prompt_tokens) == read
    assert one.attempts == len(server.bodies) == 1


def test_content_that_stays_null_is_in_the_end_an_empty_answer() -> None:
    with serving(lambda body, count: said(None)) as (_, url):
        (one,) = completions(url, requests(1), retries=2)
    assert (one.text, one.attempts) == ("", 3)


@pytest.mark.parametrize(
    "body",
    [b"", b" ", b"null", b"1", b'{"choices": [null]}', b'{"choices": [{"message": 3}]}', b"\xff\xfe",
     b'{"choices": [{"message": {"content": "x"}, "finish_reason": 4}]}'],
)  # fmt: skip
def test_other_bodies_are_unusable(body) -> None:
    assert isinstance(read_reply(body), Failure)


def test_cost_is_tokens_times_price() -> None:
    with serving(lambda body, count: said("4", usage=(1000, 500))) as (_, url):
        (one,) = completions(url, requests(1), price_in=2.0, price_out=8.0)
    assert one.cost == pytest.approx(0.002 + 0.004)
    usage = engine("http://x/v1", price_out=8.0).usage(1000, Sampling(max_tokens=1000))
    assert usage == {"generated tokens, at most": 1_000_000, "cost, at most": "$8.00 and the prompts"}


def test_the_body_holds_what_was_asked_for_and_extras() -> None:
    sampling = Sampling(temperature=0.6, top_p=0.95, top_k=40, max_tokens=9)
    extra = {"min_p": 0.1, "chat_template_kwargs": {"enable_thinking": True}, "max_tokens": None}
    with serving(lambda body, count: said("4")) as (server, url):
        wanted = requests(2, samples=2)
        completions(url, wanted, sampling, extra=extra, concurrency=1)
    first = server.bodies[0]
    assert first["path"] == "/v1/chat/completions" and first["messages"] == list(wanted[0].messages)
    sent = {key: value for key, value in first.items() if key not in ("messages", "path", "seed")}
    assert sent == {"model": "teacher-32b", "temperature": 0.6, "top_p": 0.95, "top_k": 40, "min_p": 0.1,
                    "chat_template_kwargs": {"enable_thinking": True}}  # fmt: skip
    seeds = [body["seed"] for body in server.bodies]
    assert len(set(seeds)) == 4
    with serving(lambda body, count: said("4")) as (server, url):
        completions(url, list(reversed(wanted)), sampling, concurrency=1)
    assert [body["seed"] for body in server.bodies] == seeds[::-1]


def test_plain_completion_renders_the_prompt_as_text() -> None:
    with serving(lambda body, count: Answer({"choices": [{"text": "so </think> 4", "finish_reason": "stop"}]})) as (
        server, url,
    ):  # fmt: skip
        (one,) = completions(url, requests(1), mode="completion")
    body = server.bodies[0]
    assert one.text == "so </think> 4" and body["path"] == "/v1/completions" and body["stop"] == ["\nUser:"]
    assert body["prompt"].startswith("User: ") and body["prompt"].endswith("\n\nAssistant: <think>\n")
    turns = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "2?"},
             {"role": "assistant", "content": "2."}, {"role": "user", "content": "3?"}]  # fmt: skip
    text = prompt_text(turns, ResponseFormat(think="free"))
    assert text == "Be short.\n\nUser: 2?\n\nAssistant: 2.\n\nUser: 3?\n\nAssistant: "


WRONG = {
    "a key": ({"api_key": KEY}, "api_key: a key must not appear in a recipe"),
    "a key among extras": ({"extra": {"headers": {"Authorization": f"Bearer {KEY}"}}}, "extra.headers.Authorization"),
    "a key as a value": ({"extra": {"user": KEY}}, "extra.user: a key must not"),
    "a key for a name": ({"api_key_env": KEY}, "the NAME of an environment variable"),
    "a lower-case key for a name": ({"api_key_env": "gsk_abcdefghijklmnopqrstuv"}, "the NAME of an environment"),
    "a key in the address": ({"base_url": f"http://user:{KEY}@host/v1"}, "must not appear in a recipe"),
    "a password in the address": ({"base_url": "http://user:abc@host/v1"}, "without user, password"),
    "a query in the address": ({"base_url": "http://host/v1?api-key=abc"}, "without user, password"),
    "no address": ({"base_url": "localhost:8000"}, "http://localhost:8000/v1"),
    "the whole path": ({"base_url": "http://host/v1/chat/completions"}, "leave out '/chat/completions'"),
    "an owned key": ({"extra": {"model": "x"}}, "'model' is set by the engine"),
}


@pytest.mark.parametrize(("fields", "message"), WRONG.values(), ids=WRONG)
def test_wrong_settings_are_refused_without_showing_a_key(fields, message) -> None:
    with pytest.raises(ValidationError) as caught:
        engine(fields.pop("base_url", "http://host/v1"), **fields)
    texts = " ".join(error["msg"] for error in caught.value.errors())
    assert message in texts and KEY not in texts and "gsk_" not in texts
    assert KEY not in str(caught.value) and "gsk_" not in str(caught.value)


def test_a_key_that_is_not_set_is_found_before_the_run(monkeypatch) -> None:
    monkeypatch.delenv("TEACHER_KEY", raising=False)
    with pytest.raises(UserError, match="TEACHER_KEY is not set"):
        engine("http://host/v1", api_key_env="TEACHER_KEY").check(requests(1)[0].problem)


def test_the_key_of_a_judge_that_is_not_set_is_found_before_the_run(monkeypatch) -> None:
    monkeypatch.delenv("JUDGE_KEY", raising=False)
    judge = {"engine": {"type": "openai", "base_url": "http://host/v1", "model": "m", "api_key_env": "JUDGE_KEY"}}
    stage = Clean.model_validate({"steps": ["correct", {"type": "dlcot", "judge": judge}]})
    (line,) = stage.check(world_size=1)
    assert line.startswith("steps.1: ") and "JUDGE_KEY is not set" in line


BOMB = gzip.compress(json.dumps({"choices": [{"message": {"content": "4" * 10**6}}]}).encode())
HOSTILE = {
    "a packed body": (Answer(BOMB, headers={"Content-Encoding": "gzip"}), "packed with gzip, which was not asked for"),
    "a packed error": (Answer(BOMB, status=500, headers={"Content-Encoding": "gzip"}), "packed with gzip"),
    "a body without end": (Answer(b" " * ((1 << 26) + 1)), "a body of more than 67,108,864 bytes"),
    "nested lists": (Answer(b"[" * 100_000), "broken JSON instead of an answer"),
    "a redirect": (
        Answer(b"", status=307, headers={"Location": "http://10.0.0.1/internal"}), "redirects to http://10.0.0.1/internal"
    ),
    "escapes": (Answer({"error": {"message": "\x1b[2J\u202e"}}, status=400), "status 400, "),
    "a wait for ages": (Answer(b"", status=429, headers={"Retry-After": "1e300"}), "asks to wait 2777 h"),
}  # fmt: skip


@pytest.mark.parametrize(("answer", "message"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_endpoint_ends_the_run_with_one_line(answer, message) -> None:
    with serving(lambda body, count: answer) as (server, url), pytest.raises(UserError) as caught:
        completions(url, requests(1), retries=1)
    assert message in str(caught.value) and len(str(caught.value)) < 1000
    assert all(headers["Accept-Encoding"] == "identity" for headers in server.headers)


def test_an_absurd_count_of_tokens_is_not_believed() -> None:
    with serving(lambda body, count: said("12345678", usage=(10**400, 10**400))) as (_, url):
        (one,) = completions(url, requests(1), price_out=1.0)
    assert (one.tokens, one.prompt_tokens) == (2, 0)


def test_half_a_surrogate_pair_becomes_a_replacement_character() -> None:
    with serving(lambda body, count: said("4 \ud83d")) as (_, url):
        assert [one.text for one in completions(url, requests(1))] == ["4 \ufffd"]


def test_a_key_that_json_writes_in_another_way_is_masked(monkeypatch) -> None:
    key = "SECRETKEY/abc+def0123456789"
    monkeypatch.setenv("TEACHER_KEY", key)
    body = json.dumps({"choices": [{"message": {"content": f"key {key}", "reasoning": key}}]})
    with serving(lambda *_: Answer(body.replace("/", "\\/").replace("+", "\\u002b").encode())) as (_, url):
        (one,) = completions(url, requests(1), api_key_env="TEACHER_KEY")
    assert (one.text, one.thinking) == ("key ***", "***")


@pytest.mark.parametrize("status", [200, 401, 500])
def test_the_key_reaches_the_server_and_nothing_else(status, monkeypatch, caplog, capfd) -> None:
    monkeypatch.setenv("TEACHER_KEY", KEY)
    lines = []

    def script(body, count):
        if status == 200:
            return said(f"your key is {KEY}", reasoning=f"I see {KEY}")
        return Answer({"error": {"message": f"bad key {KEY}"}}, status=status)

    failure = ""
    with caplog.at_level(logging.DEBUG), serving(script) as (server, url):
        try:
            found = completions(url, requests(2), api_key_env="TEACHER_KEY", retries=1, where=context(say=lines.append))
        except UserError as error:
            found, failure = [], f"{error!r} {error.__cause__!r} {error.__context__!r}"
    assert all(headers["Authorization"] == f"Bearer {KEY}" for headers in server.headers)
    assert bool(failure) == (status != 200) and caplog.text
    assert KEY not in f"{found} {failure} {lines} {caplog.text} {capfd.readouterr()}"
