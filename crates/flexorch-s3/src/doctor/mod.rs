//! `flexorch-s3 doctor`: the whole chain, link by link. Why is my document not there?
//!
//! ```text
//!  bucket ──▶ notification ──▶ function ◀──▶ retry queue ──▶ dead letters
//!                                  │
//!                secret ──▶ API key, connector ──▶ FlexOrch
//! ```
//!
//! What is there is read, side by side where it can be; then it is judged, which needs nobody.
//!
//! | file | its part |
//! | --- | --- |
//! | `check`, `report` | what a look found, and how it is shown |
//! | `commands` | the next command, whole |
//! | `aws` | one question to AWS at a time, within a bounded time |
//! | `subject`, `secret` | the connector, as its secret describes it |
//! | `flexorch`, `bucket` | the two ends |
//! | `delivery` | what is between them, read |
//! | `function`, `mapping`, `queue`, `letters` | each link on AWS: read, and judged by itself |
//! | `notification`, `told` | how uploads are told: read; judged |
//! | `object` | one object on its way |
//! | `reach`, `pattern` | what filters and rules let through |

mod aws;
mod bucket;
mod check;
mod commands;
mod delivery;
mod flexorch;
mod function;
mod letters;
mod mapping;
mod notification;
mod object;
mod pattern;
mod queue;
mod reach;
mod report;
mod secret;
mod subject;
mod told;

use anyhow::{Context as _, Result};

use super::args::DoctorOptions;
use super::context::Context;
use aws::Aws;
use commands::Commands;
use delivery::{Asked, Delivery};
use subject::Subject;

use flexorch_s3_ingester::model::object::ObjectKey;

/// The checks' names, in the order of the report.
mod name {
    pub(super) const SECRET: &str = "secret";
    pub(super) const FIELDS: &str = "secret's fields";
    pub(super) const FLEXORCH: &str = "FlexOrch";
    pub(super) const API_KEY: &str = "API key";
    pub(super) const PLAN: &str = "plan";
    pub(super) const CONNECTOR: &str = "connector";
    pub(super) const TEST: &str = "connector test";
    pub(super) const BUCKET: &str = "bucket";
    pub(super) const FUNCTION: &str = "function";
    pub(super) const SETTINGS: &str = "settings";
    pub(super) const ITS_SECRET: &str = "function's secret";
    pub(super) const ADDRESS: &str = "FlexOrch's address";
    pub(super) const FILTERS: &str = "filters";
    pub(super) const TIME: &str = "time";
    pub(super) const NOTIFICATION: &str = "notification";
    pub(super) const PERMISSION: &str = "permission";
    pub(super) const FAILED_NOTIFICATIONS: &str = "failed notifications";
    pub(super) const BATCHES: &str = "batches";
    pub(super) const PACE: &str = "pace";
    pub(super) const RETRY_QUEUE: &str = "retry queue";
    pub(super) const DEAD_LETTER_QUEUE: &str = "dead-letter queue";
    pub(super) const WAITING: &str = "waiting";
    pub(super) const LETTERS: &str = "dead letters";
    pub(super) const OBJECT: &str = "object";
    pub(super) const OBJECT_SCOPE: &str = "object's scope";
    pub(super) const OBJECT_TOLD: &str = "object's notification";
    pub(super) const OBJECT_FATE: &str = "object's fate";
    pub(super) const OF_SETTINGS: [&str; 4] = [ITS_SECRET, ADDRESS, FILTERS, TIME];
}

/// Runs the command: exit status 3 where a check failed. Without AWS credentials, a region or a usable address nothing can be
/// looked at, and that is the command's own failure.
pub(super) async fn run(options: &DoctorOptions, context: &Context) -> Result<u8> {
    let key = options.key.as_deref().map(ObjectKey::verbatim).transpose().context("--key cannot be an object's key")?;
    let address = context.flexorch_url()?.as_str().trim_end_matches('/').to_owned();
    let (store, home) = (context.secrets().await?, context.region().await?);
    let aws = Aws::new(context.aws().await?);
    let commands = Commands::new(&context.given_options(), home.clone());
    let (mut checks, document) = secret::look(&store, &options.secret.secret, &commands).await;
    let subject = Subject::new(&options.secret.secret, document.as_ref());
    let api_key = document.as_ref().and_then(|secret| secret.api_key().ok());
    let flexorch = api_key.map(|key| context.flexorch(key)).transpose()?;
    let connector = document.as_ref().and_then(|secret| secret.as_connector().ok());
    let (seen, (bucket, delivery)) = tokio::join!(
        flexorch::look(flexorch.as_ref(), &address, document.as_ref(), &subject, &commands, context.output),
        async {
            let (bucket, region) = bucket::look(&aws, &subject, &home, &commands).await;
            let region = region.as_deref().or(subject.region.as_deref());
            let asked =
                Asked { region, function: options.function.as_deref(), key, bucket_is_there: !bucket.has_failed() };
            (bucket, Delivery::read(&aws, &subject, asked).await)
        }
    );
    checks.extend(seen.checks);
    checks.push(bucket);
    checks.extend(delivery.checks(&subject, &address, seen.rate.as_ref(), &commands));
    checks.extend(delivery.object_checks(&subject, connector.as_ref(), &commands));
    report::print(&checks, context.output)
}
