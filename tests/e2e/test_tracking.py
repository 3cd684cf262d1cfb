"""What happened to every document: receipt, record, webhook or sweep, event, history, with the deployed template."""

import json

import pytest
from botocore.exceptions import ClientError

from chain import ACCOUNT, REGION, Sandbox, wait_until
from test_operations import Uploads, all_arrive
from test_permissions import may_be_invoked_by
from tracking import SETTINGS, Relay, Tracked, timer

REASON = "the file is encrypted"


@pytest.fixture(scope="module")
def flexorch():
    sandbox = Sandbox(
        "sandbox-tracking", "--unlimited", "--job-seconds", "1", "--fail-job", f"*broken*={REASON}", "--changed-content",
        "--fault", "reject=*rejected*,code=FILE_TOO_LARGE",
    )  # fmt: skip
    yield sandbox
    sandbox.stop()


@pytest.fixture(scope="module")
def notified(emulator, flexorch):
    """A stack with FlexOrch's webhook, as `webhook create` registers it."""
    stack = Tracked(emulator, flexorch, "notified", 170)
    stack.deploy(FlexOrchBaseUrl=flexorch.base_url, FlexOrchWebhook="true", **SETTINGS)
    stack.fill_secret()
    stack.relay = Relay(emulator, stack.outputs["WebhookUrl"])
    assert stack.relay.post(b'{"job_id": "job_1", "status": "completed"}', "0" * 64) == 401, "no signing secret yet"
    printed = stack.register_webhook()
    secret = stack.signing_secret()
    assert secret and secret not in printed
    yield stack
    stack.relay.server.shutdown()


@pytest.fixture(scope="module")
def swept(emulator, flexorch):
    """A stack without a webhook."""
    stack = Tracked(emulator, flexorch, "swept", 171)
    stack.deploy(Trigger="Queue", FlexOrchBaseUrl=flexorch.base_url, **SETTINGS)
    stack.fill_secret()
    return stack


def test_an_upload_has_a_record_its_end_by_webhook_an_event_and_a_line_in_the_history(notified, events):
    key = "invoices/to be followed+ü.pdf"
    notified.upload(key)
    [record] = notified.reaches(key, "processed")
    for attribute in ["job_id", "event_time", "submitted_at", "changed_at", "expires_at", "quality_grade"]:
        assert record.get(attribute), f"{attribute}: {record}"
    assert str(record["connector_id"]) == str(notified.connector_id)
    [detail, *_] = events.wait(notified, key, "Document Processed")
    known = {name: value for name, value in record.items() if name in detail}
    assert json.loads(json.dumps(known, default=int)) == detail
    assert not {"revision", "unpublished", "asked_at", "abandoned_at"} & set(detail)
    wait_until(lambda: "unpublished" not in notified.records(key)[0], 30, "its event stays marked as unpublished")
    assert notified.history("--since", "1d")[key]["state"] == "processed"
    assert 204 in [status for status, _ in notified.relay.passed]


def test_doctor_finds_nothing_wrong_with_the_tracking_and_reports_how_a_document_ended(notified):
    key = "invoices/examined.pdf"
    notified.upload(key)
    [record] = notified.reaches(key, "processed")
    # Its exit status is that of a failed check: this stack's connector and the relay's URL are not registered as on AWS.
    printed = notified.command(
        "--json", "doctor", "--secret", notified.outputs["ConnectorSecretArns"], "--function", notified.function, "--key", key,
        status=3,
    )  # fmt: skip
    checks = {check["check"]: check for check in json.loads(printed)["checks"]}
    # Without the table, whose time to live the emulator does not have.
    of_tracking = ["tracking", "receipts queue", "ingester's role", "outcomes function", "receipts' batches", "outcomes' settings"]
    of_tracking += ["outcomes' role", "sweep", "receipts waiting", "dead receipts", "object's record"]
    assert [checks[name] for name in of_tracking if checks[name]["status"] != "well"] == []
    assert record["job_id"] in checks["object's record"]["found"]


def test_a_document_that_fails_is_recorded_published_and_in_the_history(notified, events):
    key = "invoices/broken.pdf"
    notified.upload(key)
    notified.reaches(key, "failed")
    [detail, *_] = events.wait(notified, key, "Document Failed")
    assert detail["state"] == "failed"
    assert notified.history("--state", "failed")[key]["state"] == "failed"


def test_a_rejected_document_is_recorded_and_published_with_its_code(notified, events):
    key = "invoices/rejected.pdf"
    notified.upload(key)
    [record] = notified.reaches(key, "rejected")
    assert record["code"] == "FILE_TOO_LARGE" and "job_id" not in record
    [detail, *_] = events.wait(notified, key, "Document Rejected")
    assert detail["code"] == "FILE_TOO_LARGE"
    assert notified.history("--state", "rejected")[key]["code"] == "FILE_TOO_LARGE"


