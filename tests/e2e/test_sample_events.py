"""Sends every sample event to the function under `cargo lambda watch`, as a developer does."""

import json
import os
import subprocess

import pytest

from chain import REGION, REPOSITORY, WORK, Process, answers, free_port, wait_until

EVENTS = sorted(path.name for path in (REPOSITORY / "events").glob("*.json"))

# As in events/README.md. The response to a queue lists the failed messages; the others are summaries.
ALL_DONE = {"batchItemFailures": []}
EXPECTED = {
    "batch-job-1.0-plus.json": "Succeeded",
    "batch-job-1.0.json": "Succeeded",
    "batch-job-2.0.json": "Succeeded",
    "eventbridge-direct.json": {"received": 1, "forwarded": 1},
    "reconcile.json": {"received": 2, "forwarded": 2},
    "s3-direct-two-buckets.json": {"received": 4, "forwarded": 2, "skipped": 2},
    "s3-direct.json": {"received": 17, "forwarded": 12, "skipped": 4, "rejected": 1},
    "s3-test-event.json": {"received": 0},
    "sns-direct.json": {"received": 3, "forwarded": 2, "skipped": 1},
    "sns-test-event.json": {"received": 0},
    "sqs-destination-reconcile.json": ALL_DONE,
    "sqs-destination-record.json": ALL_DONE,
    "sqs-eventbridge.json": ALL_DONE,
    "sqs-mixed.json": ALL_DONE,
    "sqs-s3.json": ALL_DONE,
    "sqs-sns-enveloped.json": ALL_DONE,
    "sqs-sns-raw.json": ALL_DONE,
    "sqs-test-event.json": ALL_DONE,
    "unknown.json": "UnknownEvent",
}


@pytest.fixture(scope="module")
def invoke(emulator, sandbox):
    sandbox.heal()
    secret = {"api_key": "dfx_sample_events", "connector_id": 42, "bucket": "my-documents", "prefix": "invoices/"}
    emulator.client("secretsmanager").create_secret(Name="my-connector", SecretString=json.dumps(secret))
    sqs = emulator.client("sqs")
    sqs.create_queue(QueueName="flexorch-s3-ingester-retry")
    dead_letters = sqs.create_queue(QueueName="samples-dead-letters")["QueueUrl"]
    s3 = emulator.client("s3")
    s3.create_bucket(Bucket="my-documents", CreateBucketConfiguration={"LocationConstraint": REGION})
    for key in ["invoices/2025/q1+q2.pdf", "invoices/listed.pdf", "drafts/listed.pdf"]:
        s3.put_object(Bucket="my-documents", Key=key, Body=b"%PDF-1.7")

    port = free_port()
    with_cargo_lambda = {"PATH": f"{WORK / 'venv-cargo-lambda/bin'}:{os.environ['PATH']}"}
    watch = Process(
        "watch",
        ["cargo", "lambda", "watch", "--ignore-changes", "--invoke-address", "127.0.0.1", "--invoke-port", port]
        + ["--bin", "flexorch-s3-ingester"],
        {
            **with_cargo_lambda,
            **emulator.environment(),
            # Where tests/e2e/build has built it.
            "CARGO_TARGET_DIR": str(WORK / "watch"),
            "CONNECTOR_SECRET_IDS": "my-connector",
            "FLEXORCH_BASE_URL": sandbox.base_url,
            "DEAD_LETTER_QUEUE_URL": dead_letters,
        },
    )
    wait_until(lambda: answers(port), 60, lambda: watch.printed.read_text())

    def invoke(event):
        run = subprocess.run(
            ["cargo", "lambda", "invoke", "flexorch-s3-ingester", "--invoke-address", "127.0.0.1"]
            + ["--invoke-port", str(port), "--data-file", REPOSITORY / "events" / event],
            env={**os.environ, **with_cargo_lambda},
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            # The first one waits until cargo has found that the function is built.
            timeout=120,
        )
        return run.stdout, run.stderr

    yield invoke
    watch.stop()


def test_every_sample_event_has_an_expectation():
    assert sorted(EXPECTED) == EVENTS


@pytest.mark.parametrize("event", EVENTS)
def test_the_function_responds_as_the_samples_readme_says(invoke, event):
    printed, errors = invoke(event)
    expected = EXPECTED[event]
    if isinstance(expected, str) and expected != "Succeeded":
        assert expected in printed + errors
        return
    answer = json.loads(printed)
    if expected == "Succeeded":
        assert [result["resultCode"] for result in answer["results"]] == ["Succeeded"], answer
    else:
        assert {name: answer[name] for name in expected} == expected, answer
