//! `flexorch-s3 schedule …`: FlexOrch's Scheduled Sync, for polling as a safety net.

use anyhow::{Result, anyhow, bail};
use serde_json::json;

use crate::args::{ScheduleAction, ScheduleId};
use crate::commands::{Commands, quoted};
use crate::context::Context;
use crate::exit::Exit;
use crate::management::{CallError, Management, Schedule, moment};
use crate::output::{SUCCESS, confirm, styled};
use crate::text::{escaped, table, text_of};
use flexorch_s3_ingester::model::connector::Connector;

pub(crate) async fn run(action: ScheduleAction, context: &Context) -> Result<Exit> {
    let commands = context.commands();
    match action {
        ScheduleAction::Create(options) => {
            let (connector, flexorch) = open(&options.secret.secret, context).await?;
            let made = flexorch.create_schedule(&connector.id, &options.cron, options.prefix.as_deref()).await;
            let made = match made {
                Err(error) if error.error.status == 429 => return Err(explain_429(error, &flexorch).await),
                made => made.map_err(with_plans)?,
            };
            context.output.line(format!(
                "{} schedule {} created: FlexOrch lists {} at {} (UTC)",
                styled(SUCCESS, "✓"),
                id_of(&made),
                scope(&made, &connector),
                escaped(made.cron_expression.as_deref().unwrap_or(&options.cron)),
            ))?;
            context.output.document(&json!({"schedule": made}))?;
        }
        ScheduleAction::List(secret) => {
            let (connector, flexorch) = open(&secret.secret, context).await?;
            let schedules = flexorch.schedules(&connector.id).await.map_err(with_plans)?;
            print_list(&schedules, &connector, context)?;
        }
        ScheduleAction::Trigger(which) => {
            let (connector, flexorch) = open(&which.secret.secret, context).await?;
            let run = flexorch
                .trigger_schedule(&connector.id, &which.schedule)
                .await
                .map_err(|e| explain(e, &which, &commands))?;
            let status = escaped(run.status.as_deref().unwrap_or("started"));
            context.output.line(format!(
                "{} schedule {} started: {status}",
                styled(SUCCESS, "✓"),
                escaped(&which.schedule)
            ))?;
            context.output.document(&json!({"run": run}))?;
        }
        ScheduleAction::Logs(which) => print_runs(&which, context).await?,
        ScheduleAction::Delete(options) => {
            let which = &options.which;
            let (connector, flexorch) = open(&which.secret.secret, context).await?;
            let schedules = flexorch.schedules(&connector.id).await.map_err(with_plans)?;
            let Some(schedule) = schedules.iter().find(|schedule| id_of(schedule) == which.schedule) else {
                bail!("{}", unknown(which, &commands));
            };
            let cron = escaped(schedule.cron_expression.as_deref().unwrap_or("no cron expression"));
            let question =
                format!("Delete schedule {} ({cron}), which lists {}?", which.schedule, scope(schedule, &connector));
            confirm(options.yes, &question, "nothing was deleted")?;
            flexorch
                .delete_schedule(&connector.id, &which.schedule)
                .await
                .map_err(|error| explain(error, which, &commands))?;
            context.output.line(format!("{} schedule {} deleted", styled(SUCCESS, "✓"), escaped(&which.schedule)))?;
            context.output.document(&json!({"deleted": schedule}))?;
        }
    }
    Ok(Exit::Success)
}

async fn open(secret_id: &str, context: &Context) -> Result<(Connector, Management)> {
    let connector = context.connector(secret_id).await?;
    let flexorch = context.flexorch(connector.api_key.clone())?;
    Ok((connector, flexorch))
}

/// What each plan allows (FlexOrch documentation, "Scheduled Sync").
const PLANS: &str = "the plan does not allow this schedule: none on Trial, one run a day on Starter (such as '0 2 * * *'), any on Pro \
                     and Enterprise";

/// Adds to a refusal that the plan causes what each plan allows.
fn with_plans(error: CallError) -> anyhow::Error {
    let is_plan = error.is_plan();
    let error = anyhow::Error::from(error);
    if is_plan { error.context(PLANS) } else { error }
}

/// Explains a 429 response to a new schedule: FlexOrch refuses a too short interval with the code of its rate limit. The rate tells them
/// apart.
async fn explain_429(error: CallError, flexorch: &Management) -> anyhow::Error {
    match flexorch.rate_limits().await {
        Ok(rate) if rate.has_room() => anyhow!("{PLANS}. FlexOrch, {}: {}", error.call, error.error),
        _ => error.into(),
    }
}

fn explain(error: CallError, which: &ScheduleId, commands: &Commands) -> anyhow::Error {
    match error.is_not_found() {
        true => anyhow::Error::msg(unknown(which, commands)),
        false => with_plans(error),
    }
}

fn unknown(which: &ScheduleId, commands: &Commands) -> String {
    format!(
        "the connector has no schedule {}: `{}` lists its schedules",
        escaped(&which.schedule),
        commands.own(format_args!("schedule list --secret {}", quoted(&which.secret.secret)))
    )
}

fn id_of(schedule: &Schedule) -> String {
    schedule.id.as_str().map_or_else(|| schedule.id.to_string(), str::to_owned)
}

fn scope(schedule: &Schedule, connector: &Connector) -> String {
    let prefix = schedule.prefix_filter.as_deref().unwrap_or(&connector.prefix);
    format!("s3://{}/{}", escaped(connector.bucket.as_deref().unwrap_or("…")), escaped(prefix))
}

fn print_list(schedules: &[Schedule], connector: &Connector, context: &Context) -> Result<()> {
    if schedules.is_empty() {
        context.output.line(format!("Connector {} has no schedules.", connector.id))?;
    } else {
        let mut rows = table(["ID", "CRON (UTC)", "LISTS", "ACTIVE", "LAST RUN", "NEXT RUN"]);
        for schedule in schedules {
            let date = |text: &Option<String>| text.as_deref().map_or_else(|| "-".to_owned(), moment);
            rows.add_row([
                id_of(schedule),
                escaped(schedule.cron_expression.as_deref().unwrap_or("-")),
                scope(schedule, connector),
                schedule.is_active.map_or("-", |active| if active { "yes" } else { "no" }).to_owned(),
                date(&schedule.last_run_at),
                date(&schedule.next_run_at),
            ]);
        }
        context.output.line(text_of(&rows).trim_end())?;
    }
    context.output.document(&json!({"schedules": schedules}))
}

async fn print_runs(which: &ScheduleId, context: &Context) -> Result<()> {
    let (connector, flexorch) = open(&which.secret.secret, context).await?;
    let runs = flexorch.schedule_runs(&connector.id, &which.schedule).await;
    let runs = runs.map_err(|error| explain(error, which, &context.commands()))?;
    if runs.is_empty() {
        context.output.line(format!("Schedule {} has not run yet.", escaped(&which.schedule)))?;
    } else {
        let mut rows = table(["STARTED", "STATUS", "FOUND", "NEW", "SKIPPED", "FAILED", "ERROR"]);
        for run in &runs {
            let number = |count: Option<u64>| count.map_or_else(|| "-".to_owned(), |count| count.to_string());
            rows.add_row([
                run.started_at.as_deref().map_or_else(|| "-".to_owned(), moment),
                escaped(run.status.as_deref().unwrap_or("-")),
                number(run.files_found),
                number(run.files_new),
                number(run.files_skipped),
                number(run.files_failed),
                escaped(run.error_message.as_deref().unwrap_or_default()),
            ]);
        }
        context.output.line(text_of(&rows).trim_end())?;
    }
    context.output.document(&json!({"runs": runs}))
}
