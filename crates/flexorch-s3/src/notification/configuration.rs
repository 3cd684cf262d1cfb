//! S3's XML, `NotificationConfiguration`, entry by entry. Each entry keeps the text that it was read from and is written back with it,
//! so that entries of others cannot change.

use std::fmt;

use roxmltree::{Document, Node};

use super::filter::{Filter, decoded, encoded, event_covers};
use super::own::{PREFIX, digest};

const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";
const ROOT: &str = "NotificationConfiguration";
/// The event type of all operations that create an object (S3 User Guide, "Supported event types for SQS, SNS, and Lambda").
const OBJECT_CREATED: &str = "s3:ObjectCreated:*";
const EVENT_BRIDGE: &str = "EventBridgeConfiguration";

/// The kind of a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    /// A Lambda function.
    Function,
    /// An SQS queue.
    Queue,
    /// An SNS topic.
    Topic,
}

impl Service {
    const ALL: [Self; 3] = [Self::Function, Self::Queue, Self::Topic];

    /// Returns the element of an entry, and the element in it that contains the ARN (S3 API Reference, `PutBucketNotificationConfiguration`).
    const fn elements(self) -> (&'static str, &'static str) {
        match self {
            Self::Function => ("CloudFunctionConfiguration", "CloudFunction"),
            Self::Queue => ("QueueConfiguration", "Queue"),
            Self::Topic => ("TopicConfiguration", "Topic"),
        }
    }

    /// Returns its name in messages.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Function => "function",
            Self::Queue => "queue",
            Self::Topic => "topic",
        }
    }
}

/// A resource that S3 notifies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Destination {
    pub(crate) service: Service,
    pub(crate) arn: String,
}

/// An entry for a function, queue or topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notification {
    /// Its Id. S3 generates one if none is given.
    pub(crate) id: String,
    /// The resource that is notified.
    pub(crate) destination: Destination,
    /// The event types, in order.
    pub(crate) events: Vec<String>,
    /// The keys that it matches.
    pub(crate) filter: Filter,
}

impl Notification {
    /// Creates the notification that `attach` adds. Its Id follows from its contents, so that it is found again.
    pub(crate) fn own(destination: Destination, filter: Filter) -> Self {
        let id = format!("{PREFIX}{}", digest(&[&destination.arn, &filter.prefix, &filter.suffix]));
        Self { id, destination, events: vec![OBJECT_CREATED.to_owned()], filter }
    }

    /// Returns whether `attach` added it.
    pub(crate) fn is_own(&self) -> bool {
        self.id.starts_with(PREFIX)
    }

    /// Returns whether S3 refuses both in one bucket because they share event types and keys.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        let share_an_event =
            self.events.iter().any(|a| other.events.iter().any(|b| event_covers(a, b) || event_covers(b, a)));
        share_an_event && self.filter.overlaps(&other.filter)
    }

    /// Returns whether it matches objects that were created by this operation, such as `Put`.
    pub(crate) fn matches_created(&self, operation: &str) -> bool {
        let event = format!("s3:ObjectCreated:{operation}");
        self.events.iter().any(|wide| event_covers(wide, &event))
    }

    /// Returns whether it has the other's destination and matches every event that the other matches.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.destination == other.destination
            && other.events.iter().all(|narrow| self.events.iter().any(|wide| event_covers(wide, narrow)))
            && self.filter.covers(&other.filter)
    }

    fn to_xml(&self) -> String {
        let (entry, arn) = self.destination.service.elements();
        let mut xml = format!("<{entry}>{}{}", element("Id", &self.id), element(arn, &self.destination.arn));
        self.events.iter().for_each(|event| xml.push_str(&element("Event", event)));
        let rules: String = [("prefix", &self.filter.prefix), ("suffix", &self.filter.suffix)]
            .into_iter()
            .filter(|(_, text)| !text.is_empty())
            .map(|(name, text)| {
                format!("<FilterRule>{}{}</FilterRule>", element("Name", name), element("Value", &encoded(text)))
            })
            .collect();
        if !rules.is_empty() {
            xml.push_str(&format!("<Filter><S3Key>{rules}</S3Key></Filter>"));
        }
        xml + &format!("</{entry}>")
    }
}

