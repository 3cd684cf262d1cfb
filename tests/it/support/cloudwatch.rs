//! CloudWatch, as far as the template's alarms use it: metrics from log lines, metric filters, and the states of alarms over
//! time.

use std::collections::BTreeMap;

use serde_json::Value;

use super::template::{Template, text};

/// Minutes since the beginning of a test, on its own clock.
pub type Minutes = f64;

/// Metrics over time, and the alarms on them.
pub struct CloudWatch {
    alarms: Vec<Alarm>,
    filters: Vec<MetricFilter>,
    points: BTreeMap<Metric, Vec<(Minutes, f64)>>,
}

/// A metric: namespace, name, and the template's name of the resource that its dimension names; empty without a dimension.
type Metric = (String, String, String);

/// An alarm as the template defines it.
struct Alarm {
    name: String,
    metric: Metric,
    statistic: String,
    /// Minutes.
    period: f64,
    periods: usize,
    datapoints: usize,
    threshold: f64,
    below: bool,
    missing: String,
}

/// A metric that counts matching log lines.
struct MetricFilter {
    /// The function whose log it reads.
    function: String,
    pattern: String,
    metric: Metric,
}

impl CloudWatch {
    /// The alarms that notify someone, and the metric filters, of a deployment with these parameters.
    pub fn of(parameters: &[(&str, &str)]) -> Self {
        let mut notified = vec![("AlarmEmail", "ops@example.com")];
        notified.extend(parameters);
        let template = Template::with(&notified);
        let alarms = template.resources("AWS::CloudWatch::Alarm");
        let alarms = alarms.iter().filter(|(_, alarm)| !alarm["AlarmActions"].is_null());
        let filters = template.resources("AWS::Logs::MetricFilter");
        let functions = template.resources("AWS::Serverless::Function");
        let function_of = |group: &Value| {
            let function = functions.iter().find(|(_, properties)| properties["LoggingConfig"]["LogGroup"] == *group);
            function.unwrap_or_else(|| panic!("no function logs to {group}")).0
        };
        let filter = |properties: &Value| MetricFilter::new(function_of(&properties["LogGroupName"]), properties);
        Self {
            alarms: alarms.map(|(name, properties)| Alarm::new(name, properties)).collect(),
            filters: filters.iter().map(|(_, properties)| filter(properties)).collect(),
            points: BTreeMap::new(),
        }
    }

    /// The metrics of a namespace and a resource that alarms watch.
    pub fn watched<'a>(&'a self, namespace: &'a str, resource: &'a str) -> impl Iterator<Item = &'a str> {
        let metrics = self.alarms.iter().map(|alarm| &alarm.metric);
        metrics
            .filter(move |(of, _, about)| (&**of, &**about) == (namespace, resource))
            .map(|(_, name, _)| name.as_str())
    }

    /// A value of a metric: namespace, name, and the template's name of the resource that it is about.
    pub fn record(&mut self, at: Minutes, (namespace, name, resource): (&str, &str, &str), value: f64) {
        let metric = (namespace.to_owned(), name.to_owned(), resource.to_owned());
        self.points.entry(metric).or_default().push((at, value));
    }

    /// A line of a function's log, by the function's name in the template: metrics in the embedded metric format, and what the metric
    /// filters make of it.
    pub fn log(&mut self, at: Minutes, function: &str, line: &str) {
        let Ok(line) = serde_json::from_str::<Value>(line) else { return };
        for filter in self.filters.iter().filter(|filter| filter.function == function) {
            if filter.matches(&line) {
                self.points.entry(filter.metric.clone()).or_default().push((at, 1.0));
            }
        }
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        for metric in directive["Metrics"].as_array().into_iter().flatten() {
            let name = metric["Name"].as_str().unwrap();
            let values = match &line[name] {
                Value::Array(values) => values.clone(),
                value => vec![value.clone()],
            };
            for value in values {
                let metric = (directive["Namespace"].as_str().unwrap(), name, function);
                self.record(at, metric, value.as_f64().unwrap());
            }
        }
    }

    /// When each alarm went on and off until `end`, by name: evaluated every minute, over windows that end there (CloudWatch User
    /// Guide, "Alarm evaluation window"). An alarm that was never on is not in it.
    pub fn states(&self, end: Minutes) -> BTreeMap<&str, Vec<(Minutes, bool)>> {
        let mut changes: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for alarm in &self.alarms {
            let mut on = false;
            let mut now = 1.0;
            while now <= end {
                let next = alarm.state(on, now, self.points.get(&alarm.metric).map_or(&[], Vec::as_slice));
                if next != on {
                    changes.entry(&alarm.name).or_default().push((now, next));
                }
                on = next;
                now += 1.0;
            }
        }
        changes
    }
}

