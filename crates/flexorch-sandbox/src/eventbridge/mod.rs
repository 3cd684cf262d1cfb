//! An Amazon EventBridge endpoint on loopback that the AWS SDKs can use: `PutEvents`. It does not deliver the events.
//!
//! | module | its job |
//! | --- | --- |
//! | `service` | the JSON protocol, and recorded calls |
//! | `store` | the events, and which entries are accepted |

mod service;
mod store;
#[cfg(test)]
mod tests;

pub use self::service::EventsCall;
pub use self::store::PublishedEvent;
use self::store::Store;
use super::aws::endpoint::AwsEndpoint;
pub use super::aws::fault::AwsFault as EventsFault;

/// A running EventBridge endpoint. It stops in the background when it is dropped.
pub type EventBridge = AwsEndpoint<Store>;

impl EventBridge {
    /// Returns the events that were accepted, oldest first, on all buses.
    pub fn events(&self) -> Vec<PublishedEvent> {
        self.shared().service().events.clone()
    }

    /// Removes the events so far.
    pub fn clear_events(&self) {
        self.shared().service().events.clear();
    }

    /// Makes every entry whose detail contains this text fail with `ThrottlingException`; `None` ends that. The other entries of a call
    /// are not affected.
    pub fn fail_entries(&self, text_in_detail: Option<&str>) {
        self.shared().service().failing = text_in_detail.map(str::to_owned);
    }

    /// Sets the fault of all calls whose first entry is for this bus, or removes it. It comes before other faults.
    pub fn set_bus_fault(&self, bus: &str, fault: Option<EventsFault>) {
        self.shared().set_resource_fault(bus, fault);
    }
}
