//! An AWS account's Lambda, EventBridge and IAM, as far as `doctor` reads them: functions, event source mappings, rules and roles, with
//! calls that can be denied.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use flexorch_sandbox::stub::{Stub, StubRequest};
use percent_encoding::percent_decode_str;
use reqwest::Url;
use serde_json::{Value, json};

use super::surroundings::REGION;

/// The account's id, as the sandbox has it.
pub const ACCOUNT: &str = "123456789012";
/// The tag of a stack's resources.
pub const STACK_TAG: &str = "aws:cloudformation:stack-name";

/// Lambda and EventBridge.
pub struct Account {
    state: Arc<Mutex<State>>,
    stub: Stub,
}

#[derive(Default)]
struct State {
    functions: BTreeMap<String, Function>,
    /// Function and queue, by their names.
    mappings: Vec<(String, String)>,
    /// A rule's name, its target's ARN and its pattern.
    rules: Vec<(String, String, String)>,
    /// A timed rule's name, its target's ARN and its input.
    timers: Vec<(String, String, Option<String>)>,
    denied: Vec<&'static str>,
    schedules: Vec<Schedule>,
    /// What roles do not allow: a role, an action and the end of a resource's ARN.
    forbidden: Vec<(&'static str, &'static str, &'static str)>,
}

/// A schedule of EventBridge Scheduler.
struct Schedule {
    name: String,
    target: String,
    enabled: bool,
    input: Option<String>,
}

/// A function.
#[derive(Default)]
struct Function {
    variables: BTreeMap<String, String>,
    tags: BTreeMap<String, String>,
    on_failure: Option<String>,
    policy: Option<String>,
    url: Option<String>,
    /// Callers of the URL need AWS credentials.
    is_url_closed: bool,
}

pub fn function_arn(name: &str) -> String {
    format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}")
}

pub fn queue_arn(name: &str) -> String {
    format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}")
}

impl Account {
    pub async fn start() -> Self {
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = Arc::clone(&state);
        let stub = Stub::routed(move |request| respond(&shared.lock().unwrap(), request)).await.unwrap();
        Self { state, stub }
    }

    pub fn url(&self) -> String {
        self.stub.url()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Creates a function with these environment variables.
    pub fn create_function(&self, name: &str, variables: &[(&str, &str)]) {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.state().functions.insert(name.to_owned(), Function { variables, ..Function::default() });
    }

    fn change(&self, function: &str, change: impl FnOnce(&mut Function)) {
        change(self.state().functions.get_mut(function).expect("no such function"));
    }

    pub fn set_variable(&self, function: &str, variable: &str, value: &str) {
        self.change(function, |function| {
            function.variables.insert(variable.to_owned(), value.to_owned());
        });
    }

    pub fn set_on_failure(&self, function: &str, queue: Option<&str>) {
        self.change(function, |function| function.on_failure = queue.map(queue_arn));
    }

    /// Gives the function a URL.
    pub fn set_url(&self, function: &str, url: &str) {
        self.change(function, |function| function.url = Some(url.to_owned()));
    }

    /// Lets only callers with AWS credentials use the function's URL.
    pub fn close_url(&self, function: &str) {
        self.change(function, |function| function.is_url_closed = true);
    }

    pub fn set_tag(&self, function: &str, tag: &str, value: &str) {
        self.change(function, |function| {
            function.tags.insert(tag.to_owned(), value.to_owned());
        });
    }

    /// Allows S3 to invoke the function for a bucket.
    pub fn allow_s3(&self, function: &str, bucket: &str) {
        let policy = json!({"Statement": [{"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"},
            "Action": "lambda:InvokeFunction", "Resource": function_arn(function),
            "Condition": {"ArnLike": {"AWS:SourceArn": format!("arn:aws:s3:::{bucket}")}}}]});
        self.change(function, |function| function.policy = Some(policy.to_string()));
    }

