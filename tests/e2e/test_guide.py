"""The commands of docs/deploying.md, in their order, as they stand there."""

import os
import re
import subprocess

import pexpect
from chain import COMMAND_LINE, REPOSITORY, WORK, Stack, wait_until

# What the emulator cannot do, and what needs an answer or a person.
NOT_HERE = ("aws logs tail", "aws sqs start-message-move-task", "sam deploy --guided")

AROUND = r"""
set -euo pipefail
# Built already; what is built is what is deployed. The function needs no FlexOrch for these commands.
sam() {
  case $1 in
  build) ;;
  deploy) command sam "$@" --template-file "$BUILT" --capabilities CAPABILITY_IAM --resolve-s3 ;;
  *) command sam "$@" ;;
  esac
}
# The CLI's first version does not look at AWS_ENDPOINT_URL for SQS.
aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }
"""


def commands(section):
    """The shell commands of a section of the guide."""
    guide = (REPOSITORY / "docs/deploying.md").read_text()
    text = re.search(rf"^## {section}$(.*?)^## ", guide, re.M | re.S)[1]
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", text, re.M | re.S)
    lines = "\n".join(blocks).splitlines()
    return "\n".join(line for line in lines if not line.strip().startswith(NOT_HERE))


def run(emulator, sandbox, folder, script, api_key=None):
    """Runs commands as a person does who sits at a terminal, and types the API key where it is asked for."""
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
    assert not api_key or api_key not in printed, "the API key is shown"
    return printed


def test_the_guides_commands_lead_from_nothing_to_an_upload_and_back(emulator, sandbox, tmp_path):
    (tmp_path / "invoice.pdf").write_bytes(b"%PDF-1.7")
    new_bucket = commands("A new bucket")
    names = "\n".join(line for line in new_bucket.splitlines() if line.startswith(("export ", "output()", "  --query")))
    printed = run(emulator, sandbox, tmp_path, new_bucket, api_key="dfx_guide_0123456789")
    assert "FlexOrch can read s3://my-documents-4711/invoices/" in printed, "the connector's test"
    left = {file.name for file in tmp_path.iterdir()} - {"invoice.pdf"}
    assert not left, f"credentials may be left on the disk: {left}"

    stack = Stack(emulator, "flexorch-s3-ingester", "my-documents-4711", None)
    stack.read_outputs()
    secret = emulator.client("secretsmanager").get_secret_value(SecretId=stack.outputs["ConnectorSecretArns"])["SecretString"]
    for field in ["dfx_guide_0123456789", '"connector_id":', '"bucket":"my-documents-4711"', '"prefix":"invoices/"']:
        assert field in secret
    assert "aws_secret_access_key" not in secret, "nothing needs it any more"
    assert stack.s3.head_object(Bucket=stack.bucket, Key="invoices/invoice.pdf")

    run(emulator, sandbox, tmp_path, names + "\n" + commands("Runbook"))

    iam = emulator.client("iam")
    [key] = iam.list_access_keys(UserName="flexorch-s3-ingester-connector")["AccessKeyMetadata"]
    change = names + "\n" + commands("Changing, rotating, removing").replace("AKIA…", key["AccessKeyId"], 1)
    of_user = 'aws iam list-access-keys --user-name "$STACK-connector" --output text --query "AccessKeyMetadata[0].AccessKeyId"'
    run(emulator, sandbox, tmp_path, change.replace("AKIA…", f"$({of_user})"))
    assert "flexorch-s3-ingester-connector" not in [user["UserName"] for user in iam.list_users()["Users"]]
    stacks = emulator.client("cloudformation").list_stacks()["StackSummaries"]
    wait_until(lambda: all(
        found["StackStatus"] == "DELETE_COMPLETE" for found in stacks if found["StackName"] == stack.name
    ), 30, "the stack is still there")  # fmt: skip
    assert stack.s3.head_object(Bucket=stack.bucket, Key="invoices/invoice.pdf"), "bucket and objects stay"
