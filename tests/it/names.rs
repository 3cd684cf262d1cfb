//! One name, one place: the README, the template and the function use the same settings and metrics.

use std::collections::BTreeSet;

use flexorch_s3_ingester::model::{metrics, settings};

use crate::support::template::{Template, text};

fn readme() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap()
}

/// The text between two others.
fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(start).unwrap_or_else(|| panic!("no {start:?}"));
    rest.split_once(end).unwrap_or_else(|| panic!("no {end:?} after {start:?}")).0
}

/// What is written in backticks, in this order.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn the_readme_lists_the_functions_settings() {
    let readme = readme();
    let table = between(&readme, "| variable | default | meaning |\n", "\n\n");
    let variables: Vec<_> = table.lines().skip(1).flat_map(|row| quoted(row.split('|').nth(1).unwrap())).collect();
    assert_eq!(variables, settings::ALL);
}

/// The settings that the template sets only if documents are tracked.
const OF_TRACKING: &[&str] = &[settings::RECEIPTS_QUEUE_URL];

#[test]
fn the_template_sets_the_functions_settings_and_no_others() {
    let function = Template::with(&[]).resource("AWS::Serverless::Function", "Ingester");
    let mut set: BTreeSet<_> = function["Environment"]["Variables"].as_object().unwrap().keys().cloned().collect();
    set.extend(OF_TRACKING.iter().map(|name| (*name).to_owned()));
    let known: BTreeSet<_> = settings::ALL.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(set, known);
}

#[test]
fn the_readme_lists_the_functions_metrics() {
    let readme = readme();
    let paragraph = between(&readme, "Metrics use CloudWatch's embedded metric format", "\n\n");
    let named: BTreeSet<_> = quoted(paragraph).into_iter().collect();
    let known = metrics::ALL.iter().copied().chain([metrics::NAMESPACE, "FunctionName"]).collect::<BTreeSet<_>>();
    assert_eq!(named, known);
}

/// The metrics of the namespace that the template's alarms, metric filters and dashboard use, and those that its filters make.
fn used_and_made(template: &Template) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut used, mut made) = (BTreeSet::new(), BTreeSet::new());
    for (_, filter) in template.resources("AWS::Logs::MetricFilter") {
        let pattern = text(&filter["FilterPattern"]);
        let fields =
            pattern.split("$.").skip(1).map(|rest| rest.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap());
        // The other fields are those of log lines.
        used.extend(fields.filter(|field| field.starts_with(char::is_uppercase)).map(str::to_owned));
        made.insert(text(&filter["MetricTransformations"][0]["MetricName"]));
    }
    for (_, alarm) in template.resources("AWS::CloudWatch::Alarm") {
        if alarm["Namespace"] == metrics::NAMESPACE {
            used.insert(text(&alarm["MetricName"]));
        }
    }
    let (_, dashboard) = template.resources("AWS::CloudWatch::Dashboard").remove(0);
    let body = text(&dashboard["DashboardBody"]["Fn::Sub"]).replace("${PlanRequestsPerMinute}", "60");
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    for widget in body["widgets"].as_array().unwrap() {
        let mut namespace = String::new();
        for metric in widget["properties"]["metrics"].as_array().into_iter().flatten() {
            // A point repeats what the metric before has in this place.
            if metric[0].is_string() && metric[0] != "." && metric[0] != "..." {
                namespace = text(&metric[0]);
            }
            if namespace == metrics::NAMESPACE && metric[0] != "..." {
                used.insert(text(&metric[1]));
            }
        }
    }
    (used, made)
}

#[test]
fn alarms_filters_and_dashboard_use_metrics_that_exist() {
    let (used, made) = used_and_made(&Template::with(&[("ExpectUploadsWithinHours", "24")]));
    let known: BTreeSet<_> = metrics::ALL.iter().map(|name| (*name).to_owned()).chain(made).collect();
    assert!(used.len() > 10, "{used:?}");
    assert!(used.is_subset(&known), "{:?}", used.difference(&known));
}

#[test]
fn alarms_and_dashboard_of_tracking_use_metrics_that_its_page_names() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/tracking.md")).unwrap();
    let table = between(&page, "| metric | |\n", "\n\n");
    let named: BTreeSet<_> = table.lines().skip(1).map(|row| quoted(row)[0].to_owned()).collect();
    let (without, _) = used_and_made(&Template::with(&[]));
    let (with, _) = used_and_made(&Template::with(&[("Tracking", "true"), ("FlexOrchWebhook", "true")]));
    let of_tracking: BTreeSet<_> = with.difference(&without).cloned().collect();
    assert_eq!(of_tracking, named);
}
