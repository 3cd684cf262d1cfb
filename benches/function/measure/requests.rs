//! How many requests so many objects are: ⌈n / `MAX_KEYS_PER_REQUEST`⌉, whatever messages they came in.

use hyper::body::Bytes;
use serde::Serialize;

use super::{Trial, serve};
use crate::args::Args;
use crate::events::{s3_notification, sqs_batch};
use crate::programs::Programs;
use crate::servers::{Plan, Servers};
use crate::table::Table;

/// The section's figures.
#[derive(Serialize)]
pub struct Requests(Vec<Row>);

#[derive(Serialize)]
struct Row {
    objects: usize,
    came_as: String,
    most_keys: usize,
    requests: usize,
    least: usize,
}

/// Counts; the runs do not matter.
pub fn measure(programs: &Programs, servers: &Servers, _: &Args) -> Requests {
    let mut rows = Vec::new();
    for (objects, most_keys) in [(1, 100), (100, 100), (1_000, 100), (1_000, 30)] {
        let mut shapes: Vec<(String, Bytes)> = vec![
            (format!("1 notification of {objects}"), s3_notification(objects)),
            (format!("{objects} messages of 1"), sqs_batch(objects, 1)),
        ];
        if objects >= 10 {
            shapes.push((format!("{} messages of 10", objects / 10), sqs_batch(objects / 10, 10)));
        }
        for (came_as, event) in shapes {
            servers.flexorch.follow(Plan::default());
            let settings = vec![("MAX_KEYS_PER_REQUEST", most_keys.to_string())];
            serve(servers, &programs.function, Trial { settings, ..Trial::of(vec![event]) });
            assert_eq!(servers.flexorch.keys(), objects, "every key arrives once");
            let requests = servers.flexorch.requests();
            rows.push(Row { objects, came_as, most_keys, requests, least: objects.div_ceil(most_keys) });
        }
    }
    Requests(rows)
}

impl Requests {
    /// A row for each shape.
    pub fn table(&self) -> Table {
        let mut table = Table::new(["objects", "came as", "MAX_KEYS_PER_REQUEST", "requests", "⌈objects / keys⌉"]);
        for row in &self.0 {
            let [objects, most, requests, least] =
                [row.objects, row.most_keys, row.requests, row.least].map(|number| number.to_string());
            table.row([objects, row.came_as.clone(), most, requests, least]);
        }
        table
    }
}
