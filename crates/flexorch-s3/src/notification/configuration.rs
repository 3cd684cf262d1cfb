//! S3's XML, `NotificationConfiguration`, entry by entry. Each keeps the text that it was read from and is written back with it,
//! so that nothing which is not ours can come out different.

use std::fmt;

use roxmltree::{Document, Node};

use super::filter::{Filter, decoded, encoded, event_covers};
use super::{OBJECT_CREATED, OWN, digest};

const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";
const ROOT: &str = "NotificationConfiguration";
const EVENT_BRIDGE: &str = "EventBridgeConfiguration";

/// What tells of events besides EventBridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Service {
    /// A Lambda function.
    Function,
    /// An SQS queue.
    Queue,
    /// An SNS topic.
    Topic,
}

impl Service {
    const ALL: [Self; 3] = [Self::Function, Self::Queue, Self::Topic];

    /// The element of an entry, and the one in it that holds the ARN (S3 API Reference, `PutBucketNotificationConfiguration`).
    const fn elements(self) -> (&'static str, &'static str) {
        match self {
            Self::Function => ("CloudFunctionConfiguration", "CloudFunction"),
            Self::Queue => ("QueueConfiguration", "Queue"),
            Self::Topic => ("TopicConfiguration", "Topic"),
        }
    }

    /// As people say it.
    pub(in super::super) const fn name(self) -> &'static str {
        match self {
            Self::Function => "function",
            Self::Queue => "queue",
            Self::Topic => "topic",
        }
    }
}

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Destination {
    /// What kind of thing it is.
    pub service: Service,
    /// Its ARN.
    pub arn: String,
}

/// An entry with a destination of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Notification {
    /// Its Id. S3 makes one up where none is given.
    pub id: String,
    /// What is told.
    pub destination: Destination,
    /// The event types, in their order.
    pub events: Vec<String>,
    /// The keys that it is for.
    pub filter: Filter,
}

impl Notification {
    /// The one that `attach` makes. Its Id says what it is, so that it is found again, whoever looks.
    pub(in super::super) fn own(destination: Destination, filter: Filter) -> Self {
        let id = format!("{OWN}{}", digest(&[&destination.arn, &filter.prefix, &filter.suffix]));
        Self { id, destination, events: vec![OBJECT_CREATED.to_owned()], filter }
    }

    /// Whether `attach` made it.
    pub(in super::super) fn is_own(&self) -> bool {
        self.id.starts_with(OWN)
    }

    /// Whether S3 refuses the two in one bucket: they have an event type and keys in common.
    pub(in super::super) fn overlaps(&self, other: &Self) -> bool {
        let share_an_event =
            self.events.iter().any(|a| other.events.iter().any(|b| event_covers(a, b) || event_covers(b, a)));
        share_an_event && self.filter.overlaps(&other.filter)
    }

    /// Whether it tells of objects that come to be in this way, such as `Put`.
    pub(in super::super) fn tells_of_created(&self, how: &str) -> bool {
        let event = format!("s3:ObjectCreated:{how}");
        self.events.iter().any(|wide| event_covers(wide, &event))
    }

    /// Whether this one tells the same destination of all that the other would.
    pub(super) fn delivers_all_of(&self, other: &Self) -> bool {
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

/// One entry of a configuration.
#[derive(Debug, Clone)]
pub(in super::super) struct Entry {
    /// What it says; `None` for the one that switches EventBridge on.
    pub notification: Option<Notification>,
    /// Its XML as it came, or as it will be written.
    pub xml: String,
}

impl Entry {
    /// An entry that is not in the configuration yet.
    pub(super) fn new(notification: Notification) -> Self {
        Self { xml: notification.to_xml(), notification: Some(notification) }
    }

    /// The one that switches EventBridge on.
    pub(super) fn event_bridge() -> Self {
        Self { xml: format!("<{EVENT_BRIDGE}></{EVENT_BRIDGE}>"), notification: None }
    }
}

/// Entries are the same that say the same, however they are written.
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

/// All of a bucket's notifications.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Configuration {
    /// In the order that they were read in.
    pub entries: Vec<Entry>,
}

/// Why a configuration cannot be worked on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum ConfigurationError {
    /// The XML has no form.
    #[error("it is no XML document: {0}")]
    NotXml(String),
    /// Something that S3 did not have when this was written.
    #[error("<{within}> holds {what}, which this version does not know")]
    Unknown {
        /// The element around it.
        within: String,
        /// An element, a namespace or a filter rule.
        what: String,
    },
    /// An entry lacks what every entry has.
    #[error("a <{within}> has no <{element}>")]
    Missing {
        /// The entry.
        within: String,
        /// What it lacks.
        element: &'static str,
    },
}

