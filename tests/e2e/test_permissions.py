"""Least privilege of the deployed roles and resource policies."""

import json

from chain import ACCOUNT, REGION, Stack



def statements(emulator, role):
    iam = emulator.client("iam")
    assert not iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
    for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        yield from document["Statement"]


def as_list(value):
    return value if isinstance(value, list) else [value]


def grants(emulator, stack):
    role = stack.configuration()["Role"].rsplit("/", 1)[-1]
    return [
        (action, resource, statement.get("Condition"))
        for statement in statements(emulator, role)
        if statement["Effect"] == "Allow"
        for action in as_list(statement["Action"])
        # Stack.allow_batches added these for the emulator.
        if not action.endswith("Batch")
        for resource in as_list(statement["Resource"])
    ]


def test_the_role_allows_only_reading_secrets_using_queues_and_logging(emulator, stack):
    queue = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{stack.name}"
    granted = {(action, resource) for action, resource, _ in grants(emulator, stack)}
    secret = stack.configuration()["Environment"]["Variables"]["CONNECTOR_SECRET_IDS"]
    log_group = next(resource for action, resource in granted if action == "logs:PutLogEvents")
    assert f":log-group:{stack.outputs['LogGroupName']}" in log_group
    assert granted == {
        ("secretsmanager:GetSecretValue", secret),
        ("sqs:ReceiveMessage", f"{queue}-retry"),
        ("sqs:DeleteMessage", f"{queue}-retry"),
        ("sqs:GetQueueAttributes", f"{queue}-retry"),
        ("sqs:ChangeMessageVisibility", f"{queue}-retry"),
        ("sqs:SendMessage", f"{queue}-retry"),
        ("sqs:SendMessage", f"{queue}-dead-letters"),
        ("logs:CreateLogStream", log_group),
        ("logs:PutLogEvents", log_group),
    }


