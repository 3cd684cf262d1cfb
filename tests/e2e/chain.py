"""The whole chain on one machine: an AWS emulator, FlexOrch's sandbox, and deployed stacks of the template between them."""

import atexit
import json
import os
import random
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import boto3
from botocore.config import Config

REPOSITORY = Path(__file__).resolve().parents[2]
WORK = Path(os.environ.get("E2E_WORK", REPOSITORY / "target" / "e2e"))
# The directory of one of several test processes.
OWN = WORK / os.environ.get("PYTEST_XDIST_WORKER", "")
COMMAND_LINE = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target")).resolve() / "debug/flexorch-s3"
REGION = "eu-west-1"
# The emulator reads an access key id of twelve digits as an account.
ACCOUNT = "123456789012"
BATCHES = ["sqs:SendMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"]


def wait_until(seen, seconds, what):
    """Polls until `seen()` is true. Fails with `what` after this many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        value = seen()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds} s: {what() if callable(what) else what}")
        time.sleep(0.1)


def free_port():
    """Returns a free port below the ephemeral range: an outgoing connection may take a port of that range before the server does, and a
    connection that checks whether the server is up may even connect to itself."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


class Process:
    """A program that runs until it is stopped. Its output goes to a file below target/e2e/."""

    def __init__(self, name, command, environment=None, directory=REPOSITORY):
        OWN.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.printed = OWN / f"{name}.txt"
        with self.printed.open("w") as printed:
            self.process = subprocess.Popen(
                [str(word) for word in command],
                env={**os.environ, **(environment or {})},
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                # Its child processes end with it.
                start_new_session=True,
            )
        # Also if a fixture fails.
        atexit.register(self.stop)

    def stop(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()

    def first_line(self):
        def line():
            assert self.process.poll() is None, f"{self.name} ended: {self.printed.read_text()}"
            text = self.printed.read_text()
            return "\n" in text and text.splitlines()[0]

        return wait_until(line, 30, f"{self.name} says nothing")


def certificate():
    """Creates a certificate authority for this run and the emulator's certificate: the template's queues and buckets require TLS."""
    folder = OWN / "tls"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "extensions").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=CA:FALSE\n")
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    for command in [
        ["req", "-x509", *new_key, "-days", "30", "-subj", "/CN=end-to-end", "-keyout", "ca.key", "-out", "ca.pem"]
        + ["-addext", "basicConstraints=critical,CA:TRUE"],
        ["req", *new_key, "-subj", "/CN=127.0.0.1", "-keyout", "emulator.key", "-out", "emulator.csr"],
        ["x509", "-req", "-in", "emulator.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30"]
        + ["-extfile", "extensions", "-out", "emulator.pem"],
    ]:
        # No configuration file: with one that has the same extension, `-addext` would add it twice.
        subprocess.run(
            ["openssl", *command], cwd=folder, check=True, capture_output=True, env={**os.environ, "OPENSSL_CONF": "/dev/null"}
        )
    return folder


class Emulator(Process):
    """The AWS emulator, on the loopback address only: with TLS, with IAM enforced, and with functions as processes that have their role's
    credentials."""

    def __init__(self):
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        tls = certificate()
        self.authority = str(tls / "ca.pem")
        super().__init__(
            "emulator",
            [WORK / "venv-emulator/bin/python", REPOSITORY / "tests/e2e/emulator.py"],
            {
                "BIND_HOST": "127.0.0.1",
                "MINISTACK_HOST": "127.0.0.1",
                "GATEWAY_PORT": str(self.port),
                "MINISTACK_REGION": REGION,
                "MINISTACK_ACCOUNT_ID": ACCOUNT,
                "LAMBDA_EXECUTOR": "local",
                "IOT_MTLS_ENABLED": "0",
                "SFTP_ENABLED": "0",
                "AUTH": "true",
                "USE_SSL": "1",
                "MINISTACK_SSL_CERT": str(tls / "emulator.pem"),
                "MINISTACK_SSL_KEY": str(tls / "emulator.key"),
                # The functions' environment.
                "AWS_ENDPOINT_URL": self.url,
                "SSL_CERT_FILE": self.authority,
                # The account's root user.
                "AWS_ACCESS_KEY_ID": ACCOUNT,
                "AWS_SECRET_ACCESS_KEY": "none",
            },
        )
        wait_until(lambda: answers(self.port), 30, lambda: f"the emulator is not up: {self.printed.read_text()}")
        assert self.process.poll() is None, f"the emulator ended: {self.printed.read_text()}"

    def environment(self):
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_CA_BUNDLE": self.authority,
            "SSL_CERT_FILE": self.authority,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": ACCOUNT,
            "AWS_SECRET_ACCESS_KEY": "none",
            "SAM_CLI_TELEMETRY": "0",
        }

    def client(self, service):
        return boto3.client(
            service,
            endpoint_url=self.url,
            verify=self.authority,
            region_name=REGION,
            aws_access_key_id=ACCOUNT,
            aws_secret_access_key="none",
            config=Config(retries={"max_attempts": 2}, s3={"addressing_style": "path"}),
        )


