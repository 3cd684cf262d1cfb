"""What an operator does with a stack that is there."""

import json

import pytest
from botocore.exceptions import ClientError

from chain import Stack, wait_until
from conftest import existing_bucket


def test_the_schedules_order_submits_what_no_notification_brought(emulator, sandbox):
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
        emulator.client("scheduler").get_schedule(Name=found["Name"])
        for found in emulator.client("scheduler").list_schedules()["Schedules"]
        if found["Name"].startswith("reconciled-")
    ]
    target = schedule["Target"]
    assert target["Arn"] == stack.outputs["FunctionArn"]
    assert target["DeadLetterConfig"]["Arn"] == stack.outputs["DeadLetterQueueArn"]
    answer, error = stack.invoke(json.loads(target["Input"]))
    assert not error, answer
    assert (answer["received"], answer["forwarded"]) == (3, 3), answer
    assert stack.taken(sandbox) == keys

    # What the schedule could not deliver is redriven like everything else: the order works as a message too.
    stack.sqs.send_message(QueueUrl=stack.outputs["RetryQueueUrl"], MessageBody=target["Input"])
    wait_until(lambda: len([r for r in stack.submissions(sandbox) if r["keys"] == keys]) == 2, 30, "not carried out")


def test_with_a_key_of_yours_queues_log_and_secret_are_encrypted_with_it_and_uploads_arrive(emulator, sandbox):
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
    wait_until(lambda: stack.taken(sandbox) == ["invoices/encrypted.pdf"], 30, "it never arrived")


def test_a_stack_changes_from_direct_to_queue_and_keeps_its_bucket(emulator, sandbox):
    stack = Stack(emulator, "changing", "documents-changing", 150)
    stack.deploy(FlexOrchBaseUrl=sandbox.base_url, PlanRequestsPerMinute="6000")
    stack.fill_secret()
    stack.upload("invoices/direct.pdf")
    wait_until(lambda: "invoices/direct.pdf" in stack.taken(sandbox), 30, "it never arrived")
    stack.deploy(Trigger="Queue", FlexOrchBaseUrl=sandbox.base_url, PlanRequestsPerMinute="6000")
    notifications = stack.s3.get_bucket_notification_configuration(Bucket=stack.bucket)
    assert "LambdaFunctionConfigurations" not in notifications
    assert notifications["QueueConfigurations"][0]["QueueArn"] == stack.outputs["RetryQueueArn"]
    stack.upload("invoices/queue.pdf")
    wait_until(lambda: stack.taken(sandbox) == ["invoices/direct.pdf", "invoices/queue.pdf"], 30, "it never arrived")


def test_when_the_stack_is_deleted_bucket_objects_and_secret_stay(emulator, sandbox):
    stack = Stack(emulator, "deleted", "documents-deleted", 160)
    stack.deploy(FlexOrchBaseUrl=sandbox.base_url)
    stack.fill_secret()
    stack.upload("invoices/kept.pdf")
    wait_until(lambda: stack.taken(sandbox) == ["invoices/kept.pdf"], 30, "it never arrived")
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