    /// Makes the function read a queue.
    pub fn map(&self, function: &str, queue: &str) {
        self.state().mappings.push((function.to_owned(), queue.to_owned()));
    }

    /// Deletes all event source mappings.
    pub fn unmap(&self) {
        self.state().mappings.clear();
    }

    /// Creates a rule whose target is a queue.
    pub fn add_rule(&self, rule: &str, bucket: &str, queue: &str) {
        let pattern =
            json!({"source": ["aws.s3"], "detail-type": ["Object Created"], "detail": {"bucket": {"name": [bucket]}}});
        self.state().rules.push((rule.to_owned(), queue_arn(queue), pattern.to_string()));
    }

    /// Creates a schedule that orders a sweep of a function, or replaces it.
    pub fn schedule(&self, name: &str, function: &str, enabled: bool) {
        self.schedule_with(name, function, enabled, Some(r#"{"sweep":{}}"#));
    }

    /// Creates a schedule that invokes a function with this input, or replaces it.
    pub fn schedule_with(&self, name: &str, function: &str, enabled: bool, input: Option<&str>) {
        let mut state = self.state();
        state.schedules.retain(|known| known.name != name);
        let (name, target, input) = (name.to_owned(), function_arn(function), input.map(str::to_owned));
        state.schedules.push(Schedule { name, target, enabled, input });
    }

    /// Creates a rule that invokes a function by the clock, with this input.
    pub fn add_timer(&self, rule: &str, function: &str, input: Option<&str>) {
        self.state().timers.push((rule.to_owned(), function_arn(function), input.map(str::to_owned)));
    }

    /// Deletes all schedules and timed rules.
    pub fn unschedule(&self) {
        let mut state = self.state();
        state.schedules.clear();
        state.timers.clear();
    }

    /// Denies all calls of an action, such as `lambda:GetPolicy`.
    pub fn deny(&self, action: &'static str) {
        self.state().denied.push(action);
    }

    /// Takes the permission for an action on a resource from a function's role.
    pub fn forbid(&self, function: &'static str, action: &'static str, resource: &'static str) {
        self.state().forbidden.push((function, action, resource));
    }

    pub fn allow_all(&self) {
        let mut state = self.state();
        state.denied.clear();
        state.forbidden.clear();
    }
}

type Response = (u16, &'static str, String);

fn respond(state: &State, request: &StubRequest) -> Response {
    let target = request.headers.get("x-amz-target").and_then(|value| value.to_str().ok());
    let (action, response) = match target {
        Some(target) => events(state, target, &serde_json::from_slice(&request.body).unwrap_or_default()),
        None if request.path == "/" => return iam(state, &request.body),
        None if request.path == "/schedules" => ("scheduler:ListSchedules", Some(schedules(state))),
        None if request.path.starts_with("/schedules/") => ("scheduler:GetSchedule", schedule(state, &request.path)),
        None => lambda(state, request),
    };
    if state.denied.contains(&action) {
        let message = format!("User: operator is not authorized to perform: {action}");
        return failed(403, "AccessDeniedException", &message);
    }
    match response {
        Some(found) => (200, "application/json", found.to_string()),
        None => failed(404, "ResourceNotFoundException", "It does not exist."),
    }
}

fn failed(status: u16, code: &str, message: &str) -> Response {
    (status, "application/json", json!({"__type": code, "code": code, "message": message}).to_string())
}

fn lambda(state: &State, request: &StubRequest) -> (&'static str, Option<Value>) {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let named = |text: &str| decoded(text).rsplit(':').next().unwrap_or_default().to_owned();
    let function = |text: &str| state.functions.get_key_value(&named(text));
    let parts: Vec<&str> = request.path.trim_matches('/').split('/').skip(1).collect();
    match parts.as_slice() {
        ["functions"] => {
            let all: Vec<_> = state.functions.iter().map(|(name, function)| configuration(name, function)).collect();
            ("lambda:ListFunctions", Some(json!({"Functions": all})))
        }
        ["functions", name] => {
            let tags =
                |of: &Function| if state.denied.contains(&"lambda:ListTags") { json!(null) } else { json!(of.tags) };
            let found =
                function(name).map(|(name, of)| json!({"Configuration": configuration(name, of), "Tags": tags(of)}));
            ("lambda:GetFunction", found)
        }
        ["functions", name, "configuration"] => {
            ("lambda:GetFunctionConfiguration", function(name).map(|(name, of)| configuration(name, of)))
        }
        ["functions", name, "url"] => {
            let found = function(name).and_then(|(_, function)| Some((function.url.clone()?, function.is_url_closed)));
            let found = found.map(|(url, is_closed)| {
                let kind = if is_closed { "AWS_IAM" } else { "NONE" };
                json!({"FunctionUrl": url, "FunctionArn": function_arn(&named(name)), "AuthType": kind,
                       "CreationTime": "2026-01-01T00:00:00Z"})
            });
            ("lambda:GetFunctionUrlConfig", found)
        }
        ["functions", name, "policy"] => {
            let policy = function(name).and_then(|(_, function)| function.policy.clone());
            ("lambda:GetPolicy", policy.map(|policy| json!({"Policy": policy})))
        }
        ["functions", name, "event-invoke-config"] => {
            let destination = function(name).and_then(|(_, function)| function.on_failure.clone());
            let config = destination.map(|arn| json!({"DestinationConfig": {"OnFailure": {"Destination": arn}}}));
            ("lambda:GetFunctionEventInvokeConfig", config)
        }
        ["event-source-mappings"] => {
            let query = decoded(&request.query);
            let asked = query.split('&').find_map(|part| part.split_once('='));
            let is_asked = |(function, queue): &&(String, String)| match asked {
                Some(("FunctionName", name)) => named(name) == *function,
                Some(("EventSourceArn", arn)) => named(arn) == *queue,
                _ => true,
            };
            let mappings: Vec<_> = state.mappings.iter().filter(is_asked).map(mapping).collect();
            ("lambda:ListEventSourceMappings", Some(json!({"EventSourceMappings": mappings})))
        }
        ["tags", arn] => ("lambda:ListTags", function(arn).map(|(_, function)| json!({"Tags": function.tags}))),
        _ => panic!("doctor only reads, and this is not known: {} {}", request.method, request.path),
    }
}

fn configuration(name: &str, function: &Function) -> Value {
    json!({"FunctionName": name, "FunctionArn": function_arn(name), "Role": format!("arn:aws:iam::{ACCOUNT}:role/{name}"), "Timeout": 5, "MemorySize": 128, "State": "Active",
           "Runtime": "provided.al2023", "LastUpdateStatus": "Successful", "Environment": {"Variables": function.variables}})
}

fn mapping((function, queue): &(String, String)) -> Value {
    json!({"UUID": format!("uuid-of-{queue}"), "EventSourceArn": queue_arn(queue), "FunctionArn": function_arn(function),
           "State": "Enabled", "BatchSize": 1000, "MaximumBatchingWindowInSeconds": 5,
           "FunctionResponseTypes": ["ReportBatchItemFailures"], "ScalingConfig": {"MaximumConcurrency": 2}})
}

fn events(state: &State, target: &str, input: &Value) -> (&'static str, Option<Value>) {
    match target {
        "AWSEvents.ListRuleNamesByTarget" => {
            let rules = state.rules.iter().filter(|(_, target, _)| input["TargetArn"] == **target);
            let timers = state.timers.iter().filter(|(_, target, _)| input["TargetArn"] == **target);
            let names: Vec<_> = rules.map(|(name, ..)| name).chain(timers.map(|(name, ..)| name)).collect();
            ("events:ListRuleNamesByTarget", Some(json!({"RuleNames": names})))
        }
        "AWSEvents.DescribeRule" => {
            let rule = state.rules.iter().find(|(name, ..)| input["Name"] == **name);
            let arn = |name: &str| format!("arn:aws:events:{REGION}:{ACCOUNT}:rule/{name}");
            let found = rule.map(|(name, _, pattern)| {
                json!({"Name": name, "Arn": arn(name), "State": "ENABLED", "EventPattern": pattern})
            });
            let timer = state.timers.iter().find(|(name, ..)| input["Name"] == **name);
            let timer = timer.map(|(name, ..)| {
                json!({"Name": name, "Arn": arn(name), "State": "ENABLED", "ScheduleExpression": "rate(15 minutes)"})
            });
            ("events:DescribeRule", found.or(timer))
        }
        "AWSEvents.ListTargetsByRule" => {
            let timer = state.timers.iter().find(|(name, ..)| input["Rule"] == **name);
            let found =
                timer.map(|(_, target, input)| json!({"Targets": [{"Id": "sweep", "Arn": target, "Input": input}]}));
            ("events:ListTargetsByRule", found)
        }
        _ => panic!("doctor only reads, and this is not known: {target}"),
    }
}

/// Responds to IAM's `SimulatePrincipalPolicy`, with the last part of the role's ARN as the function's name.
fn iam(state: &State, form: &[u8]) -> Response {
    let document = |status, contents: String| (status, "text/xml", contents);
    if state.denied.contains(&"iam:SimulatePrincipalPolicy") {
        let error =
            "<ErrorResponse><Error><Code>AccessDenied</Code><Message>not authorized</Message></Error></ErrorResponse>";
        return document(403, error.to_owned());
    }
    let url = Url::parse(&format!("http://iam/?{}", String::from_utf8_lossy(form))).unwrap();
    let field = |name: &str| url.query_pairs().find(|(field, _)| field == name).unwrap().1.into_owned();
    assert_eq!(field("Action"), "SimulatePrincipalPolicy", "doctor only reads, and this is not known");
    let (role, resource) = (field("PolicySourceArn"), field("ResourceArns.member.1"));
    let actions = url.query_pairs().filter(|(field, _)| field.starts_with("ActionNames.")).map(|(_, action)| action);
    let results = actions.map(|action| {
        let is_forbidden = state.forbidden.iter().any(|(function, forbidden, of)| {
            role.ends_with(&format!("/{function}")) && *forbidden == action && resource.ends_with(of)
        });
        let decision = if is_forbidden { "implicitDeny" } else { "allowed" };
        format!("<member><EvalActionName>{action}</EvalActionName><EvalDecision>{decision}</EvalDecision></member>")
    });
    let results: String = results.collect();
    document(
        200,
        format!(
            "<SimulatePrincipalPolicyResponse><SimulatePrincipalPolicyResult><EvaluationResults>{results}</EvaluationResults>\
         </SimulatePrincipalPolicyResult></SimulatePrincipalPolicyResponse>"
        ),
    )
}

fn summary(schedule: &Schedule) -> Value {
    let state = if schedule.enabled { "ENABLED" } else { "DISABLED" };
    json!({"Name": schedule.name, "GroupName": "sweep", "State": state, "Target": {"Arn": schedule.target}})
}

fn schedules(state: &State) -> Value {
    json!({"Schedules": state.schedules.iter().map(summary).collect::<Vec<_>>()})
}

fn schedule(state: &State, path: &str) -> Option<Value> {
    let found = state.schedules.iter().find(|schedule| path.ends_with(&format!("/{}", schedule.name)))?;
    let mut whole = summary(found);
    whole["Target"]["RoleArn"] = format!("arn:aws:iam::{ACCOUNT}:role/timer").into();
    whole["Target"]["Input"] = found.input.clone().into();
    whole["FlexibleTimeWindow"] = json!({"Mode": "OFF"});
    whole["ScheduleExpression"] = "rate(15 minutes)".into();
    Some(whole)
}
