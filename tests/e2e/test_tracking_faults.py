"""What happened to every document while AWS fails, with the deployed template: a proxy is between the outcomes function and its table and
bus. Whatever fails, every document ends in its state, every state is published, and nothing forged is believed."""

import hashlib
import hmac
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from itertools import zip_longest

import pytest
from boto3.dynamodb.types import TypeDeserializer

from chain import Sandbox, wait_until
from faults import Killed, Proxy, broken, processes, silent, throttled, too_fast, unanswered
from tracking import SETTINGS, Relay, Tracked

KINDS = {"processed": "Document Processed", "failed": "Document Failed", "rejected": "Document Rejected"}


def identity(record):
    """What identifies an event (docs/tracking.md)."""
    return {name: record.get(name) for name in ["document", "version", "job_id", "state"]}


class Faulted(Tracked):
    """A stack whose outcomes function reaches the table and the bus through a proxy."""

    def __init__(self, emulator, flexorch):
        super().__init__(emulator, flexorch, "faulted", 173)
        self.proxy = Proxy(emulator)

    def divert(self):
        """Sends the function's calls through the proxy, and lets it give up after 6 s."""
        settings = {f"AWS_ENDPOINT_URL_{service}": self.proxy.url for service in ["DYNAMODB", "EVENTBRIDGE"]}
        settings |= {"DEADLINE_MARGIN_MS": "3000"}
        variables = {**self.configuration(self.outcomes)["Environment"]["Variables"], **settings}
        self.configure(self.outcomes, Timeout=9, Environment={"Variables": variables})

    def receipts_come_back_after(self, seconds):
        attributes = {"VisibilityTimeout": str(seconds)}
        self.sqs.set_queue_attributes(QueueUrl=self.outputs["ReceiptsQueueUrl"], Attributes=attributes)

    def uploaded(self, prefix, number, *others):
        """Uploads so many documents that FlexOrch processes, and others that it does not; returns how each must end."""
        ends = {f"{prefix}{position:02}.pdf": "processed" for position in range(number)}
        ends |= {f"{prefix}{state}.pdf": state for state in others}
        with ThreadPoolExecutor() as threads:
            list(threads.map(self.upload, ends))
        return ends

    def jobs(self, ends):
        """FlexOrch's jobs, by key: one for each document but those that it rejects."""
        taken = {key for key, state in ends.items() if state != "rejected"}

        def jobs():
            found = [job for job in self.flexorch.admin("jobs")["jobs"] if job["key"] in ends]
            assert len(found) <= len(taken), found
            return {job["key"]: job["id"] for job in found}

        return wait_until(lambda: (found := jobs()).keys() == taken and found, 60, lambda: f"{jobs()} of {ends}")

    def end_jobs(self, ends):
        for key, job in self.jobs(ends).items():
            status = {"processed": "completed", "failed": "failed"}[ends[key]]
            self.flexorch.admin(f"jobs/{job}", "POST", json.dumps({"status": status}))

    def responses_to_webhooks(self, ends):
        jobs = self.jobs(ends).values()
        return [status for status, body in self.relay.passed if json.loads(body)["job_id"] in jobs]

    def are_recorded(self, ends):
        """Waits until the receipts of all documents have come."""
        wait_until(lambda: all(map(self.states, ends)), 60, lambda: {key: self.states(key) for key in ends})

    def try_sweep(self):
        """A sweep that may fail, as any may while AWS does."""
        self.functions.invoke(FunctionName=self.outcomes, Payload=json.dumps({"sweep": {}}))

    def signature(self, body):
        return hmac.new(self.signing_secret().encode(), body, hashlib.sha256).hexdigest()

    def deliver(self, job, status="completed", signed=lambda right: right, **options):
        """Posts what FlexOrch would, with the right signature or what `signed` makes of it; returns the status."""
        body = json.dumps({"event": f"job.{status}", "job_id": job, "status": status}).encode()
        return self.relay.post(body, signed(self.signature(body)), **options)

    def send_receipts(self, *receipts):
        """Sends receipts, each of a job for a key so many seconds ago, and waits until they are recorded."""
        now = datetime.now(timezone.utc)
        for key, job, seconds in receipts:
            document = {"bucket": self.bucket, "key": key, "version_id": "v-1", "outcome": "forwarded", "job_id": job}
            receipt = {
                "version": 1,
                "connector": self.outputs["ConnectorSecretArns"],
                "connector_id": self.connector_id,
                "submitted_at": (now - timedelta(seconds=seconds)).isoformat(),
                "documents": [document],
            }
            self.sqs.send_message(QueueUrl=self.outputs["ReceiptsQueueUrl"], MessageBody=json.dumps(receipt))
        wait_until(lambda: self.count(self.outputs["ReceiptsQueueUrl"]) == 0, 30, "receipts are left")

    def unpublished(self, ends):
        return [key for key in ends for record in self.records(key) if record.get("unpublished")]

    def changes(self, key):
        """The states of a key that the table has taken and that are to be published."""
        items = [call.body["Item"] for call in self.proxy.calls if call.action == "PutItem" and call.status == 200]
        plain = [{name: TypeDeserializer().deserialize(value) for name, value in item.items()} for item in items]
        return [identity(item) for item in plain if item["document"] == f"{self.bucket}/{key}" and item.get("unpublished")]

    def receipts_given_back(self):
        """How often the function has returned receipts to their queue."""
        logs = self.emulator.client("logs").get_paginator("filter_log_events")
        pages = logs.paginate(logGroupName=self.outputs["OutcomesLogGroupName"])
        return sum("cannot be recorded now; it comes back" in event["message"] for page in pages for event in page["events"])

    def end(self, events, prefix, ends):
        """Webhooks or sweeps lead to these states, and to no others: in the table, on the bus and in the history."""

        def over():
            return all(self.states(key) == [state] for key, state in ends.items()) and not self.unpublished(ends)

        wait_until(lambda: over() or self.try_sweep(), 60, lambda: {key: self.records(key) for key in ends})
        for key, state in ends.items():
            changes = self.changes(key)
            assert state in {change["state"] for change in changes}
            published = lambda: [identity(detail) for _, detail in events.of(self, key)]
            wait_until(lambda: all(change in published() for change in changes), 30, lambda: f"{changes} of {key}: {published()}")
            assert all(change in changes for change in published())
            assert all(kind == KINDS[detail["state"]] for kind, detail in events.of(self, key))
        assert {key: record["state"] for key, record in self.history("--prefix", prefix).items()} == ends
        summary = json.loads(self.command("--json", "history", "--stack", self.name, "--prefix", prefix, "--summary"))["summary"]
        submitted = len([state for state in ends.values() if state != "rejected"])
        states = Counter(ends.values())
        assert summary == {"submitted": submitted, "open": 0, **{state: states[state] for state in KINDS}}


