//! The template, read as CloudFormation reads it: what only a deployment would show otherwise.

use crate::support::template::{Template, text};

/// The function's environment as the template sets it.
fn environment(template: &Template) -> serde_json::Map<String, serde_json::Value> {
    environment_of(template, "Ingester")
}

/// A function's environment as the template sets it.
fn environment_of(template: &Template, function: &str) -> serde_json::Map<String, serde_json::Value> {
    let function = template.resource("AWS::Serverless::Function", function);
    function["Environment"]["Variables"].as_object().unwrap().clone()
}

#[test]
fn no_allowed_parameters_exceed_lambdas_4096_bytes_of_environment() {
    for function in ["Ingester", "Outcomes"] {
        let bytes = longest_environment(function);
        assert!(bytes <= 4096, "{function}: {bytes} bytes");
    }
}

/// The bytes of a function's environment with the longest parameters that are allowed.
fn longest_environment(function: &str) -> u64 {
    let template = Template::with(&[("Tracking", "true"), ("FlexOrchWebhook", "true")]);
    let length = |name: &str| template.parameter(name)["MaxLength"].as_u64().unwrap();
    let digits = |name: &str| text(&template.parameter(name)["MaxValue"]).len() as u64;
    let mut bytes = 2;
    for (variable, value) in environment_of(&template, function) {
        // Lambda measures the variables as a JSON object: quotes around both, a colon and a comma.
        bytes += variable.len() as u64 + 6;
        bytes += match variable.as_str() {
            "CONNECTOR_SECRET_IDS" => length("ConnectorSecretArns"),
            "FLEXORCH_BASE_URL" => length("FlexOrchBaseUrl"),
            // Their patterns allow characters of several bytes, and those that JSON escapes, only in a quarter of the length.
            "KEY_PREFIXES" => length("KeyPrefixes"),
            "KEY_SUFFIXES" => length("KeySuffixes"),
            "KEY_EXCLUDES" => length("KeyExcludes"),
            // Nothing but quotation marks.
            "PIPELINE_CONFIG" => 2 * length("PipelineConfig"),
            "LOCALE" => length("Locale"),
            "MAX_OBJECT_BYTES" => 18,
            "REQUESTS_PER_MINUTE" => 6,
            "MAX_KEYS_PER_REQUEST" => digits("MaxKeysPerRequest"),
            "SECRET_CACHE_TTL_SECONDS" => digits("SecretCacheTtlSeconds"),
            "REQUEST_TIMEOUT_MS" => digits("RequestTimeoutMs"),
            "MAX_CONCURRENT_REQUESTS" => digits("MaxConcurrentRequests"),
            "MAX_ATTEMPTS" => digits("MaxAttempts"),
            "DEADLINE_MARGIN_MS" => digits("DeadlineMarginMs"),
            "RENEW_AFTER_RECEIVES" => digits("RenewAfterReceives"),
            "RECORD_DAYS" => digits("RecordDays"),
            "SWEEP_AFTER_MINUTES" => digits("SweepAfterMinutes"),
            "EVENT_BUS_NAME" => length("EventBusName"),
            // A table's name and a secret's ARN, the longest that there are.
            "RECORDS_TABLE" => 255,
            "WEBHOOK_SECRET_ID" => {
                "arn:aws-us-gov:secretsmanager:us-gov-west-1:123456789012:secret:-AbCdEf".len() as u64 + 512
            }
            // The longest region's host, an account, and a queue's name of 80 characters.
            name if name.ends_with("QUEUE_URL") => 8 + "sqs.cn-northwest-1.amazonaws.com.cn".len() as u64 + 14 + 80,
            other => panic!("{other} = {value}: count its bytes here"),
        };
    }
    bytes
}

#[test]
fn a_waiting_message_is_renewed_well_before_it_would_be_a_dead_letter() {
    let template = Template::with(&[]);
    let latest = template.parameter("RenewAfterReceives")["MaxValue"].as_u64().unwrap();
    let earliest = template.parameter("MaxReceiveCount")["MinValue"].as_u64().unwrap();
    assert!(latest + 20 <= earliest, "renewed after up to {latest} receives, moved after {earliest}");
    let queue = template.resource("AWS::SQS::Queue", "RetryQueue");
    assert_eq!(text(&queue["RedrivePolicy"]["maxReceiveCount"]), "120");
    assert_eq!(environment(&template)["RENEW_AFTER_RECEIVES"], "100");
}