impl Alarm {
    fn new(name: &str, properties: &Value) -> Self {
        assert!(properties["Metrics"].is_null(), "{name}: metric math is not evaluated here");
        let number = |member: &str| {
            let given = text(&properties[member]);
            given.parse::<f64>().unwrap_or_else(|error| panic!("{name}: {member} is {given}: {error}"))
        };
        let statistic = properties["Statistic"].as_str().or(properties["ExtendedStatistic"].as_str());
        let (period, periods) = (number("Period"), number("EvaluationPeriods"));
        // PutMetricAlarm: a day at most, and a week with periods of an hour or more.
        let longest = if period < 3600.0 { 86_400.0 } else { 604_800.0 };
        assert!(period * periods <= longest, "{name} looks further back than CloudWatch does");
        Self {
            name: name.to_owned(),
            metric: (
                text(&properties["Namespace"]),
                text(&properties["MetricName"]),
                resource(&properties["Dimensions"]),
            ),
            statistic: statistic.unwrap().to_owned(),
            period: period / 60.0,
            periods: periods as usize,
            datapoints: number("DatapointsToAlarm") as usize,
            threshold: number("Threshold"),
            below: properties["ComparisonOperator"] == "LessThanThreshold",
            missing: properties["TreatMissingData"].as_str().unwrap().to_owned(),
        }
    }

    /// Whether it is on, having been `on` (CloudWatch User Guide, "Configuring how CloudWatch alarms treat missing data").
    fn state(&self, on: bool, now: Minutes, points: &[(Minutes, f64)]) -> bool {
        let (mut breaching, mut missing) = (0, 0);
        for period in 0..self.periods {
            let end = now - period as f64 * self.period;
            let within = points.iter().filter(|(at, _)| (end - self.period..end).contains(at)).map(|(_, value)| *value);
            match self.statistic(within.collect()) {
                Some(value) if self.below => breaching += usize::from(value < self.threshold),
                Some(value) => breaching += usize::from(value > self.threshold),
                None if self.missing == "breaching" => breaching += 1,
                None => missing += 1,
            }
        }
        if breaching >= self.datapoints {
            return true;
        }
        // `ignore` keeps the state while what is missing could decide.
        self.missing == "ignore" && breaching + missing >= self.datapoints && on
    }

    fn statistic(&self, mut values: Vec<f64>) -> Option<f64> {
        values.sort_by(f64::total_cmp);
        let last = values.last().copied()?;
        Some(match self.statistic.as_str() {
            "Sum" => values.iter().sum(),
            "Maximum" => last,
            "p90" => values[(values.len() * 9 / 10).min(values.len() - 1)],
            other => panic!("unknown statistic {other}"),
        })
    }
}

impl MetricFilter {
    fn new(function: &str, properties: &Value) -> Self {
        let transformation = &properties["MetricTransformations"][0];
        assert_eq!(transformation["MetricValue"], "1");
        let (namespace, name) = (text(&transformation["MetricNamespace"]), text(&transformation["MetricName"]));
        let dimension = &transformation["Dimensions"][0]["Value"];
        assert!(dimension.is_null() || dimension == "$.FunctionName", "{name}: dimension {dimension}");
        Self {
            function: function.to_owned(),
            pattern: properties["FilterPattern"].as_str().unwrap().to_owned(),
            metric: (namespace, name, if dimension.is_null() { String::new() } else { function.to_owned() }),
        }
    }

    /// Whether a line matches (CloudWatch Logs User Guide, "Filter pattern syntax for metric filters"): comparisons joined by
    /// `&&`, or by
    /// `||`.
    fn matches(&self, line: &Value) -> bool {
        let pattern = self.pattern.trim().trim_start_matches('{').trim_end_matches('}');
        if pattern.contains("||") {
            return pattern.split("||").any(|comparison| compare(comparison, line));
        }
        pattern.split("&&").all(|comparison| compare(comparison, line))
    }
}

/// The template's name of the resource that a metric's only dimension names.
fn resource(dimensions: &Value) -> String {
    let Some(dimensions) = dimensions.as_array().filter(|dimensions| !dimensions.is_empty()) else {
        return String::new();
    };
    let [dimension] = &dimensions[..] else { panic!("one dimension: {dimensions:?}") };
    let value = &dimension["Value"];
    // `!Ref` is the name already; `!GetAtt` is followed by the attribute.
    let name = text(value.get("Fn::GetAtt").unwrap_or(value));
    name.split('.').next().unwrap_or_default().to_owned()
}

/// A comparison, as in `($.ObjectsDeferred > 0)` or `($.message = "panicked*")`. What is not in the line matches nothing.
fn compare(comparison: &str, line: &Value) -> bool {
    let comparison = comparison.trim().trim_start_matches('(').trim_end_matches(')');
    let (selector, rest) = comparison.split_once(' ').unwrap();
    let (operator, constant) = rest.split_once(' ').unwrap();
    let pointer = selector.trim_start_matches('$').replace(['.', '['], "/").replace(']', "");
    let Some(value) = line.pointer(&pointer) else { return false };
    if let Some(prefix) = constant.strip_prefix('"') {
        let prefix = prefix.trim_end_matches('"');
        let given = value.as_str().unwrap_or_default();
        return prefix.strip_suffix('*').map_or(given == prefix, |prefix| given.starts_with(prefix));
    }
    let (Some(value), constant) = (value.as_f64(), constant.parse::<f64>().unwrap()) else { return false };
    match operator {
        "=" => value == constant,
        ">" => value > constant,
        other => panic!("unknown operator {other}"),
    }
}
