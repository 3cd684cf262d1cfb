"""From an upload to FlexOrch, in each of the template's shapes, including failures on the way."""

import threading
import time

from chain import Sandbox, wait_until

ODD_KEYS = sorted(
    [
        "invoices/plain.pdf",
        "invoices/2026/Rechnung 0001.pdf",
        "invoices/q1+q2 summary.pdf",
        "invoices/100% paid.pdf",
        "invoices/file %41 literal.txt",
        "invoices/Müller & Söhne (Kopie).docx",
        "invoices/re\u0301sume\u0301.pdf",
        "invoices/r\u00e9sum\u00e9.pdf",
        "invoices/日本/請求書.pdf",
        "invoices/receipt 📄.jpg",
        "invoices/a=b&c=d;e,f'g\"h.pdf",
        "invoices/#hash?query.pdf",
        "invoices/~tilde@at$dollar!*star.pdf",
        "invoices/ends in a space .pdf",
        "invoices/" + "long" * 200 + ".pdf",
    ]
)


def test_unusual_keys_reach_flexorch_unchanged_with_the_secrets_api_key(stack, sandbox):
    stack.upload(*ODD_KEYS)
    wait_until(
        lambda: set(ODD_KEYS) <= set(stack.taken(sandbox)),
        30,
        lambda: f"missing: {set(ODD_KEYS) - set(stack.taken(sandbox))}",
    )
    odd = [request for request in stack.submissions(sandbox) if set(request["keys"]) & set(ODD_KEYS)]
    assert {request["api_key"] for request in odd} == {f"dfx_…{stack.api_key[-4:]}"}
    assert sorted(key for request in odd for key in request["keys"]) == ODD_KEYS, "each key once and no other"


def test_objects_outside_the_prefix_and_folder_markers_are_not_submitted(stack, sandbox):
    stack.s3.put_object(Bucket=stack.bucket, Key="invoices/new folder/", Body=b"")
    stack.upload("drafts/out.pdf", "invoice.pdf", "Invoices/case.pdf", "invoices/after-the-others.pdf")
    wait_until(lambda: "invoices/after-the-others.pdf" in stack.taken(sandbox), 30, "the object in scope was not submitted")
    wait_until(lambda: stack.waiting() == 0, 30, "messages remain")
    submitted = {key for request in stack.submissions(sandbox) for key in request["keys"]}
    assert not [key for key in submitted if not key.startswith("invoices/") or key.endswith("/")]
    assert stack.dead() == 0


def test_uploads_wait_while_flexorch_is_down_and_all_arrive_afterwards(stacks, sandbox):
    keys = [f"invoices/during the outage {number}.pdf" for number in range(5)]
    sandbox.stop()
    for stack in stacks.values():
        stack.upload(*keys)
    for shape, stack in stacks.items():
        wait_until(lambda: stack.waiting() == len(keys), 60, lambda: f"{shape}: {stack.waiting()} messages wait")
    # Deferred objects are neither dropped nor dead-lettered.
    assert all(stack.dead() == 0 for stack in stacks.values())
    back = Sandbox("sandbox-back", "--unlimited", port=sandbox.port)
    sandbox.process, sandbox.printed = back.process, back.printed
    for shape, stack in stacks.items():
        # A message first returns after 30 s ± 20 %.
        wait_until(lambda: stack.taken(sandbox) == keys, 120, lambda: f"{shape}: {stack.taken(sandbox)}")
        wait_until(lambda: stack.waiting() == 0, 30, lambda: f"{shape}: {stack.waiting()} messages remain")


def test_a_rejected_file_becomes_a_dead_letter_with_the_reason_and_can_be_redriven(stack, sandbox):
    key = "invoices/too + large.pdf"
    sandbox.fault("reject=*large*,code=FILE_TOO_LARGE")
    stack.upload(key, "invoices/another.pdf")
    wait_until(lambda: stack.dead() == 1, 30, "no dead letter")
    [(body, attributes)] = stack.dead_letters()
    [record] = body["Records"]
    assert (record["s3"]["bucket"]["name"], record["s3"]["object"]["key"]) == (stack.bucket, "invoices/too+%2B+large.pdf")
    assert attributes["code"] == "FILE_TOO_LARGE"
    assert attributes["connector"] == stack.configuration()["Environment"]["Variables"]["CONNECTOR_SECRET_IDS"]
    assert attributes["connector_id"] == str(stack.connector_id)
    wait_until(lambda: stack.waiting() == 0, 30, "the rejected file is tried again")
    assert "invoices/another.pdf" in stack.taken(sandbox)

    sandbox.heal()
    before = len([request for request in stack.submissions(sandbox) if key in request["keys"]])
    stack.redrive()
    wait_until(
        lambda: len([request for request in stack.submissions(sandbox) if key in request["keys"]]) > before,
        30,
        "redriven, but not submitted",
    )
    wait_until(lambda: stack.dead() == 0 and stack.waiting() == 0, 30, "messages remain")


def test_an_unreadable_message_becomes_a_dead_letter_on_its_first_receive(stack):
    stack.sqs.send_message(QueueUrl=stack.outputs["RetryQueueUrl"], MessageBody='{"neither": "event", "nor": "record"}')
    wait_until(lambda: stack.dead() == 1, 30, "no dead letter")
    [(body, attributes)] = stack.dead_letters()
    assert body == {"neither": "event", "nor": "record"}
    assert attributes["code"] == "UNREADABLE", attributes
    # The reason names the top-level fields.
    assert "neither, nor" in attributes["message"], attributes
    stack.sqs.purge_queue(QueueUrl=stack.outputs["DeadLetterQueueUrl"])
    wait_until(lambda: stack.dead() == 0, 70, "the queue was not purged")


def test_rotating_the_secret_during_uploads_loses_no_object(stack, sandbox):
    keys = [f"invoices/rotation {number:02}.pdf" for number in range(40)]
    old, new = stack.api_key, f"dfx_{stack.name}_rotated_{stack.connector_id}n"

    def upload():
        for key in keys:
            stack.upload(key)
            time.sleep(0.05)

    uploads = threading.Thread(target=upload)
    uploads.start()
    wait_until(lambda: keys[5] in stack.taken(sandbox), 30, "the first uploads are missing")
    # As an operator does: write the new key into the secret, then revoke the old one.
    stack.fill_secret(api_key=new)
    sandbox.revoke(old)
    stack.api_key = new
    uploads.join()
    wait_until(
        lambda: set(keys) <= set(stack.taken(sandbox)), 90, lambda: f"missing: {set(keys) - set(stack.taken(sandbox))}"
    )
    rotated = [request for request in stack.submissions(sandbox) if request["status"] == 202]
    assert {request["api_key"] for request in rotated[-3:]} == {f"dfx_…{new[-4:]}"}
    wait_until(lambda: stack.waiting() == 0, 60, "messages remain")
    assert stack.dead() == 0