class Sandbox(Process):
    """FlexOrch's sandbox."""

    def __init__(self, name, *options, port=0):
        super().__init__(name, [COMMAND_LINE, "sandbox", "--port", port, *options])
        self.base_url = self.first_line()
        self.port = int(self.base_url.split(":")[2].split("/")[0])

    def admin(self, path, method="GET", body=None):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/_sandbox/{path}", method=method, data=body and body.encode()
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read()
            return json.loads(text) if text else None

    def requests(self):
        return self.admin("requests")["requests"]

    def fault(self, fault):
        self.admin("faults", "POST", fault)

    def heal(self):
        self.admin("faults", "DELETE")

    def revoke(self, api_key):
        self.admin("keys/revoke", "POST", json.dumps({"api_key": api_key}))


class Stack:
    """A deployed stack of the template."""

    def __init__(self, emulator, name, bucket, connector_id):
        self.emulator = emulator
        self.name = name
        self.bucket = bucket
        self.connector_id = connector_id
        self.api_key = f"dfx_{name}_0123456789_{connector_id}a"
        self.s3 = emulator.client("s3")
        self.sqs = emulator.client("sqs")
        self.functions = emulator.client("lambda")
        self.outputs = {}

    def deploy(self, **parameters):
        """Runs `sam deploy` on the result of `sam build`."""
        parameters = {"BucketName": self.bucket, "Architecture": architecture(), **parameters}
        run = subprocess.run(
            [
                WORK / "venv-sam/bin/sam",
                "deploy",
                "--template-file", WORK / "sam-build/template.yaml",
                "--stack-name", self.name,
                "--capabilities", "CAPABILITY_IAM",
                "--resolve-s3",
                "--no-confirm-changeset",
                "--no-fail-on-empty-changeset",
                "--parameter-overrides", *(f'{name}="{value}"' for name, value in parameters.items()),
            ],
            env={**os.environ, **self.emulator.environment()},
            cwd=WORK,
            capture_output=True,
            text=True,
        )  # fmt: skip
        (WORK / f"deploy-{self.name}.txt").write_text(run.stdout + run.stderr)
        assert run.returncode == 0, run.stdout + run.stderr
        self.read_outputs()
        # AWS CloudFormation waits for this; the emulator's does not.
        for function in self.deployed_functions():
            self.wait_for_update(function)
        return self

    def read_outputs(self):
        stack = self.emulator.client("cloudformation").describe_stacks(StackName=self.name)["Stacks"][0]
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        for function in self.deployed_functions():
            self.allow_batches(function)
            for mapping in self.functions.list_event_source_mappings(FunctionName=function)["EventSourceMappings"]:
                # CloudFormation converts "2" to a number where the API requires one; the emulator keeps the text and fails on it later.
                concurrency = int(mapping["ScalingConfig"]["MaximumConcurrency"])
                self.functions.update_event_source_mapping(
                    UUID=mapping["UUID"], ScalingConfig={"MaximumConcurrency": concurrency}
                )

    def deployed_functions(self):
        """Returns the names of the ingester and, with tracking, of the outcomes function."""
        names = [self.outputs.get(name) for name in ["FunctionName", "OutcomesFunctionName"]]
        return [name for name in names if name]

    def allow_batches(self, function):
        """On AWS a batch call needs the permission for the single call, and none of its own (SQS Developer Guide, "Actions, resources,
        and condition keys"). The emulator wants actions that AWS does not have: they are granted where the template grants the
        single ones, and nowhere else."""
        iam = self.emulator.client("iam")
        role = self.functions.get_function_configuration(FunctionName=function)["Role"].rsplit("/", 1)[-1]
        [policy] = iam.list_role_policies(RoleName=role)["PolicyNames"]
        document = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
        for statement in document["Statement"]:
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            statement["Action"] = actions + [f"{action}Batch" for action in actions if action in BATCHES]
        iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(document))

    @property
    def function(self):
        return self.outputs["FunctionName"]

    def configuration(self, function=None):
        """Returns a function's configuration: the ingester's, unless another one is named."""
        return self.functions.get_function_configuration(FunctionName=function or self.function)

    def configure(self, function, **changes):
        """Changes a function's configuration and returns when the change is in use."""
        self.functions.update_function_configuration(FunctionName=function, **changes)
        self.wait_for_update(function)

    def wait_for_update(self, function):
        def is_current():
            configuration = self.configuration(function)
            return configuration.get("State") == "Active" and configuration.get("LastUpdateStatus") == "Successful"

        wait_until(is_current, 60, f"{function} is still being created or updated")

    def fill_secret(self, **changes):
        """Writes the connector's secret."""
        secret = {
            "api_key": self.api_key,
            "connector_id": self.connector_id,
            "bucket": self.bucket,
            "prefix": "invoices/",
            "region": REGION,
            **changes,
        }
        self.emulator.client("secretsmanager").put_secret_value(
            SecretId=self.outputs["ConnectorSecretArns"], SecretString=json.dumps(secret)
        )

    def upload(self, *keys):
        for key in keys:
            self.s3.put_object(Bucket=self.bucket, Key=key, Body=b"%PDF-1.7")

    def invoke(self, event):
        """Returns the response and the error (or None)."""
        answer = self.functions.invoke(FunctionName=self.function, Payload=json.dumps(event), LogType="Tail")
        return json.loads(answer["Payload"].read()), answer.get("FunctionError")

    def submissions(self, sandbox):
        """Returns the requests that FlexOrch received for this stack's connector."""
        return [request for request in sandbox.requests() if request["connector_id"] == self.connector_id]

    def taken(self, sandbox):
        """Returns the keys that FlexOrch accepted."""
        return sorted({key for request in self.submissions(sandbox) if request["status"] == 202 for key in request["keys"]})

    def waiting(self):
        """Returns the number of messages in the retry queue, including hidden ones."""
        return self.count(self.outputs["RetryQueueUrl"])

    def dead(self):
        return self.count(self.outputs["DeadLetterQueueUrl"])

    def count(self, queue):
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        attributes = self.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
        return sum(int(attributes[name]) for name in names)

    def dead_letters(self):
        """Returns the dead letters, which stay in the queue."""
        messages = self.sqs.receive_message(
            QueueUrl=self.outputs["DeadLetterQueueUrl"],
            MaxNumberOfMessages=10,
            MessageAttributeNames=["All"],
            VisibilityTimeout=0,
        ).get("Messages", [])
        letters = []
        for message in messages:
            attributes = {name: value["StringValue"] for name, value in message.get("MessageAttributes", {}).items()}
            letters.append((json.loads(message["Body"]), attributes))
        return letters

    def redrive(self):
        """Redrives the dead letters one by one, as the stack's output RedriveCommand does on AWS: the emulator has no
        StartMessageMoveTask. test_permissions.py checks that the queues' redrive policies allow it."""
        dead = self.outputs["DeadLetterQueueUrl"]
        moved = self.sqs.receive_message(QueueUrl=dead, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
        for message in moved["Messages"]:
            self.sqs.send_message(
                QueueUrl=self.outputs["RetryQueueUrl"],
                MessageBody=message["Body"],
                MessageAttributes=message.get("MessageAttributes", {}),
            )
            self.sqs.delete_message(QueueUrl=dead, ReceiptHandle=message["ReceiptHandle"])

    def log(self):
        """Returns the lines of the function's log group."""
        logs = self.emulator.client("logs")
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=self.outputs["LogGroupName"])
        return [event["message"] for page in pages for event in page["events"]]


def architecture():
    return os.environ.get("E2E_ARCHITECTURE", "x86_64")
