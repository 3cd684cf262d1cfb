"""Runs the blocks of docs/tracking.md unchanged: turning tracking on for an existing stack, and the recipes."""

import json
import re

import pytest

from chain import REPOSITORY, Sandbox, wait_until
from test_guide import run
from test_tracking import SETTINGS, Tracked


def section(title):
    """Returns the text of a section of the page."""
    page = (REPOSITORY / "docs/tracking.md").read_text()
    return re.search(rf"^##+ {title}$(.*?)(?=^##)", page, re.M | re.S)[1]


def blocks(title, language):
    return re.findall(rf"^```{language}\n(.*?)^```", section(title), re.M | re.S)


@pytest.fixture(scope="module")
def flexorch():
    sandbox = Sandbox("sandbox-recipes", "--unlimited", "--job-seconds", "0", "--fail-job", "*broken*=the file is encrypted")
    yield sandbox
    sandbox.stop()


@pytest.fixture(scope="module")
def stack(emulator, flexorch, tmp_path_factory):
    """A stack on which the page's commands have turned tracking on."""
    stack = Tracked(emulator, flexorch, "recipes", 180)
    stack.deploy(FlexOrchBaseUrl=flexorch.base_url)
    stack.fill_secret()
    switch, webhook, _ = blocks("Switching it on", "sh")
    # The default is 15 minutes.
    switch = switch.rstrip() + f" SweepAfterMinutes={SETTINGS['SweepAfterMinutes']}"
    names = f"export STACK={stack.name} BUCKET={stack.bucket}\n"
    run(emulator, flexorch, tmp_path_factory.mktemp("switch"), names + switch + "\n" + webhook)
    stack.read_outputs()
    assert {"RecordsTable", "WebhookUrl"} <= set(stack.outputs)
    return stack


def recipe(title, stack, folder):
    """Deploys a recipe and returns its outputs."""
    [template], [command] = blocks(title, "yaml"), blocks(title, "sh")
    name = re.match(r"# (\S+)\.yaml\n", template)[1]
    (folder / f"{name}.yaml").write_text(template)
    run(stack.emulator, stack.flexorch, folder, command)
    found = stack.emulator.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in found["Outputs"]}


def bodies(stack, url):
    """Receives and deletes the messages in a queue."""
    messages = stack.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    for message in messages:
        stack.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return [message["Body"] for message in messages]


def test_the_webhook_is_registered_at_the_stacks_url(stack):
    printed = stack.command("--json", "webhook", "list", "--stack", stack.name)
    [webhook] = json.loads(printed)["webhooks"]
    assert webhook["url"] == stack.outputs["WebhookUrl"]
    secrets = stack.emulator.client("secretsmanager")
    stored = json.loads(secrets.get_secret_value(SecretId=stack.outputs["WebhookSecretArn"])["SecretString"])
    assert stored["signing_secret"] not in printed


def test_a_failed_document_is_mailed(stack, tmp_path):
    outputs = recipe("Mail when a document fails", stack, tmp_path)
    # A queue subscribes in place of the mailbox: every subscriber gets the same text.
    url = stack.sqs.create_queue(QueueName="mailbox")["QueueUrl"]
    topics = stack.emulator.client("sns")
    arn = stack.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    statement = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    stack.sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    topics.subscribe(TopicArn=outputs["TopicArn"], Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    subscribers = topics.list_subscriptions_by_topic(TopicArn=outputs["TopicArn"])["Subscriptions"]
    assert ("email", "ops@example.com") in [(found["Protocol"], found["Endpoint"]) for found in subscribers]

    stack.upload("invoices/broken mail.pdf")
    stack.swept_to("invoices/broken mail.pdf", "failed")
    mails = wait_until(lambda: bodies(stack, url), 60, "no mail")
    assert f"{stack.bucket}/invoices/broken mail.pdf: failed. the file is encrypted" in mails[0]


def test_failures_are_in_a_queue(stack, tmp_path):
    outputs = recipe("Failures into a queue", stack, tmp_path)
    stack.upload("invoices/broken queue.pdf")
    stack.swept_to("invoices/broken queue.pdf", "failed")
    [event, *_] = wait_until(lambda: bodies(stack, outputs["QueueUrl"]), 60, "no failure in the queue")
    assert json.loads(event)["detail"]["failure_reason"] == "the file is encrypted"


def test_a_processed_document_starts_a_workflow(stack, tmp_path):
    outputs = recipe("A workflow for each processed document", stack, tmp_path)
    stack.upload("invoices/workflow.pdf")
    [record] = stack.swept_to("invoices/workflow.pdf", "processed")
    workflows = stack.emulator.client("stepfunctions")

    def finished():
        found = workflows.list_executions(stateMachineArn=outputs["StateMachineArn"], statusFilter="SUCCEEDED")["executions"]
        return [workflows.describe_execution(executionArn=execution["executionArn"]) for execution in found]

    results = [json.loads(execution["output"]) for execution in wait_until(finished, 60, "no workflow ran")]
    assert record["job_id"] in [result["job_id"] for result in results]


def test_the_pages_commands_print_the_records(stack, tmp_path):
    names = f"export STACK={stack.name} BUCKET={stack.bucket}\n"
    stack.upload("invoices/broken and read.pdf")
    stack.swept_to("invoices/broken and read.pdf", "failed")
    printed = run(stack.emulator, stack.flexorch, tmp_path, names + "\n".join(blocks("Reading it", "sh")))
    assert "invoices/broken and read.pdf" in printed and "the file is encrypted" in printed
    [_, _, delete] = blocks("Switching it on", "sh")
    run(stack.emulator, stack.flexorch, tmp_path, names + delete)
    assert json.loads(stack.command("--json", "webhook", "list", "--stack", stack.name))["webhooks"] == []
