//! How work reaches a process: a notification by itself, messages of the retry queue in batches.

use std::time::{Duration, SystemTime};

use super::{Event, NOTICE_DELAY, World};
use crate::lambda::Work;
use crate::queue::Gathered;

/// Lambda tries a throttled event again after a second, doubling up to 5 minutes (Lambda Developer Guide, "How Lambda handles
/// errors and retries with asynchronous invocation").
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// See [`FIRST_RETRY`].
const LAST_RETRY: Duration = Duration::from_secs(300);

impl World<'_> {
    /// Gives a notification to a process, or has Lambda try again, or leaves it to the retry queue when it is too old.
    pub(super) fn notify(&mut self, object: u32, tries: u32, since: SystemTime) {
        let now = self.agenda.now();
        match self.lambda.invoke(Work::Notice, vec![object], now) {
            Ok((id, ready)) => {
                self.tally.on_the_way -= 1;
                self.agenda.at(ready, Event::Begin(id));
            }
            Err(_) if now >= since + self.scenario.event_age => self.agenda.after(NOTICE_DELAY, Event::Failed(object)),
            Err(_) => {
                let wait = FIRST_RETRY.saturating_mul(1 << tries.min(16)).min(LAST_RETRY);
                let wait = wait.mul_f64(0.8 + 0.4 * self.chance.f64());
                self.agenda.after(wait, Event::Again { object, tries: tries + 1, since });
            }
        }
    }

    pub(super) fn poll(&mut self) {
        let now = self.agenda.now();
        for gathered in self.poller.gather(&mut self.queue, now) {
            match gathered {
                Gathered::Began(slot, gathering) => {
                    self.agenda.after(self.scenario.batch_window, Event::WindowOver { slot, gathering });
                }
                Gathered::Full(slot) => {
                    if let Some(batch) = self.poller.take(slot, None) {
                        self.dispatch(slot, batch, now);
                    }
                }
            }
        }
    }

    /// Gives a batch to a process. While there is none, the poller tries each second, until the messages' visibility timeout.
    pub(super) fn dispatch(&mut self, slot: usize, batch: Vec<u32>, received: SystemTime) {
        let now = self.agenda.now();
        let visible_again = received + self.scenario.visibility();
        let messages = batch.len();
        match self.lambda.invoke(Work::Batch(slot, received), batch, now) {
            Ok((id, ready)) => {
                self.queue.count_calls(messages);
                self.agenda.at(ready, Event::Begin(id));
            }
            Err(batch) if now < visible_again => {
                self.poller.without_process += messages;
                self.agenda.after(Duration::from_secs(1), Event::Dispatch { slot, batch, received });
            }
            Err(batch) => {
                for object in batch {
                    self.queue.hide(object, Some(now), Duration::ZERO);
                }
                self.poller.free(slot);
                self.agenda.at(now, Event::Show);
            }
        }
    }
}
