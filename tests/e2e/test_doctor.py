"""`flexorch-s3 doctor` on deployed stacks: healthy stacks pass, each fault fails one check, and the suggested command fixes it."""

import json
import os
import subprocess
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest

from chain import REGION, REPOSITORY, WORK, Sandbox, Stack, wait_until
from conftest import SHAPES, existing_bucket

PROGRAM = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target")) / "debug/flexorch-s3"
AWS_KEYS = {"aws_access_key_id": "AKIAREADSDOCUMENTS00", "aws_secret_access_key": "never+printed/anywhere"}


@pytest.fixture(scope="module")
def flexorch():
    """A sandbox of FlexOrch with a rate limit."""
    flexorch = Sandbox("sandbox-doctor", "--requests-per-minute", "600")
    yield flexorch
    flexorch.stop()


@pytest.fixture(scope="module")
def chains(emulator, flexorch):
    """The template in its three shapes, set up as by an operator."""
    chains = {}
    for number, shape in enumerate(SHAPES):
        stack = Stack(emulator, f"doctor-{shape.lower()}", f"doctor-{shape.lower()}", 300 + number)
        if shape == "EventBridge":
            existing_bucket(stack)
        stack.deploy(
            Trigger=shape,
            FlexOrchBaseUrl=flexorch.base_url,
            PlanRequestsPerMinute="600",
            # A changed secret is in use immediately.
            SecretCacheTtlSeconds="0",
            **({"NotificationPrefix": "invoices/"} if shape == "EventBridge" else {}),
        )
        stack.flexorch = flexorch
        create_connector(stack)
        chains[shape] = stack
    return chains


@pytest.fixture(params=SHAPES)
def chain(request, chains):
    return chains[request.param]


def environment(stack):
    programs = [PROGRAM.parent, WORK / "venv-aws-cli/bin"]
    return {
        **os.environ,
        **stack.emulator.environment(),
        "FLEXORCH_BASE_URL": stack.flexorch.base_url,
        "PATH": os.pathsep.join([*(str(folder) for folder in programs), os.environ["PATH"]]),
    }


def secret_of(stack):
    return stack.outputs["ConnectorSecretArns"]


