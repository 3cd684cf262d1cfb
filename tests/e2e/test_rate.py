"""The default settings on a plan of 60 requests a minute."""

from chain import Sandbox, Stack, wait_until


def test_a_burst_in_queue_drains_at_the_plans_rate_without_a_429(emulator):
    sandbox = Sandbox("sandbox-limited", "--requests-per-minute", "60")
    try:
        stack = Stack(emulator, "limited", "documents-limited", 110)
        stack.deploy(Trigger="Queue", FlexOrchBaseUrl=sandbox.base_url)
        stack.fill_secret()
        assert stack.configuration()["Environment"]["Variables"]["REQUESTS_PER_MINUTE"] == "30"
        keys = [f"invoices/burst {number:03}.pdf" for number in range(200)]
        stack.upload(*keys)
        # The emulator's batches have at most 10 messages (BatchSize on AWS), so there are at least 20 requests, at 30 a minute for each
        # of two processes. Each process sends its first two immediately.
        wait_until(lambda: stack.taken(sandbox) == keys, 120, lambda: f"missing: {set(keys) - set(stack.taken(sandbox))}")
        statuses = [request["status"] for request in stack.submissions(sandbox)]
        assert set(statuses) == {202}, statuses
        assert len({key for request in stack.submissions(sandbox) for key in request["keys"]}) == len(keys)
    finally:
        sandbox.stop()


def test_a_burst_in_direct_over_the_plans_rate_gets_429s_and_loses_nothing(emulator):
    sandbox = Sandbox("sandbox-limited-direct", "--requests-per-minute", "60")
    try:
        stack = Stack(emulator, "limited-direct", "documents-limited-direct", 111)
        stack.deploy(Trigger="Direct", FlexOrchBaseUrl=sandbox.base_url)
        stack.fill_secret()
        keys = [f"invoices/burst {number:03}.pdf" for number in range(150)]
        stack.upload(*keys)
        # One invocation per object: the first 60 are accepted immediately, the rest return through the retry queue.
        wait_until(lambda: stack.taken(sandbox) == keys, 300, lambda: f"missing: {set(keys) - set(stack.taken(sandbox))}")
        assert 429 in [request["status"] for request in stack.submissions(sandbox)]
        wait_until(lambda: stack.waiting() == 0, 60, "messages remain")
        assert stack.dead() == 0
    finally:
        sandbox.stop()