def test_nothing_that_a_forged_or_unsigned_webhook_says_is_believed(notified, flexorch):
    key = "invoices/forged.pdf"
    flexorch.admin("webhooks", "POST", '{"lose": true}')
    try:
        notified.upload(key)
        [record] = notified.reaches(key, "submitted")
        forged = json.dumps({"event": "job.failed", "job_id": record["job_id"], "status": "failed"}).encode()
        assert [notified.relay.post(forged, signature) for signature in [None, "0" * 64, "not hex"]] == [401] * 3
        assert notified.states(key) == ["submitted"]
    finally:
        flexorch.admin("webhooks", "POST", '{"lose": false}')
    [record] = notified.swept_to(key, "processed")


@pytest.mark.parametrize("lost", [False, True], ids=["with webhooks", "with every webhook lost"])
def test_a_key_that_is_uploaded_again_while_its_first_version_is_in_process_has_two_records(notified, events, flexorch, lost):
    key = f"invoices/twice {lost}.pdf"
    flexorch.admin("webhooks", "POST", json.dumps({"lose": lost}))
    try:
        notified.s3.put_object(Bucket=notified.bucket, Key=key, Body=b"%PDF-1.7 first")
        notified.reaches(key, "submitted")
        notified.s3.put_object(Bucket=notified.bucket, Key=key, Body=b"%PDF-1.7 second")
        wait_until(lambda: len(notified.records(key)) == 2, 60, lambda: notified.records(key))
        records = (notified.swept_to if lost else notified.reaches)(key, "processed", "processed")
    finally:
        flexorch.admin("webhooks", "POST", '{"lose": false}')
    assert len({record["version"] for record in records}) == len({record["job_id"] for record in records}) == 2
    wait_until(lambda: len({detail["version"] for _, detail in events.of(notified, key)}) == 2, 60, "an event is missing")


def test_without_any_webhook_the_sweep_alone_settles_every_document(swept, events):
    keys = [f"invoices/swept {number:02}.pdf" for number in range(30)]
    broken = ["invoices/broken one.pdf", "invoices/broken two.pdf"]
    swept.upload(*keys, *broken)
    for key in keys + broken:
        wait_until(lambda: swept.records(key), 60, f"no record of {key}")
    for key in keys:
        swept.swept_to(key, "processed")
    for key in broken:
        [record] = swept.swept_to(key, "failed")
        assert record["failure_reason"] == REASON
        assert events.wait(swept, key, "Document Failed")[0]["failure_reason"] == REASON
    for key in keys:
        events.wait(swept, key, "Document Processed")
    answer = swept.sweep()
    assert answer["open"] == 0, answer
    of_states = {state: len(swept.history("--state", state)) for state in ["open", "processed", "failed"]}
    assert of_states == {"open": 0, "processed": len(keys), "failed": len(broken)}


def test_a_receipt_that_cannot_be_read_fails_alone(swept):
    swept.sqs.send_message(QueueUrl=swept.outputs["ReceiptsQueueUrl"], MessageBody='{"version": 1, "neither": "of"}')
    swept.upload("invoices/beside a bad receipt.pdf")
    wait_until(lambda: swept.records("invoices/beside a bad receipt.pdf"), 60, "the good receipt is not recorded")
    # It stays, for SQS to move it: not lost, and not taken for done.
    assert swept.count(swept.outputs["ReceiptsQueueUrl"]) == 1
    swept.sqs.purge_queue(QueueUrl=swept.outputs["ReceiptsQueueUrl"])


def test_uploads_while_tracking_is_switched_on_and_off_all_arrive_and_have_records_from_then_on(emulator, flexorch):
    stack = Tracked(emulator, flexorch, "switched", 172)
    settings = {"Trigger": "Queue", "FlexOrchBaseUrl": flexorch.base_url, "PlanRequestsPerMinute": "6000"}
    stack.deploy(**settings)
    stack.fill_secret()
    with Uploads(stack) as uploads:
        wait_until(lambda: len(uploads.keys) > 5, 30, "no uploads")
        stack.deploy(**{**settings, **SETTINGS})
        on = len(uploads.keys)
        wait_until(lambda: len(uploads.keys) > on + 10, 60, "no uploads")
        off = len(uploads.keys)
        stack.deploy(**settings, Tracking="false")
        assert "RecordsTable" not in stack.outputs
        last = len(uploads.keys)
        wait_until(lambda: len(uploads.keys) > last + 5, 60, "no uploads")
    all_arrive(stack, flexorch, uploads.keys)
    [table] = [name for name in emulator.client("dynamodb").list_tables()["TableNames"] if name.startswith("switched-")]
    stack.outputs["RecordsTable"] = table
    recorded = [key for key in uploads.keys[on:off] if stack.records(key)]
    assert recorded == uploads.keys[on:off], "the table stays, and has all that was uploaded meanwhile"


