"""A stack that follows its documents, and what a test needs to watch it: FlexOrch's webhooks, the records, the published events."""

import json
import os
import subprocess
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import create_default_context

from boto3.dynamodb.types import TypeDeserializer

from chain import ACCOUNT, COMMAND_LINE, REGION, Stack, wait_until

SETTINGS = {"Tracking": "true", "PlanRequestsPerMinute": "6000", "SweepRequestsPerMinute": "6000", "SweepAfterMinutes": "0"}


class Relay:
    """The function's URL at an address that this machine can resolve: the emulator answers for its host name only under a path."""

    def __init__(self, emulator, url):
        address = f"{emulator.url}/_aws/lambda-url/{url.split('//')[1].split('.')[0]}/"
        trusted = create_default_context(cafile=emulator.authority)
        self.passed = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(handler):
                body = handler.rfile.read(int(handler.headers["content-length"]))
                headers = {name: value for name, value in handler.headers.items() if name.lower() != "host"}
                request = urllib.request.Request(address, data=body, headers=headers, method="POST")
                try:
                    with urllib.request.urlopen(request, context=trusted, timeout=30) as answer:
                        status = answer.status
                except urllib.error.HTTPError as error:
                    status = error.code
                self.passed.append((status, body))
                handler.send_response(status)
                handler.send_header("content-length", "0")
                handler.end_headers()

            def log_message(handler, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/"

    def post(self, body, signature=None, content_type="application/json"):
        headers = {"content-type": content_type, **({"x-flexorch-signature": signature} if signature else {})}
        request = urllib.request.Request(self.url, data=body, headers=headers)
        try:
            return urllib.request.urlopen(request, timeout=30).status
        except urllib.error.HTTPError as error:
            return error.code


class Tracked(Stack):
    """A stack that records what happened to its documents."""

    def __init__(self, emulator, flexorch, name, connector_id):
        super().__init__(emulator, name, f"documents-{name}", connector_id)
        self.flexorch = flexorch

    @property
    def outcomes(self):
        return self.outputs["OutcomesFunctionName"]

    def command(self, *words, status=0):
        """What `flexorch-s3` prints."""
        run = subprocess.run(
            [COMMAND_LINE, *words],
            env={**os.environ, **self.emulator.environment(), "FLEXORCH_BASE_URL": self.flexorch.base_url},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert run.returncode == status, f"{words}: {run.stdout}{run.stderr}"
        return run.stdout

    def register_webhook(self):
        """Registers the relay's address at FlexOrch; returns what `flexorch-s3` prints."""
        return self.command(
            "webhook", "create", "--url", self.relay.url, "--secret", self.outputs["ConnectorSecretArns"],
            "--signing-secret", self.outputs["WebhookSecretArn"],
        )  # fmt: skip

    def signing_secret(self):
        secrets = self.emulator.client("secretsmanager")
        return json.loads(secrets.get_secret_value(SecretId=self.outputs["WebhookSecretArn"])["SecretString"])["signing_secret"]

    def history(self, *options):
        """The records of `flexorch-s3 history`, by key; the newest of each."""
        records = json.loads(self.command("--json", "history", "--stack", self.name, *options))["records"]
        return {record["document"].removeprefix(f"{self.bucket}/"): record for record in reversed(records)}

    def records(self, key):
        """All records of a key, read from the table."""
        items = self.emulator.client("dynamodb").query(
            TableName=self.outputs["RecordsTable"],
            KeyConditionExpression="document = :document",
            ExpressionAttributeValues={":document": {"S": f"{self.bucket}/{key}"}},
            ConsistentRead=True,
        )["Items"]
        return [{name: TypeDeserializer().deserialize(value) for name, value in item.items()} for item in items]

    def states(self, key):
        return sorted(record["state"] for record in self.records(key))

    def reaches(self, key, *states, seconds=60):
        """Waits until the records of a key have these states."""
        wait_until(lambda: self.states(key) == sorted(states), seconds, lambda: f"{key}: {self.records(key)}")
        return self.records(key)

    def sweep(self):
        """What the schedule does, with its own input."""
        answer = self.functions.invoke(FunctionName=self.outcomes, Payload=timer(self)["Target"]["Input"])
        result = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, result
        return result

    def swept_to(self, key, *states):
        """Sweeps until the records of a key have these states."""

        def there():
            return self.states(key) == sorted(states) or (self.sweep() and False)

        wait_until(there, 90, lambda: f"{key}: {self.records(key)}")
        return self.records(key)


def timer(stack):
    """The stack's schedule for sweeps."""
    scheduler = stack.emulator.client("scheduler")
    [found] = [found for found in scheduler.list_schedules()["Schedules"] if found["Name"].startswith(f"{stack.name}-SweepTimer")]
    return scheduler.get_schedule(Name=found["Name"], GroupName=found["GroupName"])


class Events:
    """What is published on the event bus, by way of a rule to a queue."""

    def __init__(self, emulator):
        self.sqs = emulator.client("sqs")
        self.url = self.sqs.create_queue(QueueName="published")["QueueUrl"]
        queue = f"arn:aws:sqs:{REGION}:{ACCOUNT}:published"
        statement = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage"}
        policy = {"Version": "2012-10-17", "Statement": [{**statement, "Resource": queue}]}
        self.sqs.set_queue_attributes(QueueUrl=self.url, Attributes={"Policy": json.dumps(policy)})
        rules = emulator.client("events")
        rules.put_rule(Name="published", EventPattern=json.dumps({"source": ["flexorch.s3-ingester"]}))
        rules.put_targets(Rule="published", Targets=[{"Id": "queue", "Arn": queue}])
        self.all = []

    def of(self, stack, key):
        """Detail types and details, in their order, of the events about a key."""
        while messages := self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                self.all.append(json.loads(message["Body"]))
                self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        found = [event for event in self.all if event["detail"]["document"] == f"{stack.bucket}/{key}"]
        return [(event["detail-type"], event["detail"]) for event in found]

    def wait(self, stack, key, kind):
        """Waits for an event of this type about a key."""

        def published():
            return [detail for found, detail in self.of(stack, key) if found == kind]

        return wait_until(published, 60, lambda: f"{kind} of {key} is missing: {self.of(stack, key)}")
