"""An HTTP server that plays an OpenAI-compatible endpoint, well or badly, in a thread."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Played:
    """What a request gets. body: as it is; None breaks the connection off half-way."""

    status: int = 200
    body: bytes | None = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    wait: float = 0.0


def completion(text: Any, usage: Any = (11, 7)) -> Played:
    """Return a chat completion."""
    said: dict[str, Any] = {"choices": [{"message": {"role": "assistant", "content": text}}]}
    if usage:
        said["usage"] = {"prompt_tokens": usage[0], "completion_tokens": usage[1]}
    return Played(body=json.dumps(said).encode())


@dataclass
class Server:
    """A server that runs. requests: bodies, headers: likewise, in the order they came."""

    url: str
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    most_at_once: int = 0


@contextmanager
def serving(play: Callable[[int, dict[str, Any]], Played]) -> Iterator[Server]:
    """Serve on a free port; ``play`` gets the request's number, from 0, and its body."""
    lock, stop = threading.Lock(), threading.Event()
    now = [0]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                number = len(server.requests)
                server.requests.append(body)
                server.headers.append(dict(self.headers))
                server.paths.append(self.path)
                now[0] += 1
                server.most_at_once = max(server.most_at_once, now[0])
            try:
                self._play(play(number, body))
            except OSError:
                pass  # who asked has gone away
            finally:
                with lock:
                    now[0] -= 1

        def _play(self, played: Played) -> None:
            stop.wait(played.wait)
            self.send_response(played.status)
            for name, value in played.headers.items():
                self.send_header(name, value)
            if played.body is None:
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b'{"choices": [')
                self.close_connection = True
                return
            self.send_header("Content-Length", str(len(played.body)))
            self.end_headers()
            self.wfile.write(played.body)

        def log_message(self, *_: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server = Server(f"http://127.0.0.1:{http.server_address[1]}/v1")
    thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        stop.set()
        http.shutdown()
        http.server_close()
        thread.join()