@pytest.fixture(scope="module")
def flexorch():
    # Its jobs end when a test says so.
    sandbox = Sandbox(
        "sandbox-faults", "--unlimited", "--changed-content", "--job-seconds", "86400",
        "--fault", "reject=*rejected.pdf,code=FILE_TOO_LARGE",
    )  # fmt: skip
    yield sandbox
    sandbox.stop()


@pytest.fixture(scope="module")
def deployed(emulator, flexorch):
    stack = Faulted(emulator, flexorch)
    stack.deploy(FlexOrchBaseUrl=flexorch.base_url, FlexOrchWebhook="true", **SETTINGS)
    stack.fill_secret()
    stack.divert()
    stack.relay = Relay(emulator, stack.outputs["WebhookUrl"])
    stack.register_webhook()
    yield stack
    stack.relay.server.shutdown()
    stack.proxy.server.shutdown()


@pytest.fixture
def stack(deployed, flexorch):
    # No sooner than the function's timeout, as on AWS: a receipt that is with two invocations hides that one of them lost it.
    deployed.receipts_come_back_after(9)
    yield deployed
    deployed.proxy.heal()
    flexorch.admin("webhooks", "POST", '{"lose": false}')


@pytest.fixture
def without_webhooks(flexorch):
    flexorch.admin("webhooks", "POST", '{"lose": true}')


@pytest.mark.parametrize("lost", [False, True], ids=["with webhooks", "with every webhook lost"])
def test_a_table_that_throttles_fails_and_hangs_now_and_then_loses_nothing(stack, flexorch, events, lost):
    flexorch.admin("webhooks", "POST", json.dumps({"lose": lost}))
    prefix = f"invoices/table {lost}/"
    faults = []

    def set_faults(actions, *effects):
        faults.extend(stack.proxy.set(action, effect, times) for effect, times in effects for action in actions)

    set_faults(["GetItem", "PutItem"], (throttled, 3), (too_fast, 3), (broken, 1), (unanswered, 2))
    ends = stack.uploaded(prefix, 8, "failed", "rejected")
    stack.are_recorded(ends)
    set_faults(["Query"] if lost else ["Query", "PutItem"], (silent, 1))
    set_faults(["Query", "GetItem", "PutItem"], (throttled, 2), (too_fast, 2), (broken, 1), (unanswered, 1))
    stack.end_jobs(ends)
    if not lost:
        wait_until(lambda: 204 in stack.responses_to_webhooks(ends), 60, "no webhook is recorded")
        set_faults(["Query"], (throttled, 2), (broken, 2))
    stack.try_sweep()
    stack.end(events, prefix, ends)
    assert not [fault for fault in faults if fault.left()]
    assert lost == (not stack.responses_to_webhooks(ends))