def create_connector(stack):
    fields = {"api_key": stack.api_key, **AWS_KEYS}
    options = ["--bucket", stack.bucket, "--bucket-region", REGION, "--prefix", "invoices/", "--fields-from", "-"]
    run = subprocess.run(
        [PROGRAM, "connector", "create", "--secret", secret_of(stack), *options],
        input=json.dumps(fields),
        env=environment(stack),
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr


class Diagnosis:
    """The output of `doctor`, as JSON and as text."""

    def __init__(self, stack, *options, **variables):
        command = [PROGRAM, "doctor", "--secret", secret_of(stack), *options]
        full_environment = {**environment(stack), **variables}
        run = subprocess.run([*command, "--json", "-vv"], env=full_environment, capture_output=True, text=True)
        assert run.returncode in (0, 3), run.stderr
        self.status = run.returncode
        document = json.loads(run.stdout)
        self.well = document["well"]
        self.checks = {check["check"]: check for check in document["checks"]}
        self.text = subprocess.run(command, env=full_environment, capture_output=True, text=True).stdout
        for secret in [stack.api_key, *AWS_KEYS.values()]:
            assert secret not in run.stdout + run.stderr + self.text
        # Every failed check and every warning suggests a command.
        for check in self.checks.values():
            assert (check["command"] is None) == (check["status"] in ("well", "skipped")), check

    def of(self, status):
        return {name for name, check in self.checks.items() if check["status"] == status}


def doctor(stack, *options, **variables):
    return Diagnosis(stack, "--function", stack.function, *options, **variables)


# Version 1 of the AWS CLI ignores AWS_ENDPOINT_URL for SQS.
AROUND = 'set -euo pipefail; aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }; '


def follow(stack, check, typed=""):
    """Runs the command that a check suggests, unchanged, in a shell."""
    run = subprocess.run(
        ["bash", "-c", AROUND + check["command"]], env=environment(stack), capture_output=True, text=True, input=typed
    )
    assert run.returncode == 0, check["command"] + "\n" + run.stdout + run.stderr
    return run.stdout


def settled(stack):
    """Waits until the function's new settings are active and the queue is empty."""

    def is_settled():
        configuration = stack.configuration()
        return (configuration["State"], configuration["LastUpdateStatus"], stack.waiting()) == ("Active", "Successful", 0)

    wait_until(is_settled, 90, lambda: f"{stack.configuration()['State']}, {stack.waiting()} messages wait")


def well(stack):
    settled(stack)
    seen = doctor(stack)
    assert seen.status == 0 and seen.well and seen.of("well") == set(seen.checks), seen.text
    return seen


def fails(stack, *names, **variables):
    """Asserts that exactly these checks fail, and returns the first one."""
    seen = doctor(stack, **variables)
    assert (seen.status, seen.well) == (3, False), seen.text
    assert seen.of("failed") == set(names), seen.text
    assert not seen.of("warning"), seen.text
    return seen.checks[names[0]]


@contextmanager
def variables(stack, **changed):
    """Changes the function's environment for the duration of the block."""
    before = stack.configuration()["Environment"]["Variables"]
    stack.configure(stack.function, Environment={"Variables": {**before, **changed}})
    settled(stack)
    try:
        yield
    finally:
        stack.configure(stack.function, Environment={"Variables": before})


def the_mapping(stack):
    [mapping] = stack.functions.list_event_source_mappings(FunctionName=stack.function)["EventSourceMappings"]
    return mapping["UUID"]


def test_a_deployed_stack_passes_every_check(chain):
    seen = well(chain)
    assert seen.checks["plan"]["found"].startswith("starter: 600 requests per minute")
    by = "by the rule " if chain.name == "doctor-eventbridge" else f"by {chain.bucket}, "
    assert by in seen.checks["notification"]["found"], seen.checks["notification"]
    assert ("failed notifications" in seen.checks) == (chain.name == "doctor-direct")
    assert len(seen.checks) >= 22 and seen.text.rstrip().endswith("All checks passed."), seen.text
    assert seen.text.count("✓") == len(seen.checks)


def test_the_function_is_found_through_the_bucket_or_by_its_secret(chains):
    for shape in SHAPES:
        seen = Diagnosis(chains[shape])
        assert seen.status == 0 and seen.of("well") == set(seen.checks), seen.text
        by = "CONNECTOR_SECRET_IDS" if shape == "EventBridge" else "the bucket's notification"
        assert f"{chains[shape].function} (found by" in seen.checks["function"]["found"], seen.text
        assert by in seen.checks["function"]["found"], seen.text


def test_if_no_function_uses_the_secret_the_function_cannot_be_checked(chains):
    stack = chains["EventBridge"]
    with variables(stack, CONNECTOR_SECRET_IDS="another-secret"):
        seen = Diagnosis(stack)
        assert (seen.status, seen.of("failed")) == (3, {"function"}), seen.text
        assert "could not be checked" in seen.checks["function"]["found"], seen.text
        assert stack.function in follow(stack, seen.checks["function"])


def test_a_missing_function_is_named(chains):
    seen = Diagnosis(chains["Queue"], "--function", "no-such-function")
    assert seen.status == 3 and seen.of("failed") == {"function"}, seen.text
    assert "no-such-function" in seen.checks["function"]["found"]


def test_a_revoked_key_fails_with_the_command_that_writes_a_new_one(chain, flexorch):
    flexorch.revoke(chain.api_key)
    try:
        check = fails(chain, "API key")
        assert "401" in check["found"] and ".api_key = env.KEY" in check["command"]
    finally:
        flexorch.admin("keys/restore", "POST", json.dumps({"api_key": chain.api_key}))
    well(chain)


def test_the_suggested_command_writes_a_new_key_and_keeps_the_other_fields(chains, flexorch):
    stack = chains["Queue"]
    secrets = stack.emulator.client("secretsmanager")
    before = secrets.get_secret_value(SecretId=secret_of(stack))["SecretString"]
    flexorch.revoke(stack.api_key)
    check = fails(stack, "API key")
    flexorch.admin("keys/restore", "POST", json.dumps({"api_key": stack.api_key}))
    try:
        follow(stack, check, "dfx_another_key_0123\n")
        after = json.loads(secrets.get_secret_value(SecretId=secret_of(stack))["SecretString"])
        assert after == {**json.loads(before), "api_key": "dfx_another_key_0123"}
    finally:
        secrets.put_secret_value(SecretId=secret_of(stack), SecretString=before)


def test_the_suggested_command_recreates_a_deleted_connector(chains):
    stack = chains["Queue"]
    # Creating a connector needs the AWS credentials.
    secrets = stack.emulator.client("secretsmanager")
    held = json.loads(secrets.get_secret_value(SecretId=secret_of(stack))["SecretString"])
    delete = ["connector", "delete", "--secret", secret_of(stack), "--yes"]
    subprocess.run([PROGRAM, *delete], env=environment(stack), check=True, capture_output=True)
    check = fails(stack, "connector")
    assert f"no connector {held['connector_id']}" in check["found"]
    secrets.put_secret_value(SecretId=secret_of(stack), SecretString=json.dumps({**held, **AWS_KEYS}))
    follow(stack, check)
    # The credentials are left in the secret: a warning, with the command that removes them.
    seen = doctor(stack)
    assert seen.status == 0 and seen.of("warning") == {"secret's fields"}, seen.text
    follow(stack, seen.checks["secret's fields"])
    well(stack)


def test_an_empty_secret_fails_and_the_other_links_are_still_checked(chain):
    secrets = chain.emulator.client("secretsmanager")
    before = secrets.get_secret_value(SecretId=secret_of(chain))["SecretString"]
    secrets.put_secret_value(SecretId=secret_of(chain), SecretString="{}")
    try:
        check = fails(chain, "secret's fields")
        assert "empty" in check["found"] and f"connector create --secret {secret_of(chain)}" in check["command"]
        assert {"function", "settings", "batches", "dead letters"} <= doctor(chain).of("well")
    finally:
        secrets.put_secret_value(SecretId=secret_of(chain), SecretString=before)


def test_a_bucket_without_notifications_fails_with_the_command_that_attaches_it(chain):
    before = chain.s3.get_bucket_notification_configuration(Bucket=chain.bucket)
    before.pop("ResponseMetadata")
    chain.s3.put_bucket_notification_configuration(Bucket=chain.bucket, NotificationConfiguration={})
    try:
        check = fails(chain, "notification")
        # In every shape, S3 is allowed to notify the queue and the function reads it.
        options = {
            "doctor-direct": f"--queue {chain.outputs['RetryQueueArn']} --prefix invoices/",
            "doctor-queue": f"--queue {chain.outputs['RetryQueueArn']} --prefix invoices/",
            "doctor-eventbridge": "--eventbridge",
        }[chain.name]
        assert check["command"] == f"flexorch-s3 attach --bucket {chain.bucket} {options}"
        follow(chain, check)
        well(chain)
    finally:
        chain.s3.put_bucket_notification_configuration(Bucket=chain.bucket, NotificationConfiguration=before)
    well(chain)


def test_a_filter_that_is_too_narrow_is_a_warning_and_one_that_excludes_the_prefix_a_failure(chains):
    stack = chains["Queue"]
    before = stack.s3.get_bucket_notification_configuration(Bucket=stack.bucket)
    before.pop("ResponseMetadata")

    def filtered(prefix, events=("s3:ObjectCreated:*",)):
        rules = [{"Name": "prefix", "Value": prefix}]
        queue = {"QueueArn": stack.outputs["RetryQueueArn"], "Events": list(events), "Filter": {"Key": {"FilterRules": rules}}}
        stack.s3.put_bucket_notification_configuration(
            Bucket=stack.bucket, NotificationConfiguration={"QueueConfigurations": [queue]}
        )
        # The queue holds S3's test event.
        settled(stack)

    try:
        filtered("invoices/2026/")
        seen = doctor(stack)
        assert seen.status == 0 and seen.of("warning") == {"notification"}, seen.text
        assert "only keys under invoices/2026/" in seen.checks["notification"]["found"]
        filtered("drafts/")
        assert "invoices/" in fails(stack, "notification")["found"]
        filtered("invoices/", ["s3:ObjectCreated:Put", "s3:ObjectCreated:Post"])
        seen = doctor(stack)
        assert seen.of("warning") == {"notification"}, seen.text
        assert "s3:ObjectCreated:CompleteMultipartUpload" in seen.checks["notification"]["found"]
    finally:
        stack.s3.put_bucket_notification_configuration(Bucket=stack.bucket, NotificationConfiguration=before)


def test_the_suggested_command_enables_a_disabled_rule(chains):
    stack, events = chains["EventBridge"], chains["EventBridge"].emulator.client("events")
    [rule] = events.list_rule_names_by_target(TargetArn=stack.outputs["RetryQueueArn"])["RuleNames"]
    events.disable_rule(Name=rule)
    check = fails(stack, "notification")
    assert rule in check["found"]
    follow(stack, check)
    well(stack)


def test_the_suggested_command_enables_a_disabled_mapping(chain):
    chain.functions.update_event_source_mapping(UUID=the_mapping(chain), Enabled=False)
    follow(chain, fails(chain, "batches"))
    well(chain)


def test_the_suggested_command_makes_a_mapping_report_batch_item_failures(chains):
    stack = chains["Direct"]
    stack.functions.update_event_source_mapping(UUID=the_mapping(stack), FunctionResponseTypes=[])
    check = fails(stack, "batches")
    assert "ReportBatchItemFailures" in check["found"]
    follow(stack, check)
    well(stack)


def test_the_suggested_command_restores_a_deleted_mapping(chains):
    stack = chains["Direct"]
    stack.functions.delete_event_source_mapping(UUID=the_mapping(stack))
    check = fails(stack, "batches")
    assert stack.outputs["RetryQueueArn"] in check["command"]
    follow(stack, check)
    well(stack)


def test_the_suggested_command_restores_the_queues_redrive_policy(chains):
    stack, queue = chains["Queue"], chains["Queue"].outputs["RetryQueueUrl"]
    before = stack.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["RedrivePolicy"])["Attributes"]
    stack.sqs.set_queue_attributes(QueueUrl=queue, Attributes={"RedrivePolicy": ""})
    follow(stack, fails(stack, "retry queue"))
    well(stack)
    after = stack.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["RedrivePolicy"])["Attributes"]
    assert json.loads(after["RedrivePolicy"])["deadLetterTargetArn"] == json.loads(before["RedrivePolicy"])["deadLetterTargetArn"]


