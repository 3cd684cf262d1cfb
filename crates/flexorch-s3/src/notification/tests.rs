//! What holds for every configuration.

use proptest::prelude::*;

use super::*;

fn s3_xml(entries: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<NotificationConfiguration \
         xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{entries}</NotificationConfiguration>"
    )
}

fn queue(arn: &str) -> Destination {
    Destination { service: Service::Queue, arn: arn.to_owned() }
}

fn service() -> impl Strategy<Value = Service> {
    prop_oneof![Just(Service::Function), Just(Service::Queue), Just(Service::Topic)]
}

fn filter() -> impl Strategy<Value = Filter> {
    let part = "[ab/é &<%+]{0,3}";
    (part, part).prop_map(|(prefix, suffix)| Filter::new(&prefix, &suffix).unwrap())
}

fn events() -> impl Strategy<Value = Vec<String>> {
    let event = prop::sample::select(vec![
        "s3:ObjectCreated:*",
        "s3:ObjectCreated:Put",
        "s3:ObjectCreated:Copy",
        "s3:ObjectRemoved:*",
        "s3:ObjectRemoved:Delete",
    ]);
    prop::collection::vec(event.prop_map(str::to_owned), 1..3)
}

fn notification() -> impl Strategy<Value = Notification> {
    ("[a-z<&]{1,8}", service(), "[a-c]", events(), filter()).prop_map(|(id, service, name, events, filter)| {
        let destination = Destination { service, arn: format!("arn:aws:x:eu-west-1:123456789012:{name}") };
        Notification { id, destination, events, filter }
    })
}

fn configuration() -> impl Strategy<Value = Configuration> {
    (prop::collection::vec(notification(), 0..6), any::<bool>()).prop_map(|(notifications, event_bridge)| {
        let mut entries: Vec<_> = notifications.into_iter().map(Entry::new).collect();
        if event_bridge {
            entries.insert(entries.len() / 2, Entry::event_bridge());
        }
        Configuration { entries }
    })
}

fn own() -> impl Strategy<Value = Notification> {
    (service(), "[a-c]", filter()).prop_map(|(service, name, filter)| {
        let destination = Destination { service, arn: format!("arn:aws:x:eu-west-1:123456789012:{name}") };
        Notification::own(destination, filter)
    })
}

fn texts(configuration: &Configuration) -> Vec<&str> {
    configuration.entries.iter().map(|entry| entry.xml.as_str()).collect()
}

proptest! {
    #[test]
    fn what_is_written_is_read_as_it_was_meant(configuration in configuration()) {
        let read = Configuration::parse(&configuration.to_xml()).unwrap();
        prop_assert_eq!(texts(&read), texts(&configuration));
        prop_assert_eq!(&read.entries, &configuration.entries);
        prop_assert!(read.is_equivalent_to(&configuration));
    }

    #[test]
    fn attaching_keeps_all_others_and_detaching_gives_back_what_was_there(configuration in configuration(), own in own()) {
        if let Ok(change) = attach(&configuration, &own) {
            prop_assert!(change.removed.is_empty());
            let attached = Configuration::parse(&change.configuration().to_xml()).unwrap();
            prop_assert_eq!(&texts(&attached)[..configuration.entries.len()], &texts(&configuration)[..]);
            let again = attach(&attached, &own).unwrap();
            prop_assert!(again.is_empty(), "twice is not once");
            let detached = detach(&attached, &Selector::default()).configuration();
            prop_assert_eq!(texts(&detached), texts(&configuration));
        }
    }

    #[test]
    fn an_added_notification_overlaps_with_nothing(configuration in configuration(), own in own()) {
        match attach(&configuration, &own) {
            Ok(change) if change.is_empty() => {}
            Ok(_) => prop_assert!(!configuration.notifications().any(|there| there.overlaps(&own))),
            Err(others) => prop_assert!(!others.is_empty() && others.iter().all(|other| other.overlaps(&own))),
        }
    }

    #[test]
    fn overlap_is_mutual_and_a_notification_overlaps_with_itself(a in notification(), b in notification()) {
        prop_assert_eq!(a.overlaps(&b), b.overlaps(&a));
        prop_assert!(a.overlaps(&a));
    }

    #[test]
    fn filters_that_match_the_same_key_overlap(a in notification(), b in notification(), key in "[ab/é &<%+]{0,4}") {
        let passes = |filter: &Filter| key.starts_with(&filter.prefix) && key.ends_with(&filter.suffix);
        let event = "s3:ObjectCreated:Put";
        let tells = |it: &Notification| it.events.iter().any(|wide| filter::event_covers(wide, event)) && passes(&it.filter);
        if tells(&a) && tells(&b) {
            prop_assert!(a.overlaps(&b));
        }
    }

    #[test]
    fn switching_event_bridge_touches_nothing_else(configuration in configuration()) {
        let was_on = configuration.has_event_bridge();
        let on = switch_event_bridge(&configuration, true);
        prop_assert_eq!(on.is_empty(), was_on);
        prop_assert!(on.configuration().has_event_bridge());
        let off = switch_event_bridge(&on.configuration(), false).configuration();
        prop_assert!(!off.has_event_bridge());
        let others: Vec<_> = configuration.entries.iter().filter(|entry| entry.notification.is_some()).collect();
        prop_assert_eq!(off.entries.iter().map(|entry| &entry.xml).collect::<Vec<_>>(), others.iter().map(|entry| &entry.xml).collect::<Vec<_>>());
    }
}