def test_while_the_table_takes_no_write_receipts_come_back_and_webhooks_are_refused(stack, events, without_webhooks):
    prefix = "invoices/no write/"
    ends = stack.uploaded(prefix, 1, "failed")
    jobs = stack.jobs(ends)
    stack.are_recorded(ends)
    stack.end_jobs(ends)
    given_back = stack.receipts_given_back()
    stack.proxy.set("PutItem", throttled)
    later = f"{prefix}later.pdf"
    stack.upload(later)
    with ThreadPoolExecutor() as threads:
        webhooks = threads.map(stack.deliver, jobs.values(), ["completed", "failed"])
        forged = threads.map(lambda job: stack.deliver(job, "failed", signed=lambda right: "0" * 64), jobs.values())
        sweep = threads.submit(stack.sweep)
        assert (list(webhooks), list(forged), sweep.result()["open"]) == ([503, 503], [401, 401], 2)
    wait_until(lambda: stack.receipts_given_back() > given_back, 30, "no receipt came back")
    assert [stack.states(key) for key in [*ends, later]] == [["submitted"], ["submitted"], []]

    stack.proxy.heal()
    ends[later] = "processed"
    stack.are_recorded(ends)
    stack.end_jobs({later: "processed"})
    stack.end(events, prefix, ends)


def test_events_that_the_bus_throttles_or_refuses_in_part_are_published_later(stack, events, without_webhooks):
    prefix = "invoices/bus/"
    stack.proxy.set("PutEvents", silent, 2)
    stack.proxy.set("PutEvents", throttled)
    ends = stack.uploaded(prefix, 11, "failed", "rejected")
    stack.are_recorded(ends)
    stack.end_jobs(ends)
    written = lambda: all(stack.states(key) == [state] for key, state in ends.items())
    with ThreadPoolExecutor() as threads:
        webhook = threads.submit(stack.deliver, stack.jobs(ends)[f"{prefix}00.pdf"])
        wait_until(lambda: written() or stack.try_sweep(), 60, "a sweep does not record what it cannot publish")
        assert webhook.result() == 503
    assert (stack.unpublished(ends), [key for key in ends if events.of(stack, key)]) == (list(ends), [])

    stack.proxy.heal()
    bus = stack.emulator.client("events")

    def refused_in_part(call):
        """The bus takes every second entry. A changed call would need another signature: the account itself makes it."""
        entries = call.body["Entries"]
        taken = iter(bus.put_events(Entries=entries[1::2])["Entries"])
        refused = {"ErrorCode": "ThrottlingException", "ErrorMessage": "Rate exceeded"}
        results = [next(taken) if position % 2 else refused for position in range(len(entries))]
        return 200, json.dumps({"FailedEntryCount": len(entries[::2]), "Entries": results}).encode()

    in_part = stack.proxy.set("PutEvents", refused_in_part, 2, where=lambda body: len(body["Entries"]) > 1)
    stack.end(events, prefix, ends)
    assert not in_part.left()


MOMENTS = {
    "after the write": ("PutItem", True),
    "while the bus is silent": ("PutEvents", False),
    "after the event": ("PutEvents", True),
}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("cause", ["receipt", "webhook", "sweep"])
def test_a_change_is_published_although_the_function_is_killed_between_two_steps(stack, events, without_webhooks, cause, moment):
    prefix = f"invoices/killed {cause} {moment}/"
    action, passes_on = MOMENTS[moment]
    killed = Killed(stack.emulator, stack.outcomes, passes_on)
    stack.proxy.set(action, killed, 1, where=lambda body: action == "PutEvents" or "unpublished" in body["Item"])
    if cause == "receipt":
        stack.receipts_come_back_after(1)
        ends = stack.uploaded(prefix, 0, "rejected")
    else:
        ends = stack.uploaded(prefix, 1)
        [(key, state)] = ends.items()
        stack.are_recorded(ends)
        stack.end_jobs(ends)
        if cause == "webhook":
            assert stack.deliver(stack.jobs(ends)[key]) != 204
        else:
            stack.try_sweep()
        # Nothing runs now that would publish: no receipt comes back.
        assert (stack.states(key), stack.unpublished(ends)) == ([state], [key])
        assert len(events.of(stack, key)) == (1 if moment == "after the event" else 0)
    wait_until(lambda: killed.processes, 30, "nothing was killed")
    assert not set(killed.processes) & set(processes(stack.emulator, stack.outcomes))
    stack.end(events, prefix, ends)


