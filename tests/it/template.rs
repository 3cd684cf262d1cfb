//! The template, read as CloudFormation reads it: what only a deployment would show otherwise.

use crate::support::template::{Template, text};

/// The function's environment as the template sets it.
fn environment(template: &Template) -> serde_json::Map<String, serde_json::Value> {
    let function = template.resource("AWS::Serverless::Function", "Ingester");
    function["Environment"]["Variables"].as_object().unwrap().clone()
}

#[test]
fn no_allowed_parameters_exceed_lambdas_4096_bytes_of_environment() {
    let template = Template::with(&[]);
    let length = |name: &str| template.parameter(name)["MaxLength"].as_u64().unwrap();
    let digits = |name: &str| text(&template.parameter(name)["MaxValue"]).len() as u64;
    let mut bytes = 2;
    for (variable, value) in environment(&template) {
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
            // The longest region's host, an account, and a queue's name of 80 characters.
            name if name.ends_with("QUEUE_URL") => 8 + "sqs.cn-northwest-1.amazonaws.com.cn".len() as u64 + 14 + 80,
            other => panic!("{other} = {value}: count its bytes here"),
        };
    }
    assert!(bytes <= 4096, "{bytes} bytes");
    // For one more queue's address.
    assert!(bytes + 18 + 6 + 137 <= 4096, "{bytes} bytes leave no room");
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