@pytest.mark.parametrize(
    ("variable", "value", "check"),
    [
        ("MAX_ATTEMPTS", "none", "settings"),
        ("DEADLINE_MARGIN_MS", "30000", "time"),
        ("KEY_PREFIXES", "drafts/", "filters"),
        ("FLEXORCH_BASE_URL", "https://flexorch.invalid/v1", "FlexOrch's address"),
        ("CONNECTOR_SECRET_IDS", "another-secret", "function's secret"),
    ],
)
def test_the_suggested_command_corrects_a_wrong_setting_and_keeps_the_others(chains, variable, value, check):
    stack = chains["Direct"]
    before = stack.configuration()["Environment"]["Variables"]
    with variables(stack, **{variable: value}):
        found = fails(stack, check)
        # The next deployment would revert the command.
        assert "stack doctor-direct" in found["action"] and "sam deploy" in found["action"], found
        follow(stack, found)
        well(stack)
        after = stack.configuration()["Environment"]["Variables"]
        assert {**after, variable: ""} == {**before, variable: ""}


def test_the_suggested_command_enables_a_function_without_concurrency(chains):
    stack = chains["Queue"]
    stack.functions.put_function_concurrency(FunctionName=stack.function, ReservedConcurrentExecutions=0)
    follow(stack, fails(stack, "function"))
    well(stack)


