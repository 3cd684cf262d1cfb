#!/usr/bin/env python3
"""FlexOrch's own Python client against an API that claims to be FlexOrch's.

Usage: flexorch_sdk_check.py BASE_URL [API_KEY]

BASE_URL is the sandbox's, http://127.0.0.1:8642/v1 for example; any key that starts with dfx_ is a tenant there, and
without one the check takes a fresh one. Needs flexorch-sdk 0.3.3 from PyPI. Says what holds, sentence by sentence,
and ends with status 1 at the first thing that does not.
"""

import secrets
import sys

from flexorch_sdk import AuthError, FlexOrchClient, FlexOrchError, NotFoundError, ValidationError


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
