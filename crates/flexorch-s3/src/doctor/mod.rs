//! `flexorch-s3 doctor`: checks everything between the bucket and FlexOrch. Why is my document not there?
//!
//! ```text
//!  bucket ──▶ notification ──▶ function ◀──▶ retry queue ──▶ dead letters
//!                                  │
//!                secret ──▶ API key, connector ──▶ FlexOrch
//! ```
//!
//! FlexOrch and AWS are asked concurrently, each call with a time limit, and each check is printed when its result is known: a service that
//! does not respond hides only what depends on it. The checks are pure functions of what was read. What could not be read is an error ([`check::Unknown`]) from which neither a pass nor a diagnosis follows.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `check`, `name`, `report` | a check's result with its fix; the checks' names; the printed report |
//! | `aws` | clients for each region, and calls with a time limit |
//! | `subject`, `secret` | the connector, as its secret describes it |
//! | `flexorch`, `bucket` | checks of FlexOrch and of the bucket |
//! | `block` | why FlexOrch takes nothing until someone acts |
//! | `delivery` | reads and reports everything between them, link by link |
//! | `find`, `own_queue` | which function it is, and which queue is the function's own |
//! | `function`, `mapping`, `queue`, `dead_letters` | read and check one AWS resource each |
//! | `waiting` | checks what waits in the retry queue, and why |
//! | `settings` | checks the function's settings against the connector |
//! | `notification`, `subscriptions` | read and check how uploads are notified |
//! | `exports` | checks whether FlexOrch writes into what the function watches |
//! | `object` | checks of one object |
//! | `tracking` | reads and checks what records the documents' results, and an object's record |
//! | `coverage`, `pattern` | which keys filters and rules match |

mod aws;
mod block;
mod bucket;
mod check;
mod coverage;
mod dead_letters;
mod delivery;
mod exports;
mod find;
mod flexorch;
mod function;
mod mapping;
mod name;
mod notification;
mod object;
mod own_queue;
mod pattern;
mod queue;
mod report;
mod secret;
mod settings;
mod subject;
mod subscriptions;
mod tracking;
mod waiting;

use anyhow::{Context as _, Result};
use tokio::time::Instant;

use crate::args::DoctorOptions;
use crate::commands;
use crate::context::Context;
use crate::exit::Exit;
use aws::Aws;
use check::Check;
use commands::{Commands, quoted};
use delivery::Request;
use report::Report;
use subject::Subject;

use flexorch_s3_ingester::model::arn::region_of;
use flexorch_s3_ingester::model::object::ObjectKey;

/// Runs the command. The exit status is 3 if a check failed or could not be made.
///
/// # Errors
/// Without AWS credentials, a region or a valid base URL, because then nothing can be checked.
pub(crate) async fn run(options: &DoctorOptions, context: &Context) -> Result<Exit> {
    let key = options.key.as_deref().map(ObjectKey::verbatim).transpose().context("--key is not a valid object key")?;
    context.flexorch_url()?;
    let home = context.region().await?;
    let commands = Commands::new(&context.given_options(), home.clone());
    let report = Report::new(context.output, key.is_some());
    let work = check_all(options, key.as_ref(), &home, context, &commands, &report);
    // What is not finished by then stays unknown.
    if let Ok(result) = tokio::time::timeout(options.timeout, work).await {
        result?;
    }
    let option = |name: &str, value: &Option<String>| {
        value.as_deref().map(|value| format!(" {name} {}", quoted(value))).unwrap_or_default()
    };
    let again = commands.own(format_args!(
        "doctor --secret {}{}{} --timeout 5m",
        quoted(&options.secret.secret),
        option("--function", &options.function),
        option("--key", &options.key)
    ));
    report.conclude(|name| Check::out_of_time(name, options.timeout, &again))
}

async fn check_all(
    options: &DoctorOptions,
    key: Option<&ObjectKey>,
    home: &str,
    context: &Context,
    commands: &Commands,
    report: &Report,
) -> Result<()> {
    let address = context.flexorch_url()?.as_str().trim_end_matches('/').to_owned();
    let patience = Instant::now() + options.timeout * 3 / 4;
    let aws = Aws::new(context.aws().await?, options.timeout);
    let secrets = context.secrets().await?;
    // The AWS CLI, unlike this program, does not select the region of an ARN.
    let of_secret = &commands.in_region(region_of(&options.secret.secret).unwrap_or(home));
    let (checks, secret) = secret::check(&aws, &secrets, &options.secret.secret, of_secret).await;
    report.add(checks);
    let subject = Subject::new(&options.secret.secret, &secret);
    let api_key = secret.document().and_then(|secret| secret.api_key().ok());
    let flexorch = api_key.map(|key| context.flexorch(key)).transpose()?;
    let request = Request {
        aws: &aws,
        secret: &secret,
        subject: &subject,
        home,
        address: &address,
        function: options.function.as_deref(),
        key,
        now: context.now(),
        secrets: &secrets,
        commands,
        of_secret,
        report,
    };
    let (findings, answers) = flexorch::channel(patience);
    tokio::join!(
        flexorch::check(flexorch.as_ref(), &address, &secret, &subject, of_secret, report, findings),
        request.run(answers)
    );
    Ok(())
}
