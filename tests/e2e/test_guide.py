"""Runs the commands of docs/deploying.md in order, unchanged."""

import json
import os
import re
import subprocess

import pexpect
from chain import COMMAND_LINE, REPOSITORY, WORK, Stack, wait_until

# Commands that the emulator does not support or that need a person's input.
NOT_HERE = ("aws logs tail", "aws sqs start-message-move-task", "sam deploy --guided")

AROUND = r"""
set -euo pipefail
# Deploys the existing build, with the sandbox in place of FlexOrch.
sam() {
  case $1 in
  build) ;;
  deploy)
    command sam "$@" FlexOrchBaseUrl="$FLEXORCH_BASE_URL" --template-file "$BUILT" --capabilities CAPABILITY_IAM --resolve-s3
    # The emulator keeps MaximumConcurrency as text, which no other client can parse.
    for mapping in $(aws lambda list-event-source-mappings --query 'EventSourceMappings[].UUID' --output text); do
      aws lambda update-event-source-mapping --uuid "$mapping" --scaling-config MaximumConcurrency=2 >/dev/null
    done ;;
  *) command sam "$@" ;;
  esac
}
# Version 1 of the AWS CLI ignores AWS_ENDPOINT_URL for SQS.
aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }
"""


def blocks(section):
    """Returns the blocks of shell commands in a section of the guide."""
    guide = (REPOSITORY / "docs/deploying.md").read_text()
    text = re.search(rf"^## {section}$(.*?)^## ", guide, re.M | re.S)[1]
    found = re.findall(r"^ *```sh\n(.*?)^ *```", text, re.M | re.S)
    return ["\n".join(line for line in block.splitlines() if not line.strip().startswith(NOT_HERE)) for block in found]


def block_with(mark, section):
    """Returns the one block of a section that contains `mark`."""
    [block] = [block for block in blocks(section) if mark in block]
    return block


def commands(section):
    """Returns all shell commands of a section of the guide."""
    return "\n".join(blocks(section))


def run(emulator, sandbox, folder, script, api_key=None):
    """Runs commands in a terminal and types the API key at its prompt."""
    venvs = [WORK / f"venv-{name}/bin" for name in ["aws-cli", "sam"]]
    terminal = pexpect.spawn(
        "bash",
        ["-c", AROUND + script],
        env={
            **os.environ,
            **emulator.environment(),
            "FLEXORCH_BASE_URL": sandbox.base_url,
            "PATH": ":".join([*map(str, venvs), str(COMMAND_LINE.parent), os.environ["PATH"]]),
            "BUILT": str(WORK / "sam-build/template.yaml"),
            "AWS_PAGER": "",
        },
        cwd=folder,
        timeout=300,
        encoding="utf-8",
        dimensions=(50, 200),
    )
    printed = ""
    if api_key:
        terminal.expect_exact("FlexOrch API key (not shown): ")
        printed += terminal.before
        terminal.waitnoecho()
        terminal.sendline(api_key)
    terminal.expect(pexpect.EOF)
    printed += terminal.before
    terminal.close()
    assert terminal.exitstatus == 0, f"{script}\n{printed}"
    if api_key:
        assert api_key not in printed, "the API key is shown"
    return printed


def test_the_guides_commands_deploy_upload_and_remove(emulator, sandbox, tmp_path):
    (tmp_path / "invoice.pdf").write_bytes(b"%PDF-1.7")
    new_bucket = commands("A new bucket")
    names = "\n".join([block_with("export BUCKET", "A new bucket"), block_with("output()", "A new bucket")])
    printed = run(emulator, sandbox, tmp_path, new_bucket, api_key="dfx_guide_0123456789")
    assert "FlexOrch can read s3://my-documents-4711/invoices/" in printed, "the connector's test"
    left = {file.name for file in tmp_path.iterdir()} - {"invoice.pdf"}
    assert not left, f"credentials may be left on the disk: {left}"

    stack = Stack(emulator, "flexorch-s3-ingester", "my-documents-4711", None)
    stack.read_outputs()
    secret = emulator.client("secretsmanager").get_secret_value(SecretId=stack.outputs["ConnectorSecretArns"])["SecretString"]
    for field in ["dfx_guide_0123456789", '"connector_id":', '"bucket":"my-documents-4711"', '"prefix":"invoices/"']:
        assert field in secret
    assert "aws_secret_access_key" not in secret, "nothing needs it after the connector is created"
    assert stack.s3.head_object(Bucket=stack.bucket, Key="invoices/invoice.pdf")

    run(emulator, sandbox, tmp_path, names + "\n" + commands("Runbook"))

    iam = emulator.client("iam")
    [key] = iam.list_access_keys(UserName="flexorch-s3-ingester-connector")["AccessKeyMetadata"]
    change = names + "\n" + commands("Changing, rotating, removing").replace("AKIA…", key["AccessKeyId"], 1)
    # An operator confirms, and waits for the function.
    change = change.replace("connector rotate ", "connector rotate --yes --drain 0s ")
    cloudformation = emulator.client("cloudformation")
    # A deleted stack can be described only by its id.
    identity = cloudformation.describe_stacks(StackName=stack.name)["Stacks"][0]["StackId"]
    of_user = 'aws iam list-access-keys --user-name "$STACK-connector" --output text --query "AccessKeyMetadata[0].AccessKeyId"'
    run(emulator, sandbox, tmp_path, change.replace("AKIA…", f"$({of_user})"))
    assert "flexorch-s3-ingester-connector" not in [user["UserName"] for user in iam.list_users()["Users"]]

    def gone():
        [found] = cloudformation.describe_stacks(StackName=identity)["Stacks"]
        return found["StackStatus"] == "DELETE_COMPLETE"

    wait_until(gone, 30, "the stack is still there")
    assert stack.s3.head_object(Bucket=stack.bucket, Key="invoices/invoice.pdf"), "the bucket and its objects stay"


def test_the_guides_commands_ingest_an_existing_bucket(emulator, sandbox, tmp_path):
    bucket, stack = "existing-documents", "guide-existing"
    s3 = emulator.client("s3")
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    for number in range(120):
        s3.put_object(Bucket=bucket, Key=f"invoices/{number:03}.pdf", Body=b"%PDF-1.7")
    queue = "arn:aws:sqs:eu-west-1:123456789012:other"
    allow_s3 = {"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": queue}
    emulator.client("sqs").create_queue(
        QueueName="other", Attributes={"Policy": json.dumps({"Version": "2012-10-17", "Statement": [allow_s3]})}
    )
    others = {"QueueConfigurations": [{"Id": "other", "Events": ["s3:ObjectRemoved:*"], "QueueArn": queue}]}
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=others)

    at = block_with
    new, existing = "A new bucket", "A bucket that exists"
    names = at("export BUCKET", new).replace("my-documents-4711", bucket).replace("flexorch-s3-ingester", stack)
    script = [names, at("output()", new), at("sam deploy", existing)]
    script += [at("create-user", new), at("connector create", new), at("attach", existing), at("doctor", new), at("backfill", existing)]
    printed = run(emulator, sandbox, tmp_path, "\n".join(script), api_key="dfx_existing_0123456789")
    assert re.search(r"^ *forwarded +120\b", printed, re.M), printed

    left = s3.get_bucket_notification_configuration(Bucket=bucket)
    assert left["QueueConfigurations"] == others["QueueConfigurations"], "the other notifications stay"
    assert "EventBridgeConfiguration" in left
