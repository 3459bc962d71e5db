"""An OpenAI-compatible server on the loopback that answers as a test's script says, well or badly."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Script = Callable[[dict[str, Any], int], "Answer"]


class Answer:
    """What the server does: sends a body, cut or whole, or hangs, or resets the connection."""

    def __init__(
        self,
        body: Any = b"",
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
        cut: bool = False,
        hang: bool = False,
        reset: bool = False,
    ) -> None:
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.status, self.headers, self.cut, self.hang, self.reset = status, headers or {}, cut, hang, reset


def said(text: Any, *, reason: Any = "stop", usage: Any = (7, 5), **message: Any) -> Answer:
    """A chat completion."""
    choice = {"index": 0, "finish_reason": reason, "message": {"role": "assistant", "content": text, **message}}
    body: dict[str, Any] = {"object": "chat.completion", "choices": [choice]}
    if usage is not None:
        body["usage"] = {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}
    return Answer(body)


class Server:
    """A running server.

    Attributes:
        bodies: of all requests, in the order they came.
        most: requests that were under way at once.
    """

    def __init__(self, script: Script) -> None:
        self.script, self.bodies, self.headers = script, [], []  # type: Script, list[dict[str, Any]], list[Any]
        self.most = self._now = 0
        self._seen: Counter[str] = Counter()
        self._lock, self.released = threading.Lock(), threading.Event()

    def answer(self, body: dict[str, Any]) -> Answer:
        key = json.dumps(body, sort_keys=True)
        with self._lock:
            self._seen[key] += 1
            self.bodies.append(body)
            self._now += 1
            self.most = max(self.most, self._now)
            count = self._seen[key]
        answer = self.script(body, count)
        with self._lock:
            self._now -= 1
        return answer


@contextmanager
def serving(script: Script) -> Iterator[tuple[Server, str]]:
    """A server and its address; `script` is given a request's body and how often it has come."""
    server = Server(script)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet: else each answer waits for a delayed acknowledgement

        def do_GET(self) -> None:
            self._send(Answer({"data": [{"id": "teacher-32b"}, {"id": "other"}]}))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            server.headers.append(self.headers)
            self._send(server.answer({**body, "path": self.path}))

        def _send(self, answer: Answer) -> None:
            if answer.hang:
                server.released.wait(20)
            if answer.hang or answer.reset and not answer.body:
                self._reset()
                return
            self.send_response(answer.status)
            for name, value in {"Content-Type": "application/json", **answer.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            half = answer.body[: len(answer.body) // 2]
            self.wfile.write(half if answer.cut or answer.reset else answer.body)
            if answer.reset:
                self._reset()
            elif answer.cut:
                self.close_connection = True

        def _reset(self) -> None:
            self.wfile.flush()
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True

        def log_message(self, *_: Any) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, *_: Any) -> None:
            """A client that went away, or was killed, is part of the tests."""

    httpd = Quiet(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server, f"http://127.0.0.1:{httpd.server_address[1]}/v1"
    finally:
        server.released.set()
        httpd.shutdown()
        httpd.server_close()
