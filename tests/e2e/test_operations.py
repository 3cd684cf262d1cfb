"""Operations on a deployed stack."""

import json
import threading
import time

import pytest
from botocore.exceptions import ClientError

from chain import Stack, wait_until
from conftest import existing_bucket


def test_the_scheduled_reconcile_submits_objects_without_a_notification(emulator, sandbox):
    stack = Stack(emulator, "reconciled", "documents-reconciled", 140)
    existing_bucket(stack)
    keys = [f"invoices/before the stack {number}.pdf" for number in range(3)]
    stack.upload(*keys, "drafts/not this.pdf")
    stack.deploy(
        Trigger="EventBridge",
        FlexOrchBaseUrl=sandbox.base_url,
        NotificationPrefix="invoices/",
        ReconcileSchedule="rate(1 day)",
    )
    stack.fill_secret()
    [schedule] = [
        emulator.client("scheduler").get_schedule(Name=found["Name"], GroupName=found["GroupName"])
        for found in emulator.client("scheduler").list_schedules()["Schedules"]
        if found["Name"].startswith("reconciled-")
    ]
    target = schedule["Target"]
    assert target["Arn"] == stack.outputs["FunctionArn"]
    assert target["DeadLetterConfig"]["Arn"].endswith(":reconciled-undelivered")
    answer, error = stack.invoke(json.loads(target["Input"]))
    assert not error, answer
    assert (answer["received"], answer["forwarded"]) == (3, 3), answer
    assert stack.taken(sandbox) == keys

    # An undelivered order is redriven like any other message, so it works as a message too.
    stack.sqs.send_message(QueueUrl=stack.outputs["RetryQueueUrl"], MessageBody=target["Input"])
    wait_until(lambda: len([r for r in stack.submissions(sandbox) if r["keys"] == keys]) == 2, 30, "the order was not carried out")


def test_with_a_customer_key_queues_log_and_secret_use_it_and_uploads_arrive(emulator, sandbox):
    key = emulator.client("kms").create_key()["KeyMetadata"]["Arn"]
    stack = Stack(emulator, "encrypted", "documents-encrypted", 145)
    stack.deploy(Trigger="Queue", FlexOrchBaseUrl=sandbox.base_url, KmsKeyArn=key)
    stack.fill_secret()
    for queue in [stack.outputs["RetryQueueUrl"], stack.outputs["DeadLetterQueueUrl"]]:
        attributes = stack.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
        assert attributes["KmsMasterKeyId"] == key
    secret = emulator.client("secretsmanager").describe_secret(SecretId=stack.outputs["ConnectorSecretArns"])
    assert secret["KmsKeyId"] == key
    groups = emulator.client("logs").describe_log_groups(logGroupNamePrefix=stack.outputs["LogGroupName"])["logGroups"]
    assert groups[0]["kmsKeyId"] == key
    stack.upload("invoices/encrypted.pdf")
    wait_until(lambda: stack.taken(sandbox) == ["invoices/encrypted.pdf"], 30, "the upload never arrived")


class Uploads(threading.Thread):
    """Uploads a file every 0.2 s until it is stopped."""

    def __init__(self, stack):
        super().__init__()
        self.stack, self.keys, self.over = stack, [], threading.Event()

    def run(self):
        while not self.over.is_set():
            key = f"invoices/during the move {len(self.keys):04}.pdf"
            self.stack.upload(key)
            self.keys.append(key)
            time.sleep(0.2)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()


def all_arrive(stack, sandbox, keys):
    # The emulator kills a running function when it is updated. AWS lets it end; here, its messages return after the queue's visibility
    # timeout of 185 s.
    seconds = 240
    missing = lambda: set(keys) - set(stack.taken(sandbox))
    wait_until(lambda: not missing(), seconds, lambda: f"{len(missing())} of {len(keys)} are missing: {sorted(missing())[:5]}")
    wait_until(lambda: stack.waiting() == 0, seconds, "messages remain")
    assert stack.dead() == 0


@pytest.mark.parametrize("moves", [["Direct", "Queue", "Direct"], ["Queue", "EventBridge"]], ids=" to ".join)
def test_all_uploads_during_each_supported_change_of_shape_arrive(emulator, sandbox, moves):
    name = "-".join(moves).lower()
    stack = Stack(emulator, f"moves-{name}", f"documents-moves-{name}", 150 + len(moves))
    settings = {"FlexOrchBaseUrl": sandbox.base_url, "PlanRequestsPerMinute": "6000"}
    stack.deploy(Trigger=moves[0], **settings)
    stack.fill_secret()
    with Uploads(stack) as uploads:
        for shape in moves[1:]:
            time.sleep(2)
            stack.deploy(Trigger=shape, **settings)
            time.sleep(2)
            if shape == "EventBridge":
                # As in the guide: turn EventBridge on and, once events arrive, the old notification off.
                old = stack.s3.get_bucket_notification_configuration(Bucket=stack.bucket)
                both = {"QueueConfigurations": old["QueueConfigurations"], "EventBridgeConfiguration": {}}
                for configuration in [both, {"EventBridgeConfiguration": {}}]:
                    stack.s3.put_bucket_notification_configuration(
                        Bucket=stack.bucket, NotificationConfiguration=configuration
                    )
                    time.sleep(2)
    assert len(uploads.keys) > 20
    all_arrive(stack, sandbox, uploads.keys)


def test_deleting_the_stack_keeps_the_bucket_its_objects_and_the_secret(emulator, sandbox):
    stack = Stack(emulator, "deleted", "documents-deleted", 160)
    stack.deploy(FlexOrchBaseUrl=sandbox.base_url)
    stack.fill_secret()
    stack.upload("invoices/kept.pdf")
    wait_until(lambda: stack.taken(sandbox) == ["invoices/kept.pdf"], 30, "the upload never arrived")
    cloudformation = emulator.client("cloudformation")
    identity = cloudformation.describe_stacks(StackName=stack.name)["Stacks"][0]["StackId"]
    cloudformation.delete_stack(StackName=stack.name)

    def gone():
        [found] = cloudformation.describe_stacks(StackName=identity)["Stacks"]
        return found["StackStatus"] == "DELETE_COMPLETE"

    wait_until(gone, 60, "the stack is still there")
    assert stack.s3.head_object(Bucket=stack.bucket, Key="invoices/kept.pdf")
    secret = emulator.client("secretsmanager").get_secret_value(SecretId=stack.outputs["ConnectorSecretArns"])
    assert json.loads(secret["SecretString"])["api_key"] == stack.api_key
    with pytest.raises(ClientError):
        stack.configuration()
