#!/usr/bin/env python3
"""FlexOrch's own Python client against an API that claims to be FlexOrch's.

Usage: flexorch_sdk_check.py BASE_URL [API_KEY]

BASE_URL is the sandbox's, http://127.0.0.1:8642/v1 for example; any key that starts with dfx_ is a tenant there, and
without one the check takes a fresh one. Needs flexorch-sdk 0.3.3 from PyPI. Says what holds, sentence by sentence,
and ends with status 1 at the first thing that does not. Jobs that fail and webhooks need an API on this machine: the first
are asked for at the sandbox's admin path, and the second are received by this program.
"""

import hashlib
import hmac
import http.server
import json
import queue
import secrets
import sys
import threading

import httpx
from flexorch_sdk import AuthError, FlexOrchClient, FlexOrchError, JobFailedError, NotFoundError, ValidationError


class Broken(Exception):
    """Something is not as FlexOrch's client expects it."""


def check(sentence, holds, seen=None):
    if not holds:
        raise Broken(f"not so: {sentence} (seen: {seen!r})")
    print(f"ok: {sentence}")


def refuses(sentence, error, call):
    try:
        seen = call()
    except error as refusal:
        print(f"ok: {sentence} ({refusal})")
        return refusal
    raise Broken(f"not so: {sentence} (seen: {seen!r})")