impl fmt::Display for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, destination: Destination { service, arn }, events, filter } = self;
        write!(f, "{} {arn}  {}  {filter}  (id {id})", service.name(), events.join(","))
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Its contents; `None` for the entry that enables EventBridge.
    pub(crate) notification: Option<Notification>,
    /// Its XML, as read or as it will be written.
    pub(crate) xml: String,
}

impl Entry {
    pub(crate) fn new(notification: Notification) -> Self {
        Self { xml: notification.to_xml(), notification: Some(notification) }
    }

    /// Creates the entry that enables EventBridge.
    pub(crate) fn event_bridge() -> Self {
        Self { xml: format!("<{EVENT_BRIDGE}></{EVENT_BRIDGE}>"), notification: None }
    }
}

/// Compares the contents of entries, not their XML.
impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.notification == other.notification
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.notification {
            Some(notification) => notification.fmt(f),
            None => f.write_str("EventBridge  all events"),
        }
    }
}

/// A bucket's notification configuration.
#[derive(Debug, Clone, Default)]
pub(crate) struct Configuration {
    /// The entries, in the order in which S3 returned them.
    pub(crate) entries: Vec<Entry>,
}

/// Why a configuration cannot be processed.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(crate) enum ConfigurationError {
    /// It is not well-formed XML.
    #[error("not an XML document")]
    NotXml(#[source] roxmltree::Error),
    /// It contains something that S3 did not support when this was written.
    #[error("<{within}> contains {what}, which this version does not support")]
    Unknown {
        /// The element around it.
        within: String,
        /// An element, a namespace or a filter rule.
        what: String,
    },
    /// An entry lacks a required element.
    #[error("a <{within}> has no <{element}>")]
    Missing {
        /// The entry.
        within: String,
        /// The missing element.
        element: &'static str,
    },
}

impl Configuration {
    /// Parses S3's XML completely, so that it can be written back.
    ///
    /// # Errors
    /// If anything in it is not known here.
    pub(crate) fn parse(xml: &str) -> Result<Self, ConfigurationError> {
        let mut unknown = Unknown::default();
        let configuration = Self::read(xml, &mut unknown)?;
        unknown.first.map_or(Ok(configuration), Err)
    }

    /// Parses the known parts of S3's XML, for reading only.
    pub(crate) fn parse_lenient(xml: &str) -> Result<Self, ConfigurationError> {
        Self::read(xml, &mut Unknown::default())
    }

    fn read(xml: &str, unknown: &mut Unknown) -> Result<Self, ConfigurationError> {
        let document = Document::parse(xml).map_err(ConfigurationError::NotXml)?;
        let root = document.root_element();
        let name = root.tag_name().name();
        if name != ROOT {
            return Err(ConfigurationError::Unknown { within: "the document".to_owned(), what: format!("<{name}>") });
        }
        // Entries are written back under another root, where a prefix that this one declares is undefined.
        if let Some(prefix) = root.namespaces().find_map(|namespace| namespace.name()) {
            unknown.note(ROOT, format!("the namespace {prefix:?}"));
        }
        let nodes = root.children().filter(Node::is_element);
        let entries: Result<_, _> = nodes.filter_map(|node| entry(node, xml, unknown).transpose()).collect();
        Ok(Self { entries: entries? })
    }

    /// Returns the XML to write.
    pub(crate) fn to_xml(&self) -> String {
        let entries: String = self.entries.iter().map(|entry| entry.xml.as_str()).collect();
        format!("<{ROOT} xmlns=\"{NAMESPACE}\">{entries}</{ROOT}>")
    }

