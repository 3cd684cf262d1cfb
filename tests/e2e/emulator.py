"""Starts the emulator, with a lock that it lacks and without a port that it takes.

A queue's messages are a list. The thread that polls for event source mappings replaces it by a copy, without a lock that a sender
would have to wait for: what another thread adds while the list is copied is lost. One of 150 uploads was, in some runs of the burst
in Direct, where a hundred threads send to the retry queue as the function's on-failure destination.

Over TLS it listens on port 443 too, if that is free. Two emulators that start at the same time find it free, and one of them ends.
"""

import functools
import sys
import threading

from ministack import app
from ministack.services import lambda_svc, sqs

MESSAGES = threading.RLock()


def locked(function):
    @functools.wraps(function)
    def run(*arguments):
        with MESSAGES:
            return function(*arguments)

    return run


def lock_queues():
    for action in ["SendMessage", "SendMessageBatch", "DeleteMessage", "DeleteMessageBatch"]:
        sqs._HANDLERS[action] = locked(sqs._HANDLERS[action])
    for name in ["_act_send_message", "_expire_retained", "_dlq_sweep", "_receive_messages_for_esm", "_delete_messages_for_esm"]:
        setattr(sqs, name, locked(getattr(sqs, name)))
    lambda_svc._route_async_failure = locked(lambda_svc._route_async_failure)


def leave_port_443():
    is_bindable = app._port_is_bindable
    app._port_is_bindable = lambda host, port: port != 443 and is_bindable(host, port)


if __name__ == "__main__":
    lock_queues()
    leave_port_443()
    sys.exit(app.main())
