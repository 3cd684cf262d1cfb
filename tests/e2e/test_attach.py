"""`flexorch-s3 attach` and `detach` on an existing bucket that has other notifications. boto3 checks the results."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from chain import ACCOUNT, REGION, REPOSITORY, Stack, wait_until

ANY_QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:"


@pytest.fixture(scope="module")
def site(emulator, sandbox):
    """A stack for an existing bucket with other notifications: orders go to a queue, removals to a topic, images to another function."""
    site = Stack(emulator, "attached", "documents-attached", 120)
    site.s3.create_bucket(Bucket=site.bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    site.deploy(Trigger="EventBridge", FlexOrchBaseUrl=sandbox.base_url, PlanRequestsPerMinute="6000")
    site.fill_secret()
    site.orders = site.sqs.create_queue(QueueName="orders", Attributes={"Policy": policy_for_s3(ANY_QUEUE + "orders")})["QueueUrl"]
    topic = emulator.client("sns").create_topic(Name="removals")["TopicArn"]
    emulator.client("sns").set_topic_attributes(
        TopicArn=topic, AttributeName="Policy", AttributeValue=policy_for_s3(topic, "sns:Publish")
    )
    site.s3.put_bucket_notification_configuration(
        Bucket=site.bucket,
        NotificationConfiguration={
            "QueueConfigurations": [
                {
                    "Id": "orders & returns",
                    "QueueArn": ANY_QUEUE + "orders",
                    "Events": ["s3:ObjectCreated:Put", "s3:ObjectCreated:Copy"],
                    "Filter": {
                        "Key": {"FilterRules": [{"Name": "prefix", "Value": "orders/"}, {"Name": "suffix", "Value": ".csv"}]}
                    },
                }
            ],
            "TopicConfigurations": [{"Id": "removals", "TopicArn": topic, "Events": ["s3:ObjectRemoved:*"]}],
            # The emulator does not check that the function exists.
            "LambdaFunctionConfigurations": [
                {
                    "Id": "thumbnails",
                    "LambdaFunctionArn": site.outputs["FunctionArn"].replace("function:", "function:thumbnails-"),
                    "Events": ["s3:ObjectCreated:*"],
                    "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "images/"}]}},
                }
            ],
        },
    )
    return site


def policy_for_s3(arn, action="sqs:SendMessage"):
    statement = {"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": action, "Resource": arn}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def cli(site, command, *options, bucket=None, wait=10, environment=None):
    """Returns the exit status, and the JSON document or the error message."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    done = subprocess.run(
        [target / "debug/flexorch-s3", command, "--bucket", bucket or site.bucket, "--json", "--wait", str(wait), *options],
        env={**os.environ, **site.emulator.environment(), **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, json.loads(done.stdout) if done.returncode == 0 else done.stderr


def changed(site, command, *options):
    status, document = cli(site, command, *options)
    assert status == 0, document
    assert document["changed"], document
    return document


def notifications(site):
    """Returns the bucket's notification configuration."""
    configuration = site.s3.get_bucket_notification_configuration(Bucket=site.bucket)
    return {name: value for name, value in configuration.items() if name != "ResponseMetadata"}


def without_ours(configuration):
    kept = {}
    for kind, entries in configuration.items():
        others = entries if isinstance(entries, dict) else [it for it in entries if not it["Id"].startswith("flexorch-s3-")]
        if others or isinstance(entries, dict):
            kept[kind] = others
    return kept


def queue_policy(site, url):
    attributes = site.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"]).get("Attributes", {})
    return json.loads(attributes["Policy"]) if attributes.get("Policy") else None


def function_statements(site, **qualifier):
    try:
        policy = site.functions.get_policy(FunctionName=site.function, **qualifier)["Policy"]
    except site.functions.exceptions.ResourceNotFoundException:
        return []
    return json.loads(policy)["Statement"]


def arrives(site, sandbox, key):
    site.upload(key)
    wait_until(lambda: key in site.taken(sandbox), 30, lambda: f"{key} did not arrive: {site.taken(sandbox)}")


def test_an_attached_function_is_notified_of_uploads_and_other_notifications_stay(site, sandbox):
    before = notifications(site)
    secret = site.outputs["ConnectorSecretArns"]
    document = changed(site, "attach", "--secret", secret, "--function", site.function)
    [added] = document["added"]
    assert (added["destination"], added["prefix"], document["notes"]) == (site.outputs["FunctionArn"], "invoices/", [])
    attached = notifications(site)
    assert without_ours(attached) == before
    [ours] = [it for it in attached["LambdaFunctionConfigurations"] if it["Id"] == added["id"]]
    assert ours["LambdaFunctionArn"] == site.outputs["FunctionArn"] and ours["Events"] == ["s3:ObjectCreated:*"]
    [statement] = function_statements(site)
    assert (statement["Action"], statement["Principal"]) == ("lambda:InvokeFunction", {"Service": "s3.amazonaws.com"})
    assert json.dumps(f"arn:aws:s3:::{site.bucket}") in json.dumps(statement["Condition"])
    assert ACCOUNT in json.dumps(statement["Condition"])

    arrives(site, sandbox, "invoices/attached to a function.pdf")
    site.upload("orders/1.csv")
    wait_until(lambda: site.count(site.orders) >= 1, 30, "the other queue is not notified")

    status, again = cli(site, "attach", "--secret", secret, "--function", site.outputs["FunctionArn"])
    assert (status, again["changed"], again["permissions"]) == (0, False, [])
    changed(site, "detach", "--function", site.outputs["FunctionArn"])
    assert (notifications(site), function_statements(site)) == (before, [])
    status, again = cli(site, "detach", "--function", site.outputs["FunctionArn"])
    assert (status, again["changed"]) == (0, False)


def test_attaching_an_alias_grants_a_permission_on_the_alias(site):
    before = notifications(site)
    version = site.functions.publish_version(FunctionName=site.function)["Version"]
    alias = site.functions.create_alias(FunctionName=site.function, Name="live", FunctionVersion=version)["AliasArn"]
    changed(site, "attach", "--prefix", "invoices/", "--function", alias)
    [statement] = function_statements(site, Qualifier="live")
    assert statement["Resource"] == alias
    changed(site, "detach", "--all")
    assert (notifications(site), function_statements(site, Qualifier="live")) == (before, [])


def test_the_stacks_queue_is_notified_and_its_policy_which_already_allows_s3_is_unchanged(site, sandbox):
    before, retry = notifications(site), site.outputs["RetryQueueUrl"]
    policy = queue_policy(site, retry)
    document = changed(site, "attach", "--prefix", "invoices/", "--queue", site.outputs["RetryQueueArn"])
    assert (document["permissions"], queue_policy(site, retry)) == ([], policy)
    assert without_ours(notifications(site)) == before
    arrives(site, sandbox, "invoices/attached to a queue.pdf")
    changed(site, "detach", "--queue", retry)
    assert (notifications(site), queue_policy(site, retry)) == (before, policy)


def test_a_policy_statement_is_added_to_a_queue_that_does_not_allow_s3(site):
    before = notifications(site)
    policy = json.loads(policy_for_s3(ANY_QUEUE + "shared"))
    policy["Statement"][0]["Principal"] = {"Service": "sns.amazonaws.com"}
    url = site.sqs.create_queue(QueueName="shared", Attributes={"Policy": json.dumps(policy)})["QueueUrl"]
    document = changed(site, "attach", "--prefix", "invoices/", "--queue", ANY_QUEUE + "shared")
    attached = queue_policy(site, url)
    assert attached["Statement"][:-1] == policy["Statement"]
    assert attached["Statement"][-1]["Sid"] == document["permissions"][0]["statement_id"]
    changed(site, "detach", "--queue", url)
    assert (notifications(site), queue_policy(site, url)) == (before, policy)


def test_uploads_reach_the_stacks_rule_once_eventbridge_notifications_are_on(site, sandbox):
    before = notifications(site)
    changed(site, "attach", "--eventbridge")
    assert notifications(site) == {**before, "EventBridgeConfiguration": {}}
    arrives(site, sandbox, "invoices/through EventBridge.pdf")
    status, message = cli(site, "detach", "--eventbridge")
    assert status == 1 and "--yes" in message
    changed(site, "detach", "--eventbridge", "--yes")
    assert notifications(site) == before


def test_overlapping_notifications_are_rejected_and_a_queue_that_denies_s3_changes_nothing(site):
    before = notifications(site)
    status, message = cli(site, "attach", "--function", site.function)
    assert status == 1 and "orders & returns" in message and "thumbnails" in message and "removals" not in message, message
    assert (notifications(site), function_statements(site)) == (before, [])

    denied = json.loads(policy_for_s3(ANY_QUEUE + "denied"))
    denied["Statement"][0].update(Effect="Deny", Principal="*")
    url = site.sqs.create_queue(QueueName="denied", Attributes={"Policy": json.dumps(denied)})["QueueUrl"]
    status, message = cli(site, "attach", "--prefix", "invoices/", "--queue", ANY_QUEUE + "denied", wait=0)
    assert status == 1 and "S3 refuses a destination" in message and "removed again" in message, message
    assert (notifications(site), queue_policy(site, url)) == (before, denied)


@pytest.mark.parametrize("lacking", ["s3:GetBucketNotification", "s3:PutBucketNotification", "lambda:AddPermission"])
def test_a_missing_permission_of_the_caller_is_named_with_its_resource(site, lacking):
    before = notifications(site)
    iam, name = site.emulator.client("iam"), f"without-{lacking.replace(':', '-')}"
    iam.create_user(UserName=name)
    allowed = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    denied = {"Effect": "Deny", "Action": lacking, "Resource": "*"}
    iam.put_user_policy(
        UserName=name,
        PolicyName="most",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allowed, denied]}),
    )
    key = iam.create_access_key(UserName=name)["AccessKey"]
    environment = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    status, message = cli(site, "attach", "--prefix", "invoices/", "--function", site.function, environment=environment)
    resource = site.outputs["FunctionArn"] if lacking.startswith("lambda") else f"arn:aws:s3:::{site.bucket}"
    assert status == 1 and f"your AWS identity needs {lacking} on {resource}" in message, message
    assert (notifications(site), function_statements(site)) == (before, [])


def test_a_deleted_queue_can_be_detached(site):
    before = notifications(site)
    url = site.sqs.create_queue(QueueName="short-lived")["QueueUrl"]
    changed(site, "attach", "--prefix", "invoices/", "--queue", url)
    site.sqs.delete_queue(QueueUrl=url)
    status, message = cli(site, "attach", "--prefix", "more/", "--queue", site.outputs["RetryQueueArn"], wait=0)
    assert status == 1 and "short-lived" in message, message
    changed(site, "detach", "--queue", ANY_QUEUE + "short-lived")
    assert notifications(site) == before


def test_a_missing_bucket_is_named(site):
    status, message = cli(site, "attach", "--eventbridge", bucket="no-such-bucket")
    assert status == 1 and 'there is no bucket "no-such-bucket"' in message, message