    /// Returns the entries that have a destination.
    pub(crate) fn notifications(&self) -> impl Iterator<Item = &Notification> {
        self.entries.iter().filter_map(|entry| entry.notification.as_ref())
    }

    /// Returns whether EventBridge is enabled.
    pub(crate) fn has_event_bridge(&self) -> bool {
        self.entries.iter().any(|entry| entry.notification.is_none())
    }

    /// Returns whether another configuration has the same entries, in any order.
    pub(crate) fn is_equivalent_to(&self, other: &Self) -> bool {
        self.entries.len() == other.entries.len()
            && self.entries.iter().all(|entry| other.entries.contains(entry))
            && other.entries.iter().all(|entry| self.entries.contains(entry))
    }
}

/// Records the first unknown part of a document.
#[derive(Debug, Default)]
struct Unknown {
    first: Option<ConfigurationError>,
}

impl Unknown {
    fn note(&mut self, within: &str, what: String) {
        self.first.get_or_insert_with(|| ConfigurationError::Unknown { within: within.to_owned(), what });
    }

    /// Returns the known child elements, and records an unknown one.
    fn children<'a, 'input>(&mut self, node: Node<'a, 'input>, known: &[&str]) -> Vec<Node<'a, 'input>> {
        let is_known = |child: &Node<'a, 'input>| known.contains(&child.tag_name().name());
        let (found, odd): (Vec<_>, Vec<_>) = node.children().filter(Node::is_element).partition(is_known);
        if let Some(odd) = odd.first() {
            self.note(node.tag_name().name(), format!("<{}>", odd.tag_name().name()));
        }
        found
    }
}

fn entry(node: Node<'_, '_>, text: &str, unknown: &mut Unknown) -> Result<Option<Entry>, ConfigurationError> {
    let name = node.tag_name().name();
    let xml = text.get(node.range()).unwrap_or_default().to_owned();
    if name == EVENT_BRIDGE {
        unknown.children(node, &[]);
        return Ok(Some(Entry { notification: None, xml }));
    }
    let Some(service) = Service::ALL.into_iter().find(|service| service.elements().0 == name) else {
        unknown.note(ROOT, format!("<{name}>"));
        return Ok(None);
    };
    let arn = service.elements().1;
    let (mut id, mut destination, mut events, mut filter) = (String::new(), None, Vec::new(), Filter::default());
    for child in unknown.children(node, &["Id", arn, "Event", "Filter"]) {
        match child.tag_name().name() {
            "Id" => id = content(child),
            "Event" => events.push(content(child)),
            "Filter" => filter = read_filter(child, unknown),
            _ => destination = Some(content(child)),
        }
    }
    let Some(arn) = destination else {
        return Err(ConfigurationError::Missing { within: name.to_owned(), element: arn });
    };
    let destination = Destination { service, arn };
    Ok(Some(Entry { notification: Some(Notification { id, destination, events, filter }), xml }))
}

fn read_filter(node: Node<'_, '_>, unknown: &mut Unknown) -> Filter {
    let mut filter = Filter::default();
    for key in unknown.children(node, &["S3Key"]) {
        for rule in unknown.children(key, &["FilterRule"]) {
            let (mut name, mut value) = (String::new(), String::new());
            for child in unknown.children(rule, &["Name", "Value"]) {
                match child.tag_name().name() {
                    "Name" => name = content(child),
                    _ => value = content(child),
                }
            }
            // S3 returns `Prefix` if `prefix` was written.
            match name.to_ascii_lowercase().as_str() {
                "prefix" => filter.prefix = decoded(&value),
                "suffix" => filter.suffix = decoded(&value),
                _ => unknown.note("FilterRule", format!("the name {name:?}")),
            }
        }
    }
    filter
}

fn content(node: Node<'_, '_>) -> String {
    node.text().unwrap_or_default().to_owned()
}

fn element(name: &str, text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!("<{name}>{text}</{name}>")
}