#[test]
fn messages_stay_hidden_for_six_timeouts_and_the_batch_window_whatever_the_two_are() {
    let all = Template::with(&[]);
    let values =
        |name: &str| all.parameter(name)["AllowedValues"].as_array().unwrap().iter().map(text).collect::<Vec<_>>();
    for timeout in values("Timeout") {
        for window in values("BatchWindowSeconds") {
            let template = Template::with(&[("Timeout", &timeout), ("BatchWindowSeconds", &window)]);
            let queue = template.resource("AWS::SQS::Queue", "RetryQueue");
            let least = 6 * timeout.parse::<u32>().unwrap() + window.parse::<u32>().unwrap();
            assert_eq!(text(&queue["VisibilityTimeout"]), least.to_string(), "{timeout} s, {window} s");
        }
    }
}

#[test]
fn direct_needs_more_reserved_concurrency_than_the_queue_may_use() {
    let refused = |trigger, maximum, reserved| {
        let parameters = [("Trigger", trigger), ("MaximumConcurrency", maximum), ("ReservedConcurrency", reserved)];
        !Template::with(&parameters).refusals().is_empty()
    };
    for (maximum, reserved) in [("2", "2"), ("3", "2"), ("5", "5"), ("10", "9"), ("20", "20"), ("20", "3")] {
        assert!(refused("Direct", maximum, reserved), "{reserved} reserved, {maximum} for the queue");
    }
    for (maximum, reserved) in [("2", "3"), ("2", ""), ("10", "11"), ("20", "100")] {
        assert!(!refused("Direct", maximum, reserved), "{reserved} reserved, {maximum} for the queue");
    }
    assert!(!refused("Queue", "2", "2") && refused("Queue", "3", "2"));
}

#[test]
fn s3_may_send_to_the_queue_in_every_shape_and_invoke_the_function_wherever_the_stack_has_a_bucket() {
    for shape in ["Direct", "Queue", "EventBridge"] {
        let template = Template::with(&[("Trigger", shape)]);
        let policy = template.resource("AWS::SQS::QueuePolicy", "RetryQueuePolicy");
        let statements = policy["PolicyDocument"]["Statement"].as_array().unwrap();
        let s3 = statements.iter().filter(|statement| statement["Principal"]["Service"] == "s3.amazonaws.com");
        assert_eq!(s3.count(), 1, "{shape}");
        let invoke = template.resources("AWS::Lambda::Permission");
        assert_eq!(invoke.len(), usize::from(shape != "EventBridge"), "{shape}");
        assert_eq!(template.resources("AWS::S3::Bucket").len(), invoke.len(), "{shape}");
    }
}

#[test]
fn without_an_address_the_deployment_says_that_no_one_is_notified() {
    let alarms = Template::with(&[]).resources("AWS::CloudWatch::Alarm").len();
    assert!(alarms > 8, "{alarms} alarms");
    for (parameters, topics) in [
        (&[][..], 0),
        (&[("AlarmEmail", "a@example.com")], 1),
        (&[("AlarmTopicArn", "arn:aws:sns:eu-west-1:123456789012:ops")], 1),
        (&[("AlarmEmail", "a@example.com"), ("AlarmTopicArn", "arn:aws:sns:eu-west-1:123456789012:ops")], 2),
    ] {
        let template = Template::with(parameters);
        let blocked = template.resource("AWS::CloudWatch::Alarm", "BlockedAlarm");
        assert_eq!(blocked["AlarmActions"].as_array().unwrap().len(), topics, "{parameters:?}");
        let output = template.output("AlarmsNotify");
        assert_eq!(output.starts_with("NO ONE IS NOTIFIED"), topics == 0, "{output}");
    }
    assert!(Template::with(&[("Alarms", "false")]).output("AlarmsNotify").starts_with("NO ONE IS NOTIFIED"));
}

#[test]
fn dashboard_and_console_are_found_in_every_partition() {
    for (partition, host) in [
        ("aws", "console.aws.amazon.com"),
        ("aws-cn", "console.amazonaws.cn"),
        ("aws-us-gov", "console.amazonaws-us-gov.com"),
    ] {
        assert_eq!(Template::with(&[]).mapping("Console")[partition]["Host"], host);
    }
}