def test_queues_are_encrypted_and_tls_only_with_the_documented_retention_and_visibility_timeout(stack):
    for queue in [stack.outputs["RetryQueueUrl"], stack.outputs["DeadLetterQueueUrl"]]:
        attributes = stack.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
        assert attributes["SqsManagedSseEnabled"] == "true"
        assert attributes["MessageRetentionPeriod"] == str(14 * 24 * 3600)
        tls_only = json.loads(attributes["Policy"])["Statement"][0]
        assert (tls_only["Effect"], tls_only["Principal"]) == ("Deny", "*")
        assert tls_only["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    retry = stack.sqs.get_queue_attributes(QueueUrl=stack.outputs["RetryQueueUrl"], AttributeNames=["All"])["Attributes"]
    [mapping] = stack.functions.list_event_source_mappings(FunctionName=stack.function)["EventSourceMappings"]
    window = mapping["MaximumBatchingWindowInSeconds"]
    assert int(retry["VisibilityTimeout"]) == 6 * stack.configuration()["Timeout"] + window
    redrive = json.loads(retry["RedrivePolicy"])
    assert redrive["deadLetterTargetArn"] == stack.outputs["DeadLetterQueueArn"]
    assert int(redrive["maxReceiveCount"]) == 120
    # `aws sqs start-message-move-task` requires that the dead-letter queue belongs to this queue only.
    dead = stack.sqs.get_queue_attributes(QueueUrl=stack.outputs["DeadLetterQueueUrl"], AttributeNames=["All"])["Attributes"]
    assert json.loads(dead["RedriveAllowPolicy"]) == {
        "redrivePermission": "byQueue",
        "sourceQueueArns": [stack.outputs["RetryQueueArn"]],
    }


def may_be_invoked_by(stack, function=None):
    try:
        return json.loads(stack.functions.get_policy(FunctionName=function or stack.function)["Policy"])["Statement"]
    except stack.functions.exceptions.ResourceNotFoundException:
        return []


def test_only_the_stacks_source_may_send_and_invoke(stacks):
    allowed = {}
    for shape, stack in stacks.items():
        attributes = stack.sqs.get_queue_attributes(QueueUrl=stack.outputs["RetryQueueUrl"], AttributeNames=["Policy"])
        statements = json.loads(attributes["Attributes"]["Policy"])["Statement"]
        allowed[shape] = [statement for statement in statements if statement["Effect"] == "Allow"]
    # S3 in every shape, so that a change of shape does not remove a permission that the bucket's configuration still needs.
    for shape in stacks:
        queue = allowed[shape].pop(0)
        assert queue["Principal"] == {"Service": "s3.amazonaws.com"} and queue["Action"] == "sqs:SendMessage"
        assert queue["Condition"] == {
            "ArnEquals": {"aws:SourceArn": f"arn:aws:s3:::documents-{shape.lower()}"},
            "StringEquals": {"aws:SourceAccount": ACCOUNT},
        }
    assert allowed["Direct"] == allowed["Queue"] == []
    [rule] = allowed["EventBridge"]
    assert rule["Principal"] == {"Service": "events.amazonaws.com"}
    assert f":{ACCOUNT}:rule/" in rule["Condition"]["ArnEquals"]["aws:SourceArn"]

    for shape in ["Direct", "Queue"]:
        [permission] = may_be_invoked_by(stacks[shape])
        conditions = json.dumps(permission["Condition"])
        assert f"arn:aws:s3:::documents-{shape.lower()}" in conditions and ACCOUNT in conditions
    assert not may_be_invoked_by(stacks["EventBridge"])


def test_lambda_sends_a_failed_notification_to_the_retry_queue_without_a_retry(stack):
    config = stack.functions.get_function_event_invoke_config(FunctionName=stack.function, Qualifier="$LATEST")
    assert config["MaximumRetryAttempts"] == 0
    assert config["MaximumEventAgeInSeconds"] == 21600
    assert config["DestinationConfig"]["OnFailure"]["Destination"] == stack.outputs["RetryQueueArn"]


def test_batches_report_failures_per_message_and_concurrency_is_limited(stack):
    [mapping] = stack.functions.list_event_source_mappings(FunctionName=stack.function)["EventSourceMappings"]
    assert mapping["EventSourceArn"] == stack.outputs["RetryQueueArn"]
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["ScalingConfig"] == {"MaximumConcurrency": 2}
    assert (mapping["BatchSize"], mapping["MaximumBatchingWindowInSeconds"]) == (1000, 5)


def test_optional_features_add_only_the_permissions_they_need(emulator, sandbox):
    key = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    secrets = [f"arn:aws:secretsmanager:eu-central-1:{ACCOUNT}:secret:docs-{end}" for end in ["AbCdEf", "GhIjKl"]]
    network = emulator.client("ec2")
    subnet = network.describe_subnets()["Subnets"][0]
    groups = network.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [subnet["VpcId"]]}])["SecurityGroups"]
    stack = Stack(emulator, "optional", "documents-optional", 130)
    stack.deploy(
        FlexOrchBaseUrl=sandbox.base_url,
        ConnectorSecretArns=",".join(secrets),
        SecretsKmsKeyArns=key,
        NotificationPrefix="invoices/",
        ReconcileSchedule="rate(1 day)",
        BatchOperationsBucketName="manifests-and-reports",
        Tracing="Active",
        VpcSubnetIds=subnet["SubnetId"],
        VpcSecurityGroupIds=groups[0]["GroupId"],
    )
    granted = grants(emulator, stack)
    assert {resource for action, resource, _ in granted if action == "secretsmanager:GetSecretValue"} == set(secrets)
    [(_, decrypts, condition)] = [grant for grant in granted if grant[0] == "kms:Decrypt"]
    assert decrypts == key and condition == {"StringLike": {"kms:ViaService": "secretsmanager.*.amazonaws.com"}}
    objects = [grant for grant in granted if grant[0].startswith("s3:")]
    bucket = "arn:aws:s3:::documents-optional"
    assert objects == [
        ("s3:GetObject", f"{bucket}/invoices/*", None),
        ("s3:ListBucket", bucket, None),
        ("s3:ListBucket", bucket, {"StringLike": {"s3:prefix": "invoices/*"}}),
    ]
    batch = stack.outputs["BatchOperationsRoleArn"].rsplit("/", 1)[-1]
    trusted = emulator.client("iam").get_role(RoleName=batch)["Role"]["AssumeRolePolicyDocument"]["Statement"]
    assert [statement["Principal"] for statement in trusted] == [{"Service": "batchoperations.s3.amazonaws.com"}]
    assert {
        (action, resource)
        for statement in statements(emulator, batch)
        for action in as_list(statement["Action"])
        for resource in as_list(statement["Resource"])
    } == {
        ("lambda:InvokeFunction", stack.outputs["FunctionArn"]),
        ("lambda:InvokeFunction", stack.outputs["FunctionArn"] + ":*"),
        ("s3:GetObject", "arn:aws:s3:::manifests-and-reports/*"),
        ("s3:GetObjectVersion", "arn:aws:s3:::manifests-and-reports/*"),
        ("s3:PutObject", "arn:aws:s3:::manifests-and-reports/*"),
    }
    everywhere = {action for action, resource, _ in granted if resource == "*"}
    interfaces = {action for action in everywhere if action.startswith("ec2:")}
    assert everywhere - interfaces == {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}, "these do not support resources"
    [denied] = [
        statement
        for statement in statements(emulator, stack.configuration()["Role"].rsplit("/", 1)[-1])
        if statement["Effect"] == "Deny"
    ]
    assert set(denied["Action"]) == interfaces, "Lambda is allowed these, the function's code is not"
    assert denied["Condition"] == {"Null": {"lambda:SourceFunctionArn": "false"}}
    assert not [action for action, _, _ in granted if "*" in action]