def connectors(client):
    config = {
        "bucket": "my-documents",
        "region": "eu-west-1",
        "prefix": "invoices/",
        "access_key_id": "AKIAIOSFODNN7EXAMPLE",
        "secret_access_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    }
    connector = client.connectors.create("Documents", "s3", config)
    check("a connector is created, and is active", connector.active and connector.id, connector)
    shown = {"bucket": "my-documents", "region": "eu-west-1", "prefix": "invoices/"}
    check("its configuration shows no credentials", connector.config == shown, connector.config)
    result = client.connectors.test(connector.id)
    check("its test succeeds", result.success and result.latency_ms, result)
    check("it is listed", connector.id in [c.id for c in client.connectors.list()])
    tested = client.connectors.get(connector.id)
    check("it can be shown, and was tested", tested.last_tested_at, tested)

    denied = client.connectors.create("Denied", "s3", {**config, "bucket": "denied-bucket"})
    result = client.connectors.test(denied.id)
    check("a test that fails says why", not result.success and result.message, result)
    refuses(
        "a connector without credentials is refused",
        ValidationError,
        lambda: client.connectors.create("Empty", "s3", {"bucket": "b"}),
    )
    client.connectors.delete(denied.id)
    check("it is deleted", denied.id not in [c.id for c in client.connectors.list()])
    refuses("and gone", NotFoundError, lambda: client.connectors.get(denied.id))
    return connector


def schedules(client, connector):
    schedule = client.connectors.create_schedule(connector.id, "0 2 * * *", prefix_filter="invoices/")
    check("a daily schedule is created", schedule.cron_expression == "0 2 * * *", schedule)
    listed = client.connectors.list_schedules(connector.id)
    check("it is listed", [s.id for s in listed] == [schedule.id], listed)
    run = client.connectors.trigger_schedule(connector.id, schedule.id)
    check("it can be triggered", run.status == "completed", run)
    logs = client.connectors.schedule_logs(connector.id, schedule.id)
    check("the run is in its log", [entry.id for entry in logs] == [run.id], logs)
    client.connectors.delete_schedule(connector.id, schedule.id)
    check("it is deleted", client.connectors.list_schedules(connector.id) == [])


def documents(client, connector):
    keys = ["invoices/jan/inv 001+é.pdf", "invoices/jan/inv_002.PDF"]
    jobs = client.process_from_s3(connector.id, keys, pipeline_config={"pii": True})
    check("two keys make two jobs", len({job.id for job in jobs}) == 2, jobs)
    check("a new job is queued", jobs[0].status == "queued", jobs[0])
    done = jobs[0].wait(timeout=30, poll_interval=1)
    check("it is completed after a while", done.status == "completed" and done.completed_at, done)
    check("it can be asked for by its id", client.jobs.get(done.id).status == "completed")
    newest = client.jobs.list(page=1, page_size=1)
    check("jobs are listed, newest first", [job.id for job in newest] == [jobs[1].id], newest)
    again = client.process_from_s3(str(connector.id), keys[:1])
    check("a key that was sent before has its job already", again[0].id == done.id, again)
    refuses(
        "a type that FlexOrch does not take is rejected",
        ValidationError,
        lambda: client.process_from_s3(connector.id, ["tools/setup.exe"]),
    )
    refuses("a job that never was is not found", NotFoundError, lambda: client.jobs.get("j-none"))


def usage(client):
    first = client.usage.rate_limits()
    second = client.usage.rate_limits()
    check("the rate limit is told", first.unlimited or first.limit > 0, first)
    check("and asking for it costs nothing", first.used == second.used, second)
    check("two credits were used", client.usage.current().credits_used == 2)
    check("they are in the history", [day.jobs_count for day in client.usage.history("7d")] == [2])
    check("the quality trend is a list", client.usage.quality_trend() == [])


def failing_jobs(client, connector, admin_url):
    httpx.post(f"{admin_url}/faults", content="fail-job=*.locked.pdf,reason=encrypted").raise_for_status()
    jobs = client.process_from_s3(connector.id, ["a.locked.pdf", "b.pdf"])
    failure = refuses("a job that fails says so to its waiter", JobFailedError, lambda: jobs[0].wait(30, 1))
    check("with its reason", "encrypted" in str(failure), failure)
    failed = client.jobs.get(jobs[0].id)
    check("which it keeps", (failed.status, failed.failure_reason) == ("failed", "encrypted"), failed)
    check("it has no grade", failed.quality_grade is None and failed.pii_findings_count == 0, failed)
    done = jobs[1].wait(30, 1)
    check("a completed job has a grade and a score", done.quality_grade in "ABCD" and done.quality_score > 0, done)
    check("and an execution", done.execution_id and not done.degraded, done)
    counts = sum(done.pii_type_summary.values())
    check("and counts the personal data that it found", done.pii_findings_count == counts, done)
    check("and masks it", done.pii_masked == (done.pii_findings_count > 0), done)
    pages = [client.jobs.list(page=page, page_size=1)[0].id for page in (1, 2)]
    check("pages of jobs go on where the last one ended", pages == [jobs[1].id, jobs[0].id], pages)


class Receiver:
    """Receives webhooks on this machine; refuses the first one, as a service that restarts does."""

    def __enter__(self):
        received = self.received = queue.Queue()

        class Handler(http.server.BaseHTTPRequestHandler):
            refused = False

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                status = 204 if Handler.refused else 503
                Handler.refused = True
                self.send_response(status)
                self.end_headers()
                received.put((status, self.headers["x-flexorch-signature"], body))

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def webhooks(client, connector):
    with Receiver() as receiver:
        hook = client.webhooks.register(receiver.url, ["job.completed", "job.failed"])
        check("a webhook is registered, and gets a signing secret", hook.active and hook.secret, hook)
        listed = client.webhooks.list()
        check("it is listed, without its secret", [(h.id, h.secret) for h in listed] == [(hook.id, None)], listed)
        job = client.process_from_s3(connector.id, ["reported.pdf"])[0]
        first, second = (receiver.received.get(timeout=30) for _ in range(2))
        check("a delivery that is refused is made again", (first[0], second[0]) == (503, 204), (first, second))
        check("unchanged", first[1:] == second[1:], (first, second))
        signature = hmac.new(hook.secret.encode(), second[2], hashlib.sha256).hexdigest()
        check("its signature is the HMAC-SHA256 of its body", second[1] == signature, second)
        told, job = json.loads(second[2]), client.jobs.get(job.id)
        check("it names the job and its status", (told["job_id"], told["status"]) == (job.id, job.status), told)
        check("and its grade", told["quality_grade"] == job.quality_grade, told)
        check("and what it found", told["pii_findings_count"] == job.pii_findings_count, told)
        check("and the event and its time", told["event"] == "job.completed" and told["timestamp"], told)
        client.webhooks.delete(hook.id)
        check("it is deleted", client.webhooks.list() == [])


def main():
    if not 2 <= len(sys.argv) <= 3:
        sys.exit(__doc__)
    base_url = sys.argv[1]
    api_key = sys.argv[2] if len(sys.argv) == 3 else f"dfx_{secrets.token_hex(16)}"
    try:
        with FlexOrchClient(api_key, base_url=base_url, timeout=10) as client:
            connector = connectors(client)
            schedules(client, connector)
            documents(client, connector)
            usage(client)
            if httpx.URL(base_url).host in ("127.0.0.1", "localhost"):
                failing_jobs(client, connector, f"{base_url.removesuffix('/v1')}/_sandbox")
                webhooks(client, connector)
            client.connectors.delete(connector.id)
            check("nothing is left behind", client.connectors.list() == [])
        with FlexOrchClient("not-a-key", base_url=base_url, timeout=10) as stranger:
            refuses("a wrong key is refused", AuthError, stranger.connectors.list)
    except (Broken, FlexOrchError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)
    print("FlexOrch's client and this API understand each other.")


if __name__ == "__main__":
    main()
