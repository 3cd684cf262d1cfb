"""Starts the emulator with a lock around its queues, and without port 443.

A queue's messages are a Python list. The thread that polls for event source mappings replaces the list by a copy without a lock, so a
message that another thread adds in the meantime is lost. That happened to one of 150 uploads in some runs of the burst in Direct, where a
hundred threads send to the retry queue as the function's on-failure destination.

With TLS, the emulator also listens on port 443 if it is free. Two emulators that start at the same time both find it free, and one exits.
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
