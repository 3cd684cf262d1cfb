//! Checks whether FlexOrch writes into what the function watches: each export would be submitted again, for credits.

use std::sync::Arc;

use super::check::{Check, Fix, Unknown};
use super::commands::{Commands, quoted};
use super::coverage::Coverage;
use super::function::Function;
use super::name;
use super::subscriptions::Subscriptions;
use crate::management::{AutoExport, CallError, ConnectorView, Management, Webhook};
use flexorch_s3_ingester::ingest::route::Router;
use flexorch_s3_ingester::model::connector::Connector;
use flexorch_s3_ingester::model::credentials::ConnectorId;
use flexorch_s3_ingester::model::object::{ObjectKey, S3Object};
use flexorch_s3_ingester::model::scope::Scope;
use flexorch_s3_ingester::model::settings;

/// The file formats that an export may have if FlexOrch does not name it.
const FORMATS: [&str; 6] = ["xlsx", "xml", "csv", "json", "txt", "html"];

/// What FlexOrch writes into buckets.
#[derive(Debug)]
pub(crate) enum Exports {
    /// The webhooks that export, and the connectors that they may export through.
    Read(Vec<AutoExport>, Vec<ConnectorView>),
    /// It was not asked, for this reason.
    NotRead(String),
    Failed(CallError),
}

impl Default for Exports {
    fn default() -> Self {
        Self::NotRead("FlexOrch was not asked".to_owned())
    }
}

/// What the function watches, as far as it is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Watched<'a> {
    pub(crate) connector: Option<&'a Connector>,
    pub(crate) function: Option<&'a Function>,
    pub(crate) subscriptions: Option<Subscriptions<'a>>,
    /// FlexOrch's address.
    pub(crate) address: &'a str,
}

impl Exports {
    /// Finds the webhooks that export, and reads the connectors if one exports through another than `own`.
    pub(crate) async fn read(
        flexorch: &Management,
        webhooks: &Result<Vec<Webhook>, CallError>,
        own: Option<&ConnectorId>,
    ) -> Self {
        let exports: Vec<_> = match webhooks {
            Ok(webhooks) => webhooks.iter().filter_map(|webhook| webhook.export.clone()).collect(),
            // An API or a plan without webhooks has none that export.
            Err(error) if error.is_not_found() || error.is_plan() => Vec::new(),
            Err(error) => return Self::Failed(error.clone()),
        };
        if exports.iter().all(|export| is_own(export, own)) {
            return Self::Read(exports, Vec::new());
        }
        match flexorch.connectors().await {
            Ok(connectors) => Self::Read(exports, connectors),
            Err(error) => Self::Failed(error),
        }
    }

    /// Checks whether an export is in the watched scope.
    pub(crate) fn check(&self, watched: Watched<'_>, commands: &Commands) -> Check {
        Check::decided(name::EXPORTS, self.decide(watched, commands))
    }

    fn decide(&self, watched: Watched<'_>, commands: &Commands) -> Result<Check, Unknown> {
        let (exports, connectors) = match self {
            Self::Read(exports, connectors) => (exports, connectors),
            Self::NotRead(why) => return Ok(Check::skipped(name::EXPORTS, why.clone())),
            Self::Failed(error) => {
                let fix = Fix::new(error.hint(), list_command(watched.address));
                return Err(Unknown::new(error.without_hint(), fix));
            }
        };
        if exports.is_empty() {
            return Ok(Check::well(name::EXPORTS, "no webhook exports datasets into a bucket"));
        }
        let Some(connector) = watched.connector else {
            return Ok(Check::skipped(name::EXPORTS, "the secret does not describe a connector"));
        };
        let Some(bucket) = connector.bucket.as_deref() else {
            return Ok(Check::skipped(name::EXPORTS, "the secret names no bucket"));
        };
        let mut scope = watched.function.and_then(|function| function.config().ok()).map(|config| config.scope);
        if let Some(scope) = &mut scope
            && Coverage::of_prefixes(&scope.key_prefixes, &connector.prefix) == Coverage::Nothing
        {
            // A filter that excludes everything is broken, and will be fixed.
            scope.key_prefixes.clear();
        }
        let mut unclear = None;
        for export in exports {
            match bucket_of(export, connector, bucket, connectors) {
                Some(into) if into == bucket => {}
                Some(_) => continue,
                None => {
                    unclear = unclear.or(Some(export));
                    continue;
                }
            }
            if loops(export, connector, bucket, scope.as_ref(), watched.subscriptions.as_ref()) {
                return Ok(warning(export, connector, scope.as_ref(), watched, commands));
            }
        }
        match unclear {
            None => Ok(Check::well(name::EXPORTS, "no webhook exports datasets into the watched scope")),
            Some(export) => {
                let through = export.connector.as_ref().map_or_else(|| "?".to_owned(), ToString::to_string);
                Err(Unknown::new(
                    format!(
                        "webhook {} exports through connector {through}, whose bucket FlexOrch does not return",
                        export.webhook
                    ),
                    Fix::new("check at FlexOrch where it writes; to list the webhooks", list_command(watched.address)),
                ))
            }
        }
    }
}

