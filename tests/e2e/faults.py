"""Faults of AWS under a deployed function: a proxy that responds to single calls as AWS does when it throttles or fails, and the end of
the function's processes."""

import http.client
import json
import os
import signal
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from ssl import create_default_context


def refused(status, code, message):
    return lambda call: (status, json.dumps({"__type": code, "message": message}).encode())


# The effects of faults. Each gets the call and returns status and body of the response; None closes the connection without one.
throttled = refused(400, "com.amazon.coral.availability#ThrottlingException", "Rate exceeded")
too_fast = refused(400, "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException", "Throughput exceeded")
broken = refused(500, "com.amazonaws.dynamodb.v20120810#InternalServerError", "The request could not be completed")


def silent(call):
    """Does not respond until the faults are over."""
    call.proxy.over.wait(120)


def unanswered(call):
    """Lets the call have its effect, and loses the response."""
    call.pass_on()


class Killed:
    """Kills the function's processes, after the call has had its effect or instead."""

    def __init__(self, emulator, function, passes_on):
        self.emulator, self.function, self.passes_on = emulator, function, passes_on
        self.processes = []

    def __call__(self, call):
        if self.passes_on:
            call.pass_on()
        self.processes = processes(self.emulator, self.function)
        for process in self.processes:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


def processes(emulator, function):
    """The process ids of a deployed function: children of the emulator whose environment names the function."""
    name = f"AWS_LAMBDA_FUNCTION_NAME={function}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == emulator.process.pid and name in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:
            # It has ended meanwhile.
            continue
    return found


class Fault:
    """An effect on calls of an action, so many times."""

    def __init__(self, action, effect, times, where):
        self.action, self.effect, self.times, self.where = action, effect, times, where
        self.happened = 0

    def left(self):
        return self.times is None or self.happened < self.times

    def meets(self, call):
        return self.action == call.action and self.left() and self.where(call.body)

    def __repr__(self):
        return f"{self.action}: {self.happened} of {self.times}"


class Call:
    """A call of the function, in AWS's JSON protocols."""

    def __init__(self, proxy, headers, data):
        self.proxy, self.headers, self.data = proxy, headers, data
        self.action = headers["x-amz-target"].rpartition(".")[2]
        self.body = json.loads(data)
        # The emulator's, even if the function never sees it.
        self.status = None

    def pass_on(self):
        """Returns status and body of the emulator's response. The headers are signed and so unchanged, the proxy's host included."""
        emulator = http.client.HTTPSConnection("127.0.0.1", self.proxy.emulator.port, timeout=60, context=self.proxy.trusted)
        try:
            emulator.request("POST", "/", self.data, dict(self.headers))
            response = emulator.getresponse()
            self.status = response.status
            return response.status, response.read()
        finally:
            emulator.close()


class Proxy:
    """Passes calls on, except those that a fault is set for. Of several faults, the first that is left counts."""

    def __init__(self, emulator):
        self.emulator = emulator
        self.trusted = create_default_context(cafile=emulator.authority)
        self.lock = threading.Lock()
        self.faults, self.over = [], threading.Event()
        self.calls = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # One segment for a response, which otherwise waits for the acknowledgement of its headers.
            wbufsize = -1

            def do_POST(handler):
                call = Call(self, handler.headers, handler.rfile.read(int(handler.headers["content-length"])))
                response = self.respond(call)
                if response is None:
                    handler.close_connection = True
                    return
                status, body = response
                handler.send_response(status)
                handler.send_header("content-type", handler.headers["content-type"])
                handler.send_header("content-length", str(len(body)))
                handler.end_headers()
                handler.wfile.write(body)

            def log_message(handler, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(server, request, client):
                # The client's process was killed, or has waited long enough.
                if not isinstance(sys.exc_info()[1], ConnectionError):
                    super().handle_error(request, client)

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def respond(self, call):
        with self.lock:
            self.calls.append(call)
            fault = next((fault for fault in self.faults if fault.meets(call)), None)
            if fault:
                fault.happened += 1
        return fault.effect(call) if fault else call.pass_on()

    def set(self, action, effect, times=None, where=lambda body: True):
        """Sets a fault of the next calls of an action, so many or all, if `where` is true of their body."""
        fault = Fault(action, effect, times, where)
        with self.lock:
            self.faults.append(fault)
        return fault

    def heal(self):
        """Ends all faults."""
        with self.lock:
            self.faults = []
            self.over.set()
            self.over = threading.Event()

