"""Invalid parameters are rejected before anything is created."""

import os
import subprocess

import pytest
from botocore.exceptions import ClientError

from chain import WORK

ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:flexorch/docs-AbCdEf"
KEY = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"

VALID = [
    {},
    {"Trigger": "Queue", "NotificationPrefix": "invoices/", "NotificationSuffix": ".pdf"},
    {"Trigger": "EventBridge", "NotificationPrefix": "invoices/", "NotificationSuffix": ".pdf"},
    {"BucketName": "a.b-c.1"},
    {"ConnectorSecretArns": f"{ARN},{ARN}", "SecretsKmsKeyArns": KEY, "KmsKeyArn": KEY},
    {"KeyPrefixes": "Rechnungen 2026/,scans/", "KeySuffixes": ".pdf,.docx", "MaxObjectBytes": "26214400"},
    {"PipelineConfig": '{"ocr": true}', "Locale": "de-DE"},
    {"PlanRequestsPerMinute": "600", "MaximumConcurrency": "10", "ReservedConcurrency": "12"},
    {"ProcessRequestsPerMinute": "45", "Timeout": "120", "BatchSize": "10000", "MaxReceiveCount": "1000"},
    {"MaxReceiveCount": "120", "RenewAfterReceives": "1"},
    {"KeyExcludes": "*/tmp/*,*.part,Entwürfe/*", "KeyPrefixes": "x" * 512, "PipelineConfig": "{" + " " * 318 + "}"},
    {"KeyPrefixes": "ü" * 128, "KeyExcludes": '"' * 128},
    {"Trigger": "Direct", "ReservedConcurrency": "3"},
    {"Trigger": "Queue", "ReservedConcurrency": "2"},
    {"AlarmEmail": "ops@example.com", "ExpectUploadsWithinHours": "168"},
    {"BatchOperationsBucketName": "manifests", "AccessLogBucketName": "logs", "EnvironmentKmsKeyArn": KEY, "BucketKmsKeyArn": KEY},
    {"ReconcileSchedule": "rate(1 day)", "ReconcileSince": "PT25H"},
    {"ReconcileSchedule": "cron(30 3 ? * MON-FRI *)", "ReconcileSince": "P7DT30M", "ReconcileTimezone": "Europe/Berlin"},
    {"VpcSubnetIds": "subnet-0123456789abcdef0,subnet-12345678", "VpcSecurityGroupIds": "sg-0123456789abcdef0"},
    {"AlarmTopicArn": "arn:aws:sns:eu-west-1:123456789012:ops", "LagAlarmSeconds": "60", "Tracing": "Active"},
    {"Alarms": "false", "Dashboard": "false", "LogLevel": "DEBUG", "LogRetentionDays": "7"},
    {"PermissionsBoundaryArn": "arn:aws:iam::123456789012:policy/boundary"},
    {"Tracking": "true"},
    {"Tracking": "true", "FlexOrchWebhook": "true", "RecordDays": "3650", "EventBusName": "documents", "KmsKeyArn": KEY},
    {"Tracking": "true", "SweepSchedule": "rate(1 hour)", "SweepAfterMinutes": "0", "SweepRequestsPerMinute": "6"},
    {"Tracking": "true", "SweepSchedule": "cron(0/30 * * * ? *)", "OutcomesReservedConcurrency": "4"},
    {"FlexOrchBaseUrl": "https://eu.flexorch.example/v1"},
    {"FlexOrchBaseUrl": "http://127.0.0.1:8642/v1"},
    {"FlexOrchBaseUrl": "http://[::1]:8642/v1"},
]