const QUEUE: &str = "<QueueConfiguration>\n  <Event>s3:ObjectCreated:Put</Event><Id>orders</Id>\
    <Filter><S3Key><FilterRule><Name>Prefix</Name><Value>a+b%2F</Value></FilterRule><FilterRule><Name>Suffix</Name>\
    <Value>.csv</Value></FilterRule></S3Key></Filter><Queue>arn:aws:sqs:eu-west-1:123456789012:orders</Queue></QueueConfiguration>";

#[test]
fn s3s_response_is_read_in_any_order_and_layout_and_written_back_unchanged() {
    let read = Configuration::parse(&s3_xml(&format!("\n{QUEUE}\n<EventBridgeConfiguration/>"))).unwrap();
    let queue = read.notifications().next().unwrap();
    assert_eq!(
        queue.to_string(),
        "queue arn:aws:sqs:eu-west-1:123456789012:orders  s3:ObjectCreated:Put  prefix \"a b/\" suffix \".csv\"  (id orders)"
    );
    assert!(read.has_event_bridge());
    assert!(read.to_xml().contains(&format!("{QUEUE}<EventBridgeConfiguration/>")));
    assert!(Configuration::parse("<NotificationConfiguration/>").unwrap().entries.is_empty());
}

#[test]
fn an_unknown_element_does_not_prevent_reading_the_rest() {
    let strange = s3_xml(
        "<PigeonConfiguration/><QueueConfiguration><Queue>arn:q</Queue><Event>s3:ObjectCreated:Put</Event><Delay>5</Delay>\
         </QueueConfiguration><EventBridgeConfiguration/>",
    );
    assert!(Configuration::parse(&strange).is_err());
    let parsed = Configuration::parse_lenient(&strange).unwrap();
    let known: Vec<_> = parsed.notifications().collect();
    assert_eq!((known.len(), &known[0].destination, parsed.has_event_bridge()), (1, &queue("arn:q"), true));
    assert!(known[0].matches_created("Put") && !known[0].matches_created("Copy"));
    assert!(Configuration::parse_lenient("<Tagging/>").is_err());
}