def test_the_outcomes_function_may_do_what_it_must_and_nothing_else(notified, swept):
    iam = notified.emulator.client("iam")
    for stack, webhook in [(notified, True), (swept, False)]:
        role = stack.functions.get_function_configuration(FunctionName=stack.outcomes)["Role"].rsplit("/", 1)[-1]
        assert not iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
        [name] = iam.list_role_policies(RoleName=role)["PolicyNames"]
        granted = set()
        for statement in iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]["Statement"]:
            assert statement["Effect"] == "Allow"
            actions, resources = ([v] if isinstance(v, str) else v for v in (statement["Action"], statement["Resource"]))
            # What Stack.allow_batches added for the emulator.
            granted |= {(action, resource) for action in actions if not action.endswith("Batch") for resource in resources}
        table = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{stack.outputs['RecordsTable']}"
        queue = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{stack.name}-receipts"
        logs = {(action, resource) for action, resource in granted if action.startswith("logs:")}
        assert {action for action, _ in logs} == {"logs:CreateLogStream", "logs:PutLogEvents"}
        assert all(f":log-group:/flexorch/{stack.name}/outcomes" in resource for _, resource in logs)
        secrets = [stack.outputs["ConnectorSecretArns"]] + ([stack.outputs["WebhookSecretArn"]] if webhook else [])
        assert granted - logs == {
            ("dynamodb:GetItem", table),
            ("dynamodb:PutItem", table),
            ("dynamodb:Query", f"{table}/index/*"),
            ("events:PutEvents", f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default"),
            ("sqs:ReceiveMessage", queue),
            ("sqs:DeleteMessage", queue),
            ("sqs:GetQueueAttributes", queue),
            *[("secretsmanager:GetSecretValue", secret) for secret in secrets],
        }


def test_only_the_webhooks_url_is_public_and_only_where_it_is_asked_for(notified, swept):
    statements = json.loads(notified.functions.get_policy(FunctionName=notified.outcomes)["Policy"])["Statement"]
    assert {(statement["Action"], json.dumps(statement["Condition"])) for statement in statements} == {
        ("lambda:InvokeFunctionUrl", '{"StringEquals": {"lambda:FunctionUrlAuthType": "NONE"}}'),
        ("lambda:InvokeFunction", '{"Bool": {"lambda:InvokedViaFunctionUrl": "true"}}'),
    }
    assert not may_be_invoked_by(swept, swept.outcomes)
    with pytest.raises(ClientError):
        swept.functions.get_function_url_config(FunctionName=swept.outcomes)
    assert not {"WebhookUrl", "WebhookSecretArn"} & set(swept.outputs)


def test_queues_table_and_schedule_are_deployed_as_the_guide_says(swept):
    attributes = {
        name: swept.sqs.get_queue_attributes(QueueUrl=swept.outputs[name], AttributeNames=["All"])["Attributes"]
        for name in ["ReceiptsQueueUrl", "ReceiptsDeadLetterQueueUrl"]
    }
    for queue in attributes.values():
        assert queue["SqsManagedSseEnabled"] == "true" and queue["MessageRetentionPeriod"] == str(14 * 24 * 3600)
        tls_only = json.loads(queue["Policy"])["Statement"][0]
        assert (tls_only["Effect"], tls_only["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    redrive = json.loads(attributes["ReceiptsQueueUrl"]["RedrivePolicy"])
    assert redrive["deadLetterTargetArn"] == attributes["ReceiptsDeadLetterQueueUrl"]["QueueArn"]
    allowed = json.loads(attributes["ReceiptsDeadLetterQueueUrl"]["RedriveAllowPolicy"])
    assert allowed["sourceQueueArns"] == [attributes["ReceiptsQueueUrl"]["QueueArn"]]
    [mapping] = swept.functions.list_event_source_mappings(FunctionName=swept.outcomes)["EventSourceMappings"]
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["ScalingConfig"] == {"MaximumConcurrency": 2}
    tables = swept.emulator.client("dynamodb")
    assert tables.describe_table(TableName=swept.outputs["RecordsTable"])["Table"]["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    schedule = timer(swept)
    assert schedule["ScheduleExpression"] == "rate(15 minutes)"
    assert json.loads(schedule["Target"]["Input"]) == {"sweep": {}}
    assert schedule["Target"]["RetryPolicy"] == {"MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 900}
    assert schedule["Target"]["DeadLetterConfig"]["Arn"].endswith(":swept-undelivered")


def test_the_outcomes_function_prints_every_metric_that_the_stack_watches(notified, swept):
    logs = notified.emulator.client("logs")
    printed = ""
    for stack in [notified, swept]:
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=stack.outputs["OutcomesLogGroupName"])
        printed += "\n".join(event["message"] for page in pages for event in page["events"])
    alarms = notified.emulator.client("cloudwatch").get_paginator("describe_alarms").paginate(AlarmNamePrefix="notified-")
    watched = {
        alarm["MetricName"]
        for page in alarms
        for alarm in page["MetricAlarms"]
        if alarm["Namespace"] == "FlexOrchIngester" and {"Name": "FunctionName", "Value": notified.outcomes} in alarm["Dimensions"]
    }
    assert {"DocumentsFailed", "DocumentsAbandoned", "WebhookRejected"} <= watched
    shown = {"DocumentsSubmitted", "DocumentsProcessed", "DocumentsRejected", "DocumentsOpen", "ProcessingLag"}
    assert not [name for name in sorted(watched | shown) if f'"Name":"{name}"' not in printed.replace(" ", "")]
