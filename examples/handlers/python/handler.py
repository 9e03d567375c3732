#!/usr/bin/env python3
"""A handler of relevo's jobs in Python, with the standard library only.

    python3 handler.py --port 8080 --secret-file secret

Prints the port it listens on (--port 0: any free one). The secret file holds one secret a line, as
in the configuration of relevo; with two of them, a secret can be changed without a pause. The
contract of requests and answers is in docs/handlers.md.
"""

import argparse
import base64
import hashlib
import hmac
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOLERANCE_SECONDS = 300
BODY_LIMIT = 1024 * 1024


class Refused(Exception):
    """The request is not relevo's."""


def read_keys(path):
    with open(path, encoding="ascii") as file:
        secrets = file.read().split()
    keys = [base64.b64decode(secret.removeprefix("whsec_"), validate=True) for secret in secrets]
    if not keys:
        raise SystemExit(f"{path} holds no secret")
    return keys


def verify(keys, headers, body, now):
    """Standard Webhooks, on the raw body: what was parsed and written again may be other bytes."""
    message_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    if not message_id or not timestamp.isascii() or not timestamp.isdigit():
        raise Refused("a webhook header is missing")
    # An old request may be one that somebody recorded.
    if abs(now - int(timestamp)) > TOLERANCE_SECONDS:
        raise Refused("the timestamp is too far off")
    content = f"{message_id}.{timestamp}.".encode("latin-1") + body
    expected = [b"v1," + base64.b64encode(hmac.digest(key, content, hashlib.sha256)) for key in keys]
    given = headers.get("webhook-signature", "").encode("latin-1").split(b" ")
    # All are compared, each in constant time: the time taken tells nothing about the signature.
    if not any([hmac.compare_digest(a, b) for a in given for b in expected]):
        raise Refused("the signature does not fit")
    return message_id


class Done:
    """What was done, by webhook-id: a job comes again when its answer was lost on the way.

    In memory here, and one at a time. In earnest it is a table with the id as its key, written in the transaction that
    does the work; then a crash in between cannot do it twice.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._results = {}

    def once(self, message_id, work):
        with self._lock:
            if message_id not in self._results:
                self._results[message_id] = work()
            return self._results[message_id]


def send_mail(payload):
    if not isinstance(payload, dict):
        raise ValueError("the payload is no object")
    if not isinstance(payload.get("to"), str):
        raise ValueError("to is no text")
    return {"sent_to": payload["to"]}


KINDS = {"mail.send": send_mail}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # relevo keeps the connection for the next job
    timeout = 60

    def do_POST(self):
        length = self.headers.get("content-length", "")
        if not length.isdigit() or int(length) > BODY_LIMIT:
            self.close_connection = True  # the body stays unread
            return self.answer(413, {"error": "a body of known, moderate length is needed"})
        body = self.rfile.read(int(length))
        try:
            message_id = verify(self.server.keys, self.headers, body, time.time())
        except Refused as refused:
            return self.answer(401, {"error": str(refused)})
        work = KINDS.get(self.headers.get("relevo-kind"))
        if work is None:
            return self.answer(404, {"error": "no such kind here"})
        try:
            result = self.server.done.once(message_id, lambda: work(json.loads(body)))
        except (ValueError, RecursionError) as error:  # also JSON that is none, or too deep
            return self.answer(422, {"error": str(error)})
        return self.answer(200, result)

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        pass


def main():
    parser = argparse.ArgumentParser(description="Handles relevo's jobs.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--secret-file", required=True)
    arguments = parser.parse_args()

    server = ThreadingHTTPServer((arguments.host, arguments.port), Handler)
    server.keys = read_keys(arguments.secret_file)
    server.done = Done()
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