INVALID = [
    {"Trigger": "Sns"},
    {"BucketName": ""},
    {"BucketName": "My_Documents"},
    {"BucketName": "ab"},
    {"BucketName": "192.168.1.1"},
    {"BucketName": "a..b"},
    {"BucketName": "docs-s3alias"},
    {"BucketName": "arn:aws:s3:::docs"},
    {"NotificationPrefix": "invoices 2026/"},
    {"NotificationPrefix": "invoices/*"},
    {"NotificationSuffix": ".pdf,.docx"},
    {"KeySuffixes": ".pdf, .docx"},
    {"MaxObjectBytes": "25MB"},
    {"MaxObjectBytes": "0"},
    {"ConnectorSecretArns": "flexorch/docs"},
    {"ConnectorSecretArns": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:flexorch/docs"},
    {"ConnectorSecretArns": f"{ARN}, {ARN}"},
    {"ConnectorSecretArns": ",".join([ARN] * 20)},
    {"KeyPrefixes": "x" * 513},
    {"KeyPrefixes": "ü" * 129},
    {"KeyExcludes": '"' * 129},
    {"KeySuffixes": "ü" * 49},
    {"PipelineConfig": "{" + "ü" * 79 + "}"},
    {"PlanRequestsPerMinute": "61"},
    {"FlexOrchBaseUrl": "http://api.flexorch.com/v1"},
    {"FlexOrchBaseUrl": "http://127.0.0.1.example.com/v1"},
    {"FlexOrchBaseUrl": "https://user:pass@api.flexorch.com/v1"},
    {"FlexOrchBaseUrl": "https://api.flexorch.com/v1?key=1"},
    {"FlexOrchBaseUrl": "api.flexorch.com"},
    {"Locale": "german!"},
    {"PipelineConfig": "[1]"},
    {"MaximumConcurrency": "1"},
    {"MaximumConcurrency": "7"},
    {"MaximumConcurrency": "6", "ReservedConcurrency": "5"},
    {"MaximumConcurrency": "20", "ReservedConcurrency": "15"},
    {"ReservedConcurrency": "1"},
    {"Trigger": "Direct", "ReservedConcurrency": "2"},
    {"Trigger": "Direct", "MaximumConcurrency": "10", "ReservedConcurrency": "10"},
    {"BatchSize": "10001"},
    {"BatchSize": "0"},
    {"BatchWindowSeconds": "0"},
    {"BatchWindowSeconds": "7"},
    {"MaxReceiveCount": "1001"},
    {"MaxReceiveCount": "119"},
    {"RenewAfterReceives": "101"},
    {"RenewAfterReceives": "0"},
    {"MaximumEventAgeSeconds": "59"},
    {"ProcessRequestsPerMinute": "0"},
    {"ReconcileSchedule": "daily"},
    {"ReconcileSince": "24h"},
    {"ReconcileSince": "P"},
    {"ReconcileSince": "PT"},
    {"Architecture": "arm"},
    {"MemorySize": "64"},
    {"Timeout": "31"},
    {"Timeout": "901"},
    {"MaxKeysPerRequest": "0"},
    {"MaxAttempts": "0"},
    {"SecretCacheTtlSeconds": "86401"},
    {"DeadlineMarginMs": "30000"},
    # A level above INFO would drop the metrics.
    {"LogLevel": "WARN"},
    {"LogRetentionDays": "31"},
    {"AlarmTopicArn": "ops"},
    {"AlarmEmail": "ops"},
    {"AlarmEmail": "ops@example.com", "Alarms": "false"},
    {"ExpectUploadsWithinHours": "169"},
    {"ExpectUploadsWithinHours": "24", "Alarms": "false"},
    {"BatchOperationsBucketName": "documents-asked"},
    {"AccessLogBucketName": "documents-asked"},
    {"BucketKmsKeyArn": KEY, "Trigger": "EventBridge"},
    {"AlarmTopicArn": "arn:aws:sns:eu-west-1:123456789012:ops", "Alarms": "false"},
    {"KmsKeyArn": "alias/mine"},
    {"SecretsKmsKeyArns": KEY},
    {"VpcSubnetIds": "subnet-12345678"},
    {"VpcSecurityGroupIds": "sg-12345678"},
    {"VpcSubnetIds": "vpc-12345678", "VpcSecurityGroupIds": "sg-12345678"},
    {"PermissionsBoundaryArn": "boundary"},
    {"Tracking": "yes"},
    {"FlexOrchWebhook": "true"},
    {"OutcomesReservedConcurrency": "4"},
    {"Tracking": "true", "OutcomesReservedConcurrency": "3"},
    {"Tracking": "true", "RecordDays": "0"},
    {"Tracking": "true", "EventBusName": "two words"},
    {"Tracking": "true", "SweepSchedule": ""},
    {"Tracking": "true", "SweepSchedule": "rate(1 minute)"},
    {"Tracking": "true", "SweepSchedule": "rate(4 minutes)"},
    {"Tracking": "true", "SweepSchedule": "rate(1 hours)"},
    {"Tracking": "true", "SweepAfterMinutes": "1441"},
    {"Tracking": "true", "SweepRequestsPerMinute": "0"},
]


def as_name(parameters):
    return ", ".join(f"{name}={value!r}" for name, value in parameters.items()) or "the defaults"


@pytest.fixture(scope="module")
def change_set(emulator):
    """Creates change sets without executing them."""
    packaged = WORK / "packaged.yaml"
    subprocess.run(
        [WORK / "venv-sam/bin/sam", "package", "--template-file", WORK / "sam-build/template.yaml", "--resolve-s3"]
        + ["--output-template-file", packaged],
        env={**os.environ, **emulator.environment()},
        cwd=WORK,
        check=True,
        capture_output=True,
    )
    s3 = emulator.client("s3")
    s3.create_bucket(Bucket="templates", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.upload_file(str(packaged), "templates", "template.yaml")
    cloudformation = emulator.client("cloudformation")
    names = iter(range(1000))

    def ask(parameters):
        name = f"asked-{next(names)}"
        cloudformation.create_change_set(
            StackName=name,
            ChangeSetName="asked",
            ChangeSetType="CREATE",
            TemplateURL=f"{emulator.url}/templates/template.yaml",
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
            Parameters=[
                {"ParameterKey": key, "ParameterValue": value}
                for key, value in {"BucketName": "documents-asked", **parameters}.items()
            ],
        )
        return cloudformation.describe_change_set(StackName=name, ChangeSetName="asked")

    return ask


@pytest.mark.parametrize("parameters", VALID, ids=as_name)
def test_valid_parameters_are_accepted(change_set, parameters):
    planned = change_set(parameters)
    assert planned["Status"] == "CREATE_COMPLETE", planned.get("StatusReason")


@pytest.mark.parametrize("parameters", INVALID, ids=as_name)
def test_invalid_parameters_are_rejected_by_name(change_set, parameters):
    with pytest.raises(ClientError) as rejected:
        change_set(parameters)
    assert rejected.value.response["Error"]["Code"] == "ValidationError"
    message = rejected.value.response["Error"]["Message"]
    assert any(name in message for name in parameters), message