impl Configuration {
    /// Reads S3's XML, all of it, so that it can be written back.
    ///
    /// # Errors
    /// Where something in it is not known here.
    pub(in super::super) fn parse(xml: &str) -> Result<Self, ConfigurationError> {
        let mut unknown = Unknown::default();
        let configuration = Self::read(xml, &mut unknown)?;
        unknown.first.map_or(Ok(configuration), Err)
    }

    /// Reads what is known here of S3's XML: enough to judge it by, not to write it back.
    ///
    /// # Errors
    /// Where it is no configuration.
    pub(in super::super) fn glean(xml: &str) -> Result<Self, ConfigurationError> {
        Self::read(xml, &mut Unknown::default())
    }

    fn read(xml: &str, unknown: &mut Unknown) -> Result<Self, ConfigurationError> {
        let document = Document::parse(xml).map_err(|error| ConfigurationError::NotXml(error.to_string()))?;
        let root = document.root_element();
        let name = root.tag_name().name();
        if name != ROOT {
            return Err(ConfigurationError::Unknown { within: "the document".to_owned(), what: format!("<{name}>") });
        }
        // An entry is written back under another root, where a prefix that this one declares would mean nothing.
        if let Some(prefix) = root.namespaces().find_map(|namespace| namespace.name()) {
            unknown.note(ROOT, format!("the namespace {prefix:?}"));
        }
        let nodes = root.children().filter(Node::is_element);
        let entries: Result<_, _> = nodes.filter_map(|node| entry(node, xml, unknown).transpose()).collect();
        Ok(Self { entries: entries? })
    }

    /// The XML that S3 takes.
    pub(in super::super) fn to_xml(&self) -> String {
        let entries: String = self.entries.iter().map(|entry| entry.xml.as_str()).collect();
        format!("<{ROOT} xmlns=\"{NAMESPACE}\">{entries}</{ROOT}>")
    }

    /// The entries that have a destination.
    pub(in super::super) fn notifications(&self) -> impl Iterator<Item = &Notification> {
        self.entries.iter().filter_map(|entry| entry.notification.as_ref())
    }

    /// Whether EventBridge is told of everything.
    pub(in super::super) fn has_event_bridge(&self) -> bool {
        self.entries.iter().any(|entry| entry.notification.is_none())
    }

    /// Whether another one says the same, in whatever order.
    pub(in super::super) fn says_the_same_as(&self, other: &Self) -> bool {
        self.entries.len() == other.entries.len()
            && self.entries.iter().all(|entry| other.entries.contains(entry))
            && other.entries.iter().all(|entry| self.entries.contains(entry))
    }
}

/// The first thing in a document that is not known here.
#[derive(Debug, Default)]
struct Unknown {
    first: Option<ConfigurationError>,
}

impl Unknown {
    fn note(&mut self, within: &str, what: String) {
        self.first.get_or_insert_with(|| ConfigurationError::Unknown { within: within.to_owned(), what });
    }

    /// The elements in an element that are known.
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
    let (mut id, mut told, mut events, mut filter) = (String::new(), None, Vec::new(), Filter::default());
    for child in unknown.children(node, &["Id", arn, "Event", "Filter"]) {
        match child.tag_name().name() {
            "Id" => id = content(child),
            "Event" => events.push(content(child)),
            "Filter" => filter = read_filter(child, unknown),
            _ => told = Some(content(child)),
        }
    }
    let Some(arn) = told else {
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
            // S3 answers `Prefix` to who wrote `prefix`.
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