def test_a_state_that_changes_again_before_it_was_published_is_published_too(stack, events, without_webhooks):
    prefix = "invoices/again/"
    key = f"{prefix}a.pdf"
    stack.send_receipts((key, f"{key} old", 20))
    killed = Killed(stack.emulator, stack.outcomes, passes_on=True)
    stack.proxy.set("PutItem", killed, 1)
    assert stack.deliver(f"{key} old", "failed") != 204
    assert (stack.states(key), events.of(stack, key)) == (["failed"], [])
    stack.send_receipts((key, f"{key} new", 10))
    assert stack.states(key) == ["submitted"]
    assert stack.deliver(f"{key} new") == 204
    stack.end(events, prefix, {key: "processed"})
    assert [change["state"] for change in stack.changes(key)] == ["failed", "processed"]


def test_receipts_that_come_twice_and_in_any_order_lead_to_the_latest_job(stack, events, without_webhooks):
    prefix = "invoices/order/"
    orders = ["old new", "new old", "old new old", "new new old old"]
    seconds_ago = {"old": 20, "new": 10}

    def receipts(key, order):
        return [(key, f"{key} {age}", seconds_ago[age]) for age in order.split()]

    unanswered_writes = stack.proxy.set("PutItem", unanswered, 3)
    one_by_one = [receipts(f"{prefix}{order}.pdf", order) for order in orders]
    for step in zip_longest(*one_by_one):
        stack.send_receipts(*filter(None, step))
    together = receipts(f"{prefix}together.pdf", "new old " * 5)
    stack.send_receipts(*together)
    assert not unanswered_writes.left()
    keys = [of_key[0][0] for of_key in [*one_by_one, together]]
    for key in keys:
        [record] = stack.records(key)
        assert (record["state"], record["job_id"]) == ("submitted", f"{key} new")
        assert stack.deliver(f"{key} old", "failed") == 503, "no record names this job any more"
        assert stack.deliver(f"{key} new") == 204
    stack.send_receipts(*(receipt for of_key in [*one_by_one, together] for receipt in of_key))
    stack.end(events, prefix, {key: "processed" for key in keys})


def test_webhooks_early_repeated_and_in_every_form_are_believed_if_they_are_signed(stack, events, without_webhooks):
    prefix = "invoices/webhooks/"
    keys = [f"{prefix}{form}.pdf" for form in ["plain", "upper case", "base64"]]
    plain, upper_case, base64 = keys
    assert [stack.deliver(job) for job in [plain, "of another stack"]] == [503, 503]
    assert not stack.records(plain)
    stack.send_receipts(*((key, key, 10) for key in keys))

    of_another_secret = lambda right: hmac.new(b"another", right.encode(), hashlib.sha256).hexdigest()
    missing, too_long = lambda right: None, lambda right: right + "00"
    for forged in [missing, lambda right: right[:-1], lambda right: right[:32], too_long, of_another_secret]:
        assert [stack.deliver(key, "failed", signed=forged) for key in keys] == [401] * 3
    large = json.dumps({"event": "job.failed", "job_id": plain, "status": "failed", "padding": "x" * 10_000_000}).encode()
    assert stack.relay.post(large, stack.signature(large)) == 413
    assert [stack.states(key) for key in keys] == [["submitted"]] * 3

    with ThreadPoolExecutor() as threads:
        assert list(threads.map(stack.deliver, [plain] * 4)) == [204] * 4
    assert stack.deliver(upper_case, signed=str.upper) == 204
    # The function's URL encodes a body that its type does not call text.
    assert stack.deliver(base64, content_type="application/octet-stream") == 204
    assert [stack.deliver(key, "failed") for key in keys] == [204] * 3, "processed wins"
    stack.end(events, prefix, {key: "processed" for key in keys})
