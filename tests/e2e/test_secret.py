"""A deployment whose secret is still empty."""

import json

from chain import REPOSITORY, Stack, wait_until

EVENT = json.loads((REPOSITORY / "events/s3-direct-two-buckets.json").read_text())


def test_with_an_empty_secret_log_and_error_name_the_missing_fields_and_the_upload_waits(emulator, sandbox):
    stack = Stack(emulator, "unfilled", "documents-unfilled", 120)
    stack.deploy(FlexOrchBaseUrl=sandbox.base_url)
    secret = stack.configuration()["Environment"]["Variables"]["CONNECTOR_SECRET_IDS"]

    answer, error = stack.invoke(EVENT)
    assert error, answer
    for words in [secret, "the secret is still empty", "api_key", "connector_id"]:
        assert words in answer["errorMessage"], answer
    lines = wait_until(lambda: [line for line in stack.log() if "still empty" in line], 30, "no log line about the empty secret")
    assert any(json.loads(line)["level"] == "ERROR" and secret in line for line in lines if line.startswith("{")), lines

    stack.upload("invoices/before the secret was filled.pdf")
    wait_until(lambda: stack.waiting() >= 1, 30, "the upload does not wait")
    stack.fill_secret()
    wait_until(
        lambda: "invoices/before the secret was filled.pdf" in stack.taken(sandbox), 120, "the upload never arrived"
    )
    assert stack.dead() == 0