def test_the_suggested_command_allows_s3_to_invoke_the_function(chains):
    stack = chains["Direct"]
    policy = json.loads(stack.functions.get_policy(FunctionName=stack.function)["Policy"])
    for statement in policy["Statement"]:
        stack.functions.remove_permission(FunctionName=stack.function, StatementId=statement["Sid"])
    follow(stack, fails(stack, "permission"))
    well(stack)


@pytest.mark.parametrize("shape", ["Queue", "EventBridge"])
def test_the_suggested_command_allows_the_sender_to_use_the_queue(chains, shape):
    stack = chains[shape]
    queue = stack.outputs["RetryQueueUrl"]
    policy = stack.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["Policy"])["Attributes"]["Policy"]
    denials = [statement for statement in json.loads(policy)["Statement"] if statement["Effect"] == "Deny"]
    closed = json.dumps({"Version": "2012-10-17", "Statement": denials})
    stack.sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": closed})
    try:
        follow(stack, fails(stack, "permission"))
        well(stack)
    finally:
        stack.sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})


def test_the_suggested_command_sends_failed_notifications_to_the_retry_queue(chains):
    stack = chains["Direct"]
    stack.functions.delete_function_event_invoke_config(FunctionName=stack.function, Qualifier="$LATEST")
    check = fails(stack, "failed notifications")
    assert "lost" in check["found"]
    follow(stack, check)
    well(stack)