#[test]
fn an_unknown_element_is_named() {
    for (entries, within, what) in [
        ("<StreamConfiguration/>".to_owned(), "NotificationConfiguration", "<StreamConfiguration>"),
        (QUEUE.replace("<Id>", "<Batch>9</Batch><Id>"), "QueueConfiguration", "<Batch>"),
        (QUEUE.replace("<S3Key>", "<S3Size>9</S3Size><S3Key>"), "Filter", "<S3Size>"),
        (QUEUE.replace("<FilterRule>", "<Glob/><FilterRule>"), "S3Key", "<Glob>"),
        (QUEUE.replace("Suffix", "Infix"), "FilterRule", "\"Infix\""),
        ("<EventBridgeConfiguration><Bus/></EventBridgeConfiguration>".to_owned(), "EventBridgeConfiguration", "<Bus>"),
    ] {
        let error = Configuration::parse(&s3_xml(&entries)).unwrap_err().to_string();
        assert!(error.contains(&format!("<{within}> contains")) && error.contains(what), "{error}");
    }
    let prefixed = "<x:NotificationConfiguration xmlns:x=\"http://s3.amazonaws.com/doc/2006-03-01/\"/>";
    assert!(matches!(Configuration::parse(prefixed), Err(ConfigurationError::Unknown { .. })));
    assert!(matches!(Configuration::parse("{}"), Err(ConfigurationError::NotXml(_))));
    let lacking = Configuration::parse(&s3_xml("<TopicConfiguration><Id>x</Id></TopicConfiguration>"));
    assert_eq!(lacking.unwrap_err().to_string(), "a <TopicConfiguration> has no <Topic>");
}

#[test]
fn an_id_of_ours_says_what_it_is_for_and_stays_the_same() {
    let own = |arn: &str, prefix: &str| Notification::own(queue(arn), Filter::new(prefix, "").unwrap()).id;
    assert_eq!(own("arn:a", "in/"), own("arn:a", "in/"));
    assert_ne!(own("arn:a", "in/"), own("arn:ai", "n/"));
    assert!(own("arn:a", "").starts_with(own::PREFIX) && own("arn:a", "").len() == own::PREFIX.len() + 12);
}

#[test]
fn a_wider_one_for_the_same_destination_is_enough_and_for_another_is_in_the_way() {
    let arn = "arn:aws:sqs:eu-west-1:123456789012:orders";
    let there = Notification {
        id: "theirs".into(),
        destination: queue(arn),
        events: vec!["s3:ObjectRemoved:*".into(), "s3:ObjectCreated:*".into()],
        filter: Filter::new("in", "").unwrap(),
    };
    let configuration = Configuration { entries: vec![Entry::new(there.clone())] };
    let filter = Filter::new("in/", ".pdf").unwrap();
    assert!(attach(&configuration, &Notification::own(queue(arn), filter.clone())).unwrap().is_empty());
    let other = Notification::own(queue("arn:aws:sqs:eu-west-1:123456789012:other"), filter);
    assert_eq!(attach(&configuration, &other).unwrap_err(), [there]);
}

#[test]
fn an_edited_notification_of_ours_is_corrected() {
    let own = Notification::own(queue("arn:a"), Filter::new("in/", "").unwrap());
    let changed = Notification { events: vec!["s3:ObjectCreated:Put".into()], ..own.clone() };
    let change = attach(&Configuration { entries: vec![Entry::new(changed.clone())] }, &own).unwrap();
    assert_eq!((change.removed, change.added), (vec![Entry::new(changed)], vec![Entry::new(own)]));
}

#[test]
fn only_selected_notifications_of_ours_are_removed() {
    let filter = |prefix| Filter::new(prefix, "").unwrap();
    let (a, b) = (Notification::own(queue("arn:a"), filter("in/")), Notification::own(queue("arn:a"), filter("out/")));
    let theirs = Notification { id: "theirs".into(), filter: filter("their/"), ..a.clone() };
    let configuration = Configuration { entries: [&a, &theirs, &b].map(|one| Entry::new(one.clone())).into() };
    let left = |selector: &Selector| {
        detach(&configuration, selector)
            .kept
            .into_iter()
            .map(|entry| entry.notification.unwrap().id)
            .collect::<Vec<_>>()
    };
    assert_eq!(left(&Selector::default()), ["theirs"]);
    let of = |service, arn: &str| Some(Destination { service, arn: arn.to_owned() });
    let one = Selector { destination: of(Service::Queue, "arn:a"), prefix: Some("in/".into()), ..Selector::default() };
    assert_eq!(left(&one), ["theirs".to_owned(), b.id.clone()]);
    for nothing in [of(Service::Queue, "arn:b"), of(Service::Function, "arn:a")] {
        assert_eq!(left(&Selector { destination: nothing, ..Selector::default() }).len(), 3);
    }
}