fn is_own(export: &AutoExport, own: Option<&ConnectorId>) -> bool {
    // One is a number and the other its text in some of FlexOrch's responses.
    matches!((&export.connector, own), (Some(through), Some(own)) if through.to_string() == own.to_string())
}

/// Returns the bucket that an export is written into, if it is known.
fn bucket_of<'a>(
    export: &AutoExport,
    connector: &Connector,
    bucket: &'a str,
    connectors: &'a [ConnectorView],
) -> Option<&'a str> {
    if is_own(export, Some(&connector.id)) {
        return Some(bucket);
    }
    connectors.iter().find(|other| is_own(export, Some(&other.id)))?.bucket.as_deref()
}

/// Returns whether the function would submit an export. What is not known about it does not speak against it.
fn loops(
    export: &AutoExport,
    connector: &Connector,
    bucket: &str,
    scope: Option<&Scope>,
    subscriptions: Option<&Subscriptions<'_>>,
) -> bool {
    let unfiltered = Scope::default();
    let scope = scope.unwrap_or(&unfiltered);
    let connectors = [Arc::new(connector.clone())];
    let router = Router::new(&connectors, &[], scope);
    // An export's own prefix may be wider than what is watched.
    let narrower =
        scope.key_prefixes.iter().chain([&connector.prefix]).filter(|prefix| prefix.starts_with(&export.prefix));
    let starts = [&export.prefix].into_iter().chain(narrower);
    starts.flat_map(|start| sample_keys(start, export.format.as_deref())).any(|key| {
        // A notification that is broken now will be fixed.
        let is_notified = subscriptions.is_none_or(|all| !all.has_active() || !matches!(all.deliver(&key), Ok(None)));
        let in_scope =
            ObjectKey::verbatim(&key).is_ok_and(|key| router.route(&S3Object::new(bucket, key)).is_in_scope());
        is_notified && in_scope
    })
}

/// Returns keys that exports may have. FlexOrch does not document how it names them.
fn sample_keys(prefix: &str, format: Option<&str>) -> Vec<String> {
    let slash = if prefix.is_empty() || prefix.ends_with('/') { "" } else { "/" };
    let formats = format.map_or_else(|| FORMATS.to_vec(), |format| vec![format]);
    let extension = |format: &str| match format.trim_start_matches('.').to_lowercase().as_str() {
        "excel" => "xlsx".to_owned(),
        other => other.to_owned(),
    };
    formats.into_iter().map(|format| format!("{prefix}{slash}dataset.{}", extension(format))).collect()
}

fn warning(
    export: &AutoExport,
    connector: &Connector,
    scope: Option<&Scope>,
    watched: Watched<'_>,
    commands: &Commands,
) -> Check {
    let bucket = connector.bucket.as_deref().unwrap_or_default();
    let AutoExport { webhook, prefix, format, .. } = export;
    let format = format.as_deref().map(|format| format!("{format} ")).unwrap_or_default();
    let found = format!(
        "webhook {webhook} exports {format}datasets to s3://{bucket}/{prefix}, which the function watches: every export is submitted again, \
         a loop that costs credits"
    );
    // A pattern for the exports must not exclude everything else, too.
    let can_exclude = !connector.prefix.starts_with(prefix.as_str());
    let fix = match (watched.function, scope) {
        (Some(function), Some(scope)) if can_exclude => {
            let patterns = scope.key_excludes.iter().map(ToString::to_string).chain([format!("{prefix}*")]);
            let value = patterns.collect::<Vec<_>>().join(",");
            function.set(
                "export to another bucket or prefix, or exclude the exports",
                settings::KEY_EXCLUDES,
                &value,
                commands,
            )
        }
        _ => Fix::new("export to another bucket or prefix; to list the webhooks", list_command(watched.address)),
    };
    Check::warning(name::EXPORTS, found, fix)
}