def test_the_suggested_command_lengthens_a_short_visibility_timeout(chains):
    stack = chains["Queue"]
    queue = stack.outputs["RetryQueueUrl"]
    stack.sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "60"})
    seen = doctor(stack)
    assert seen.status == 0 and seen.of("warning") == {"retry queue"}, seen.text
    follow(stack, seen.checks["retry queue"])
    well(stack)
    stack.sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "10"})
    follow(stack, fails(stack, "retry queue"))
    well(stack)


def test_dead_letters_are_counted_by_reason_and_stay_in_the_queue(chain, flexorch):
    flexorch.fault("reject=*.pdf,code=UNSUPPORTED_FILE")
    try:
        chain.upload("invoices/refused.pdf", "invoices/other.pdf")
        chain.sqs.send_message(QueueUrl=chain.outputs["RetryQueueUrl"], MessageBody='{"neither": "event", "nor": "record"}')
        wait_until(lambda: chain.dead() == 3 and chain.waiting() == 0, 60, lambda: f"{chain.dead()} dead letters")
        check = fails(chain, "dead letters")
        for words in ["3 dead letters", "2 × UNSUPPORTED_FILE", ".pdf", "1 × UNREADABLE"]:
            assert words in check["found"], check
        for words in ["KEY_SUFFIXES", "not S3 events"]:
            assert words in check["action"], check
        assert chain.dead() == 3, "doctor removed dead letters"
        flexorch.heal()
        # The suggested command asks for confirmation. It leaves unreadable messages, which would only return.
        follow(chain, {**check, "command": check["command"] + " --yes"})
        wait_until(lambda: chain.dead() == 1 and chain.waiting() == 0, 60, lambda: f"{chain.dead()} dead letters")
    finally:
        flexorch.heal()
        dead = chain.outputs["DeadLetterQueueUrl"]
        for message in chain.sqs.receive_message(QueueUrl=dead, MaxNumberOfMessages=10)["Messages"]:
            chain.sqs.delete_message(QueueUrl=dead, ReceiptHandle=message["ReceiptHandle"])
    well(chain)