#[test]
fn without_tracking_there_is_nothing_of_it() {
    let template = Template::with(&[]);
    assert_eq!(environment(&template)["RECEIPTS_QUEUE_URL"], "");
    assert_eq!(template.resources("AWS::Serverless::Function").len(), 1);
    for kind in ["AWS::DynamoDB::Table", "AWS::CloudFormation::Stack", "AWS::Scheduler::Schedule"] {
        assert!(template.resources(kind).is_empty(), "{kind}");
    }
    assert_eq!(Template::with(&[("FlexOrchWebhook", "true")]).refusals(), ["WebhookWantsTracking"]);
}

#[test]
fn the_table_has_the_contracts_keys_and_indexes_and_outlives_the_stack() {
    let template = Template::with(&[("Tracking", "true")]);
    let table = template.resource("AWS::DynamoDB::Table", "Records");
    let keys = |schema: &serde_json::Value| {
        let keys = schema.as_array().unwrap().iter();
        keys.map(|key| format!("{}:{}", text(&key["KeyType"]), text(&key["AttributeName"]))).collect::<Vec<_>>()
    };
    assert_eq!(keys(&table["KeySchema"]), ["HASH:document", "RANGE:version"]);
    let indexes = table["GlobalSecondaryIndexes"].as_array().unwrap();
    assert_eq!(indexes.len(), 2);
    assert_eq!(
        (text(&indexes[0]["IndexName"]), keys(&indexes[0]["KeySchema"])),
        ("by-job".to_owned(), vec!["HASH:job_id".to_owned()])
    );
    assert_eq!(text(&indexes[1]["IndexName"]), "by-state");
    assert_eq!(keys(&indexes[1]["KeySchema"]), ["HASH:state", "RANGE:changed_at"]);
    assert_eq!(table["TimeToLiveSpecification"]["AttributeName"], "expires_at");
    assert_eq!(table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"], true);
    assert_eq!(template.declared("Records")["DeletionPolicy"], "RetainExceptOnCreate");
    assert_eq!(template.declared("Records")["UpdateReplacePolicy"], "Retain");
}

#[test]
fn receipts_stay_hidden_for_six_timeouts_of_the_function_that_reads_them() {
    let template = Template::with(&[("Tracking", "true")]);
    let timeout = template.resource("AWS::Serverless::Function", "Outcomes")["Timeout"].as_u64().unwrap();
    let queue = template.resource("AWS::SQS::Queue", "ReceiptsQueue");
    assert_eq!(queue["VisibilityTimeout"], 6 * timeout);
}

#[test]
fn with_a_sweep_beside_them_the_processes_still_keep_within_the_plan() {
    let all = Template::with(&[]);
    let values =
        |name: &str| all.parameter(name)["AllowedValues"].as_array().unwrap().iter().map(text).collect::<Vec<_>>();
    for plan in values("PlanRequestsPerMinute") {
        for processes in values("MaximumConcurrency") {
            let parameters =
                [("PlanRequestsPerMinute", &*plan), ("MaximumConcurrency", &processes), ("Tracking", "true")];
            let template = Template::with(&parameters);
            let rate =
                |function| text(&environment_of(&template, function)["REQUESTS_PER_MINUTE"]).parse::<u32>().unwrap();
            let (share, sweep) = (rate("Ingester"), rate("Outcomes"));
            let (plan, processes) = (plan.parse::<u32>().unwrap(), processes.parse::<u32>().unwrap());
            assert_eq!(sweep, plan / 10);
            assert_eq!(share, (plan - sweep) / processes, "{plan} for {processes}");
        }
    }
}

#[test]
fn a_schedules_runs_do_not_pile_up_while_it_cannot_start_them() {
    let template = Template::with(&[("Tracking", "true"), ("ReconcileSchedule", "rate(1 day)")]);
    let schedules = template.resources("AWS::Scheduler::Schedule");
    assert_eq!(schedules.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["ReconcileTimer", "SweepTimer"]);
    for (name, schedule) in schedules {
        let age = schedule["Target"]["RetryPolicy"]["MaximumEventAgeInSeconds"].as_u64();
        assert!(age.is_some_and(|age| age <= 3600), "{name}: {age:?}, and Scheduler's default is a day");
    }
}
