//! `flexorch-s3 letters export`: a JSON document per line.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context as _, Result};
use aws_sdk_sqs::types::Message;
use serde_json::{Map, Value, json};

use super::filter::{Filter, Purpose};
use super::letter::{DeadLetter, attributes, group};
use super::locate::Located;
use super::survey::visit_all;
use super::{list, report};
use crate::args::ExportOptions;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::{SUCCESS, styled};
use crate::stop::Stop;
use flexorch_s3_ingester::model::message::AttributeValue;

pub(crate) async fn run(options: ExportOptions, context: &Context, stop: &Stop) -> Result<Exit> {
    let Some(located) = stop.unless_requested(Located::find(&options.queue, context)).await.transpose()? else {
        return Ok(Exit::Interrupted);
    };
    let queue = &located.queue;
    report::notes(queue, context.output);
    let mut writer = open(options.output.as_deref())?;
    let place =
        options.output.as_deref().map_or_else(|| "standard output".to_owned(), |path| path.display().to_string());
    let filter = Filter::new(options.selection, Purpose::Read, context.now());
    let mut written = 0_usize;
    let is_whole = visit_all(queue, stop, context.output, |message| {
        let (letter, objects) = DeadLetter::read(message);
        if filter.selects(&letter, &objects) {
            written += 1;
            writeln!(writer, "{}", line(&letter, message)).with_context(|| format!("cannot write to {place}"))?;
        }
        Ok(())
    })
    .await?;
    writer.flush().with_context(|| format!("cannot write to {place}"))?;
    let done = styled(SUCCESS, "✓");
    context.output.progress(format!(
        "{done} {} written to {place}; all stay in {}",
        report::letters(written),
        queue.name()
    ));
    // Standard output has the letters themselves.
    if options.output.is_some() {
        context.output.document(&json!({"queue": report::queue_json(queue), "letters": written, "output": place}))?;
    }
    Ok(if is_whole { Exit::Success } else { list::interrupted(context) })
}

fn open(path: Option<&Path>) -> Result<BufWriter<Box<dyn Write>>> {
    let target: Box<dyn Write> = match path {
        None => Box::new(std::io::stdout()),
        Some(path) => Box::new(File::create_new(path).with_context(|| {
            format!("cannot create {} (an existing file is not overwritten); nothing was read", path.display())
        })?),
    };
    Ok(BufWriter::new(target))
}

fn line(letter: &DeadLetter, message: &Message) -> Value {
    let mut document = report::letter_json(letter);
    document["body"] = message.body().unwrap_or_default().into();
    let attributes = attributes(message).into_iter().map(|attribute| {
        let value = match &attribute.value {
            AttributeValue::Text(text) => json!({"type": attribute.data_type, "value": text}),
            AttributeValue::Base64(bytes) => json!({"type": attribute.data_type, "base64": bytes}),
        };
        (attribute.name, value)
    });
    document["attributes"] = attributes.collect::<Map<_, _>>().into();
    if let Some(group) = group(message, true) {
        document["group"] = json!({"id": group.id, "deduplication_id": group.deduplication_id});
    }
    document
}
