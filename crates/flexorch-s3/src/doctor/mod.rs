//! `flexorch-s3 doctor`: checks everything between the bucket and FlexOrch. Why is my document not there?
//!
//! ```text
//!  bucket ──▶ notification ──▶ function ◀──▶ retry queue ──▶ dead letters
//!                                  │
//!                secret ──▶ API key, connector ──▶ FlexOrch
//! ```
//!
//! First everything is read, concurrently if possible; the checks are pure functions of what was read.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `check`, `name`, `report` | a check's result with its fix; the checks' names; the printed report |
//! | `aws` | clients for each region, and calls with a time limit |
//! | `subject`, `secret` | the connector, as its secret describes it |
//! | `flexorch`, `bucket` | checks of FlexOrch and of the bucket |
//! | `delivery` | reads everything between them, and checks it |
//! | `function`, `mapping`, `queue`, `dead_letters` | read and check one AWS resource each |
//! | `notification`, `subscriptions` | read and check how uploads are notified |
//! | `object` | checks of one object |
//! | `coverage`, `pattern` | which keys filters and rules match |

mod aws;
mod bucket;
mod check;
mod coverage;
mod dead_letters;
mod delivery;
mod flexorch;
mod function;
mod mapping;
mod name;
mod notification;
mod object;
mod pattern;
mod queue;
mod report;
mod secret;
mod subject;
mod subscriptions;

use anyhow::{Context as _, Result};

use crate::args::DoctorOptions;
use crate::commands;
use crate::context::Context;
use crate::exit::Exit;
use aws::Aws;
use commands::Commands;
use delivery::{Delivery, Request};
use subject::Subject;

use flexorch_s3_ingester::model::object::ObjectKey;

/// Runs the command. The exit status is 3 if a check failed.
///
/// # Errors
/// Without AWS credentials, a region or a valid base URL, because then nothing can be checked.
pub(crate) async fn run(options: &DoctorOptions, context: &Context) -> Result<Exit> {
    let key = options.key.as_deref().map(ObjectKey::verbatim).transpose().context("--key is not a valid object key")?;
    let address = context.flexorch_url()?.as_str().trim_end_matches('/').to_owned();
    let (store, home) = (context.secrets().await?, context.region().await?);
    let aws = Aws::new(context.aws().await?);
    let commands = Commands::new(&context.given_options(), home.clone());
    let (mut checks, document) = secret::check(&store, &options.secret.secret, &commands).await;
    let subject = Subject::new(&options.secret.secret, document.as_ref());
    let api_key = document.as_ref().and_then(|secret| secret.api_key().ok());
    let flexorch = api_key.map(|key| context.flexorch(key)).transpose()?;
    let connector = document.as_ref().and_then(|secret| secret.as_connector().ok());
    let (flexorch, (bucket, delivery)) = tokio::join!(
        flexorch::check(flexorch.as_ref(), &address, document.as_ref(), &subject, &commands, context.output),
        async {
            let (bucket, region) = bucket::check(&aws, &subject, &home, &commands).await;
            let region = region.as_deref().or(subject.region.as_deref());
            let request =
                Request { region, function: options.function.as_deref(), key, bucket_exists: !bucket.has_failed() };
            (bucket, Delivery::read(&aws, &subject, request).await)
        }
    );
    checks.extend(flexorch.checks);
    checks.push(bucket);
    checks.extend(delivery.checks(&subject, &address, flexorch.rate.as_ref(), &commands));
    checks.extend(delivery.object_checks(&subject, connector.as_ref(), &commands));
    report::print(&checks, context.output)
}
