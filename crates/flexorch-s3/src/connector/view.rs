//! A connector and the result of its test, as text.

use crate::management::{ConnectorTest, ConnectorView};
use crate::output::{FAILURE, SUCCESS, styled};
use crate::text::escaped;

/// Returns what a connector reads.
pub(super) fn place(view: &ConnectorView) -> String {
    let bucket = view.bucket.as_deref().unwrap_or("(bucket not shown by FlexOrch)");
    let region = view.region.as_deref().map(|region| format!(" in {region}")).unwrap_or_default();
    format!("s3://{}/{}{}", escaped(bucket), escaped(view.prefix.as_deref().unwrap_or_default()), escaped(&region))
}

/// Returns the result of a test; if it failed, with what to do.
pub(super) fn test_result(view: &ConnectorView, test: &ConnectorTest) -> String {
    let place = place(view);
    if test.success {
        let took = test.latency_ms.map(|millis| format!(" ({millis} ms)")).unwrap_or_default();
        return format!("{} connector {}: FlexOrch can read {place}{took}", styled(SUCCESS, "✓"), view.id);
    }
    format!(
        "{} connector {}: FlexOrch cannot read {place}: {}\n  Its IAM user needs s3:GetObject and s3:ListBucket there, and the region \
         must be the bucket's. The credentials of a connector cannot be changed: create a new one.",
        styled(FAILURE, "✗"),
        view.id,
        escaped(&test.message)
    )
}
