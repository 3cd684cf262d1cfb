//! The checks of a `NotificationConfiguration` (S3 API Reference, `PutBucketNotificationConfiguration`). Pure, and written
//! independently of any client that a test runs against it.

use percent_encoding::percent_decode_str;
use roxmltree::{Document, Node};

use super::error::S3Error;

/// The elements of a configuration that have a destination, and in each the element that holds its ARN.
const ENTRIES: [(&str, &str); 3] =
    [("QueueConfiguration", "Queue"), ("TopicConfiguration", "Topic"), ("CloudFunctionConfiguration", "CloudFunction")];

/// One notification of a bucket.
struct Notification {
    destination: String,
    events: Vec<String>,
    prefix: String,
    suffix: String,
}

/// Checks a configuration before it is stored. `refused_destination` is the ARN of one that does not allow S3 to send.
///
/// # Errors
///
/// `MalformedXML`, or `InvalidArgument` for notifications that overlap and for the refused destination.
pub(super) fn check(xml: &str, refused_destination: Option<&str>) -> Result<(), S3Error> {
    let notifications = parse(xml).ok_or_else(S3Error::malformed_xml)?;
    for (at, one) in notifications.iter().enumerate() {
        if let Some(other) = notifications.iter().skip(at + 1).find(|other| one.overlaps(other)) {
            return Err(S3Error::overlapping_notifications(one.is_filtered() || other.is_filtered()));
        }
    }
    match refused_destination.filter(|arn| notifications.iter().any(|one| one.destination == **arn)) {
        Some(arn) => Err(S3Error::destination_refused(arn)),
        None => Ok(()),
    }
}

/// Parses the notifications; `None` for anything that S3's schema does not have.
fn parse(xml: &str) -> Option<Vec<Notification>> {
    let document = Document::parse(xml).ok()?;
    let root = document.root_element();
    if root.tag_name().name() != "NotificationConfiguration" {
        return None;
    }
    let mut notifications = Vec::new();
    for entry in elements(root) {
        let name = entry.tag_name().name();
        if name != "EventBridgeConfiguration" {
            let (_, arn) = ENTRIES.into_iter().find(|(entry, _)| *entry == name)?;
            notifications.push(notification(entry, arn)?);
        }
    }
    Some(notifications)
}

fn notification(entry: Node<'_, '_>, arn: &str) -> Option<Notification> {
    let (mut destination, mut events, mut prefix, mut suffix) = (None, Vec::new(), String::new(), String::new());
    for child in elements(entry) {
        match child.tag_name().name() {
            "Id" => {}
            "Event" => events.push(text(child)),
            name if name == arn => destination = Some(text(child)),
            "Filter" => {
                for rule in elements(child).filter(|key| is(key, "S3Key")).flat_map(elements) {
                    let part = |name| elements(rule).find(|part| is(part, name)).map(text);
                    let value = decoded(&part("Value")?);
                    match part("Name")?.to_ascii_lowercase().as_str() {
                        "prefix" => prefix = value,
                        "suffix" => suffix = value,
                        _ => return None,
                    }
                }
            }
            _ => return None,
        }
    }
    Some(Notification { destination: destination?, events, prefix, suffix })
}

impl Notification {
    fn is_filtered(&self) -> bool {
        !self.prefix.is_empty() || !self.suffix.is_empty()
    }

    /// Returns whether the two have an event type and a possible key in common.
    fn overlaps(&self, other: &Self) -> bool {
        let covers =
            |wide: &str, narrow: &str| wide == narrow || narrow.starts_with(wide.strip_suffix('*').unwrap_or("\0"));
        let share_an_event = self.events.iter().any(|a| other.events.iter().any(|b| covers(a, b) || covers(b, a)));
        share_an_event
            && (self.prefix.starts_with(&other.prefix) || other.prefix.starts_with(&self.prefix))
            && (self.suffix.ends_with(&other.suffix) || other.suffix.ends_with(&self.suffix))
    }
}

/// Returns whether an element has this name, in any namespace: not all clients write S3's.
fn is(node: &Node<'_, '_>, name: &str) -> bool {
    node.tag_name().name() == name
}

fn elements<'a, 'input>(node: Node<'a, 'input>) -> impl Iterator<Item = Node<'a, 'input>> {
    node.children().filter(Node::is_element)
}

fn text(node: Node<'_, '_>) -> String {
    node.text().unwrap_or_default().to_owned()
}

/// A filter's value, which clients percent-encode, with `+` for a space.
fn decoded(value: &str) -> String {
    percent_decode_str(&value.replace('+', " ")).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(events: &[&str], rules: &[(&str, &str)]) -> String {
        let events: String = events.iter().map(|event| format!("<Event>s3:{event}</Event>")).collect();
        let rules: String = rules
            .iter()
            .map(|(name, value)| format!("<FilterRule><Name>{name}</Name><Value>{value}</Value></FilterRule>"))
            .collect();
        format!(
            "<QueueConfiguration><Id>x</Id><Queue>arn:q</Queue>{events}<Filter><S3Key>{rules}</S3Key></Filter>\
             </QueueConfiguration>"
        )
    }

    fn refused(entries: &[String]) -> Option<&'static str> {
        let xml = format!("<NotificationConfiguration>{}</NotificationConfiguration>", entries.concat());
        check(&xml, None).err().map(|error| error.code)
    }

    #[test]
    fn notifications_overlap_if_an_event_and_a_key_could_be_for_both() {
        let all = entry(&["ObjectCreated:*"], &[]);
        let images = |suffix| entry(&["ObjectCreated:Put"], &[("Prefix", "images/"), ("suffix", suffix)]);
        let removals = entry(&["ObjectRemoved:*"], &[("prefix", "images/")]);
        assert_eq!(refused(&[all.clone(), removals.clone()]), None);
        assert_eq!(refused(&[images(".jpg"), images(".png"), removals]), None);
        assert_eq!(refused(&[all, images(".jpg")]), Some("InvalidArgument"));
        assert_eq!(refused(&[images("a.jpg"), images(".jpg")]), Some("InvalidArgument"));
        let spaces = ["a+b", "a%20b"].map(|prefix| entry(&["ObjectCreated:Put"], &[("prefix", prefix)]));
        assert_eq!(refused(&spaces), Some("InvalidArgument"));
    }

    #[test]
    fn what_the_schema_does_not_have_is_malformed() {
        for entries in [
            "<QueueConfiguration><Event>s3:ObjectCreated:*</Event></QueueConfiguration>",
            "<QueueConfiguration><Topic>arn:t</Topic></QueueConfiguration>",
            "<PigeonConfiguration/>",
            "<QueueConfiguration>",
            &entry(&["ObjectCreated:*"], &[("infix", "a")]),
        ] {
            assert_eq!(refused(&[entries.to_owned()]), Some("MalformedXML"), "{entries}");
        }
        assert_eq!(refused(&["<EventBridgeConfiguration/>".to_owned()]), None);
        assert_eq!(check("<Notifications/>", None).unwrap_err().code, "MalformedXML");
    }

    #[test]
    fn a_destination_that_does_not_allow_s3_is_refused() {
        let xml = format!("<NotificationConfiguration>{}</NotificationConfiguration>", entry(&["Replication:*"], &[]));
        assert_eq!(check(&xml, Some("arn:q")).unwrap_err().code, "InvalidArgument");
        assert!(check(&xml, Some("arn:other")).is_ok());
    }
}