fn list_command(address: &str) -> String {
    let url = quoted(&format!("{address}/webhooks"));
    format!("read -rsp 'API key: ' KEY && curl -sS -m 30 -H \"X-API-KEY: $KEY\" {url}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Status;

    fn connector() -> Connector {
        let secret = r#"{"api_key":"dfx_a","connector_id":42,"bucket":"docs","prefix":"in/"}"#;
        Connector::from_secret("docs", secret).unwrap()
    }

    fn export(prefix: &str, format: Option<&str>) -> AutoExport {
        AutoExport {
            webhook: "wh_1".into(),
            connector: Some(connector().id),
            format: format.map(str::to_owned),
            prefix: prefix.to_owned(),
        }
    }

    fn status(prefix: &str, format: Option<&str>, settings: &[(&str, &str)]) -> Check {
        let function = Function::with_settings(settings);
        let connector = connector();
        let watched = Watched {
            connector: Some(&connector),
            function: Some(&function),
            subscriptions: None,
            address: "http://f",
        };
        Exports::Read(vec![export(prefix, format)], Vec::new()).check(watched, &Commands::default())
    }

    #[test]
    fn an_export_into_the_watched_scope_is_a_loop_and_one_outside_of_it_is_not() {
        for (prefix, format, settings, expected) in [
            ("in/exports/", Some("xlsx"), &[][..], Status::Warning),
            ("in/exports", None, &[], Status::Warning),
            // Wider than what is watched.
            ("", Some("xml"), &[], Status::Warning),
            ("i", Some("xml"), &[], Status::Warning),
            ("exports/", Some("xlsx"), &[], Status::Well),
            ("in/exports/", Some("xlsx"), &[("KEY_EXCLUDES", "in/exports/*")], Status::Well),
            ("in/exports/", Some("xlsx"), &[("KEY_EXCLUDES", "in/other/*")], Status::Warning),
            ("in/exports/", Some("csv"), &[("KEY_SUFFIXES", ".pdf,.xlsx")], Status::Well),
            ("in/exports/", Some("xlsx"), &[("KEY_SUFFIXES", ".pdf,.xlsx")], Status::Warning),
            ("in/exports/", Some("xlsx"), &[("KEY_PREFIXES", "in/invoices/")], Status::Well),
            ("in/exports/", Some("xlsx"), &[("KEY_PREFIXES", "elsewhere/")], Status::Warning),
        ] {
            let found = status(prefix, format, settings);
            assert_eq!(found.status(), expected, "{prefix} {format:?} {settings:?}: {}", found.found);
        }
    }

    #[test]
    fn the_command_excludes_the_exports_and_keeps_what_is_excluded_already() {
        let found = status("in/exports/", None, &[("KEY_EXCLUDES", "*.tmp")]);
        assert!(found.command.unwrap().contains(r#".Variables.KEY_EXCLUDES = "*.tmp,in/exports/*""#));
    }

    #[test]
    fn an_export_through_another_connector_is_compared_by_its_bucket() {
        let through = |bucket: Option<&str>| {
            let json = serde_json::json!({"id": 7, "config": {"bucket": bucket}}).to_string();
            let view = ConnectorView::from_json(&serde_json::value::RawValue::from_string(json).unwrap()).unwrap();
            let export = AutoExport { connector: Some(view.id.clone()), ..export("in/", None) };
            let connector = connector();
            let watched =
                Watched { connector: Some(&connector), function: None, subscriptions: None, address: "http://f" };
            Exports::Read(vec![export], vec![view]).check(watched, &Commands::default()).status()
        };
        assert_eq!(through(Some("docs")), Status::Warning);
        assert_eq!(through(Some("archive")), Status::Well);
        assert_eq!(through(None), Status::Unknown);
    }
}