def test_while_flexorch_is_down_only_its_check_fails_and_waiting_messages_are_a_warning(chains, flexorch):
    stack = chains["Queue"]
    flexorch.fault("status=503")
    try:
        assert "503" in fails(stack, "FlexOrch")["found"]
        stack.upload("invoices/during the outage.pdf")
        wait_until(lambda: stack.waiting() == 1, 60, "the upload does not wait")
        seen = doctor(stack)
        assert seen.of("failed") == {"FlexOrch"} and seen.of("warning") == {"waiting"}, seen.text
    finally:
        flexorch.heal()
    wait_until(lambda: stack.waiting() == 0, 120, "the upload never arrived")
    well(stack)


def test_a_missing_permission_stops_no_other_check(chains):
    stack = chains["Direct"]
    iam = stack.emulator.client("iam")
    iam.create_user(UserName="reader")
    allowed = ["secretsmanager:GetSecretValue", "s3:ListBucket", "lambda:GetFunction", "sqs:GetQueueAttributes"]
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": allowed, "Resource": "*"}]}
    iam.put_user_policy(UserName="reader", PolicyName="reads", PolicyDocument=json.dumps(document))
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    seen = doctor(stack, AWS_ACCESS_KEY_ID=key["AccessKeyId"], AWS_SECRET_ACCESS_KEY=key["SecretAccessKey"])
    assert seen.status == 3 and seen.of("failed") == {"notification", "batches"}, seen.text
    assert "s3:GetBucketNotification" in seen.checks["notification"]["action"]
    assert "lambda:ListEventSourceMappings" in seen.checks["batches"]["action"]
    for name in ["notification", "batches"]:
        assert seen.checks[name]["found"].startswith("could not be checked: "), seen.text
    assert "attach" not in seen.text, seen.text
    assert {"connector", "connector test", "bucket", "function", "settings", "filters"} <= seen.of("well"), seen.text


def test_one_object_is_traced_from_the_bucket_to_its_result(chain, flexorch):
    key = "invoices/trace me.pdf"
    chain.upload(key, "drafts/out of scope.pdf")

    def submissions():
        return [request for request in flexorch.requests() if key in request["keys"] and chain.api_key[-4:] in request["api_key"]]

    wait_until(submissions, 60, "the upload never arrived")
    settled(chain)
    seen = doctor(chain, "--key", key)
    assert seen.status == 0 and seen.of("well") == set(seen.checks), seen.text
    assert "object's delivery" in seen.checks
    # The finding contains the command that submits it again.
    again = "flexorch-s3 submit" + seen.checks["object's delivery"]["found"].split("flexorch-s3 submit")[1]
    before = len(submissions())
    follow(chain, {"command": again})
    assert len(submissions()) == before + 1, "it was not submitted again"
    settled(chain)

    seen = doctor(chain, "--key", "drafts/out of scope.pdf")
    assert "object's scope" in seen.of("failed") and seen.status == 3, seen.text
    assert '"invoices/"' in seen.checks["object's scope"]["found"]
    seen = doctor(chain, "--key", "invoices/trace you.pdf")
    assert seen.of("failed") == {"object"}, seen.text
    assert key in follow(chain, seen.checks["object"])


def test_a_rejected_object_fails_with_flexorchs_reason(chains, flexorch):
    stack = chains["EventBridge"]
    flexorch.fault("reject=*.exe,code=UNSUPPORTED_FILE")
    try:
        stack.upload("invoices/rejected.exe")
        wait_until(lambda: stack.dead() == 1 and stack.waiting() == 0, 60, "no dead letter")
        seen = doctor(stack, "--key", "invoices/rejected.exe")
        assert seen.of("failed") == {"dead letters", "object's delivery"}, seen.text
        assert "UNSUPPORTED_FILE" in seen.checks["object's delivery"]["found"]
    finally:
        flexorch.heal()
        stack.sqs.purge_queue(QueueUrl=stack.outputs["DeadLetterQueueUrl"])
    wait_until(lambda: stack.dead() == 0, 70, "the queue was not purged")
