"""Faults between a deployed function and AWS: a proxy on a socket that answers single calls as AWS does on a bad day, and the death of
the function's processes."""

import http.client
import json
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from ssl import create_default_context

DYNAMODB = "com.amazonaws.dynamodb.v20120810#"
# An effect gets the call, and returns status and body of the response; None: the connection is closed without one.


def refused(status, code, message="Rate exceeded"):
    return lambda call: (status, json.dumps({"__type": code, "message": message}).encode())


throttled = refused(400, "com.amazon.coral.availability#ThrottlingException")
too_fast = refused(400, f"{DYNAMODB}ProvisionedThroughputExceededException", "The level of configured provisioned throughput was exceeded")
broken = refused(500, f"{DYNAMODB}InternalServerError", "The request could not be completed")


def silent(call):
    """No response before the faults are over."""
    call.proxy.over.wait(120)


def unanswered(call):
    """The call has its effect, and the response is lost."""
    call.pass_on()


class Fault:
    def __init__(self, action, effect, times, where):
        self.action, self.effect, self.times, self.where = action, effect, times, where
        self.happened = 0

    def left(self):
        return self.times is None or self.happened < self.times

    def __repr__(self):
        return f"{self.action}: {self.happened} of {self.times}"


class Call:
    """A call of the function, as AWS's JSON protocols have it."""

    def __init__(self, proxy, headers, data):
        self.proxy, self.headers, self.data = proxy, headers, data
        self.action = headers["x-amz-target"].rpartition(".")[2]
        self.body = json.loads(data)
        # The emulator's, whatever the function gets.
        self.status = None

    def pass_on(self):
        """Status and body of the emulator's response. The headers stay, as they are signed: the host is the proxy's."""
        emulator = http.client.HTTPSConnection("127.0.0.1", self.proxy.emulator.port, timeout=60, context=self.proxy.trusted)
        try:
            emulator.request("POST", "/", self.data, dict(self.headers))
            response = emulator.getresponse()
            self.status = response.status
            return response.status, response.read()
        finally:
            emulator.close()


class Proxy:
    """Passes calls on, but for those that a fault meets: each the first that is set for its action and has not happened often enough."""

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
                # Whose process was killed has gone.
                if not isinstance(sys.exc_info()[1], ConnectionError):
                    super().handle_error(request, client)

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def respond(self, call):
        with self.lock:
            self.calls.append(call)
            fault = next((fault for fault in self.faults if fault.action == call.action and fault.left() and fault.where(call.body)), None)
            if fault:
                fault.happened += 1
        return fault.effect(call) if fault else call.pass_on()

    def set(self, action, effect, times=None, where=lambda body: True):
        """From now on, calls of this action have this effect: so many of those whose body `where` is true of."""
        fault = Fault(action, effect, times, where)
        with self.lock:
            self.faults.append(fault)
        return fault

    def heal(self):
        """No faults any more."""
        with self.lock:
            self.faults = []
            self.over.set()
            self.over = threading.Event()


def processes(emulator, function):
    """The process ids of a deployed function: children of the emulator, in whose environment is whose they are."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == emulator.process.pid and f"AWS_LAMBDA_FUNCTION_NAME={function}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:
            # It has ended meanwhile.
            continue
    return found


class Killed:
    """The function's processes are killed, once the call was passed on or without."""

    def __init__(self, emulator, function, passes_on):
        self.emulator, self.function, self.passes_on = emulator, function, passes_on
        self.processes = []

    def __call__(self, call):
        if self.passes_on:
            call.pass_on()
        self.processes = processes(self.emulator, self.function)
        for process in self.processes:
            os.kill(process, signal.SIGKILL)
