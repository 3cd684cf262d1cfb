//! The whole chain as a discrete-event simulation: uploads → notifications → (queue →) processes → FlexOrch, and back.

mod answer;
mod delivery;

use std::error::Error;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use flexorch_s3_ingester::config::Config;
use flexorch_s3_ingester::flexorch::response::Response;
use flexorch_s3_ingester::handler::times::{Load, Times};
use flexorch_s3_ingester::ingest::session::{Now, RequestId};
use flexorch_s3_ingester::model::object::{ObjectKey, S3Object};
use flexorch_s3_ingester::model::outcome::{Ledger, Outcome};

use crate::agenda::{Agenda, start};
use crate::flexorch::{FlexOrch, Verdict, response_of};
use crate::lambda::{Lambda, Work};
use crate::process::{Step, cut_off};
use crate::queue::{Poller, RetryQueue};
use crate::report::Report;
use crate::scenario::{Scenario, Shape};
use crate::tally::{Imbalance, Tally};

/// From an upload to its notification ("typically within seconds": S3 User Guide, "Amazon S3 Event Notifications"), and from a
/// failed invocation to its record in the retry queue: assumptions.
const NOTICE_DELAY: Duration = Duration::from_secs(1);

/// A batch's payload has at most 6 MB (Lambda Developer Guide, "Lambda quotas"); a message with a notification has about so many
/// bytes of it,
const PAYLOAD_BYTES: usize = 6 * 1024 * 1024;
/// See [`PAYLOAD_BYTES`].
const MESSAGE_BYTES: usize = 1_500;
/// and one with an on-failure record, which holds the notification, so many.
const FAILURE_BYTES: usize = 3_000;

/// What may happen.
enum Event {
    /// An object lands in the bucket.
    Upload(u32),
    /// Its notification arrives.
    Notice(u32),
    /// Lambda tries again to start a process for a notification.
    Again { object: u32, tries: u32, since: SystemTime },
    /// The record of a failed notification arrives in the retry queue.
    Failed(u32),
    /// Messages become visible.
    Show,
    /// A slot has gathered for as long as it may.
    WindowOver { slot: usize, gathering: u64 },
    /// A batch is given to a process.
    Dispatch { slot: usize, batch: Vec<u32>, received: SystemTime },
    /// A process has read its event.
    Begin(usize),
    /// A process has waited for long enough.
    Wake(usize),
    /// A request reaches FlexOrch, with this response time.
    Arrive(usize, RequestId, Duration),
    /// FlexOrch's response arrives.
    Respond(usize, RequestId, Verdict),
    /// A request was given up.
    CutOff(usize, RequestId),
    /// A process is free.
    Free(usize),
}

struct World<'a> {
    scenario: &'a Scenario,
    config: Config,
    agenda: Agenda<Event>,
    flexorch: FlexOrch,
    lambda: Lambda,
    queue: RetryQueue,
    poller: Poller,
    tally: Tally,
    chance: fastrand::Rng,
    /// What a message names; which object it is makes no difference to its acknowledgement.
    document: S3Object,
}

/// Runs a scenario to its end.
///
/// # Errors
/// The function's own for settings that it refuses, and [`Imbalance`] if the objects do not add up.
pub fn run(scenario: &Scenario) -> Result<Report, Box<dyn Error>> {
    let config = scenario.function()?;
    let secrets = Rc::new(scenario.secrets()?);
    let bytes = if scenario.shape == Shape::Direct { FAILURE_BYTES } else { MESSAGE_BYTES };
    let mut world = World {
        scenario,
        agenda: Agenda::new(),
        flexorch: FlexOrch::new(scenario, Rc::clone(&secrets)),
        lambda: Lambda::new(scenario, &config, secrets, start()),
        queue: RetryQueue::new(scenario),
        poller: Poller::new(scenario.processes, scenario.batch_size.clamp(1, PAYLOAD_BYTES / bytes)),
        tally: Tally::new(scenario),
        chance: fastrand::Rng::with_seed(scenario.seed),
        document: S3Object::new("simulated", ObjectKey::verbatim("document.pdf")?),
        config,
    };
    if scenario.objects > 0 {
        world.agenda.at(start(), Event::Upload(0));
    }
    while let Some(event) = world.agenda.next(start() + scenario.until) {
        world.happen(event)?;
        if world.tally.is_due(world.agenda.now()) {
            world.check()?;
        }
    }
    world.check()?;
    Ok(Report::new(scenario, world.tally, &world.flexorch, &world.lambda, &world.queue))
}

impl World<'_> {
    fn happen(&mut self, event: Event) -> Result<(), Imbalance> {
        let now = self.agenda.now();
        match event {
            Event::Upload(object) => {
                self.tally.counts.uploaded += 1;
                self.tally.on_the_way += 1;
                self.agenda.after(NOTICE_DELAY, Event::Notice(object));
                if object + 1 < self.scenario.objects {
                    self.agenda.at(start() + self.scenario.uploaded_after(object + 1), Event::Upload(object + 1));
                }
            }
            Event::Notice(object) if self.scenario.shape == Shape::Direct => self.notify(object, 0, now),
            Event::Again { object, tries, since } => self.notify(object, tries, since),
            Event::Notice(object) | Event::Failed(object) => {
                self.tally.on_the_way -= 1;
                self.queue.send(object, now);
                self.poll();
            }
            Event::Show => {
                self.queue.show(now);
                self.poll();
            }
            Event::WindowOver { slot, gathering } => {
                if let Some(batch) = self.poller.take(slot, Some(gathering)) {
                    self.dispatch(slot, batch, now);
                }
            }
            Event::Dispatch { slot, batch, received } => {
                self.poller.without_process -= batch.len();
                self.dispatch(slot, batch, received);
            }
            Event::Begin(id) => self.begin(id)?,
            Event::Wake(id) => {
                let process = &mut self.lambda.environment(id).process;
                if process.is_woken_at(now) {
                    let steps = process.wake(now);
                    self.carry_out(id, steps)?;
                }
            }
            Event::Arrive(id, request, rest) => {
                let environment = self.lambda.environment(id);
                if let Some(sent) = environment.process.request(request) {
                    let objects: Vec<u32> = sent.objects.iter().map(|place| environment.objects[*place]).collect();
                    let verdict = self.flexorch.arrive(&sent.connector, &objects, now);
                    self.agenda.after(rest, Event::Respond(id, request, verdict));
                }
            }
            Event::Respond(id, request, verdict) => {
                let keys = self.lambda.environment(id).process.request(request).map_or(0, |sent| sent.objects.len());
                self.responded(id, request, response_of(verdict, keys, now))?;
            }
            Event::CutOff(id, request) => self.responded(id, request, cut_off())?,
            Event::Free(id) => {
                self.lambda.free(id);
                if let Work::Batch(slot, _) = self.lambda.environment(id).work {
                    self.poller.free(slot);
                    self.poll();
                }
            }
        }
        self.tally.settled(self.queue.counts.dead + self.queue.counts.expired, now);
        Ok(())
    }

    fn begin(&mut self, id: usize) -> Result<(), Imbalance> {
        let now = self.agenda.now();
        let (timeout, margin) = (self.scenario.timeout, self.config.deadline_margin);
        let settles = self.config.dead_letter_queue_url.is_some();
        let environment = self.lambda.environment(id);
        let objects = environment.objects.len();
        let times = Times::new(now, now + timeout, margin, Load { objects, settles, ..Load::default() });
        environment.answer_end = times.answer_end;
        environment.ledger = Ledger::new(objects);
        let steps = environment.process.begin(&environment.objects, self.scenario, times.work_end, now);
        self.carry_out(id, steps)
    }

    fn responded(&mut self, id: usize, request: RequestId, response: Response) -> Result<(), Imbalance> {
        let now = Now { time: self.agenda.now(), random: self.chance.f64() };
        let steps = self.lambda.environment(id).process.responded(request, response, now);
        self.carry_out(id, steps)
    }

    fn carry_out(&mut self, id: usize, steps: Vec<Step>) -> Result<(), Imbalance> {
        let now = self.agenda.now();
        let environment = self.lambda.environment(id);
        for step in steps {
            match step {
                Step::Wake(time) => self.agenda.at(time, Event::Wake(id)),
                Step::Send(request, timeout) => {
                    let latency = self.scenario.latency.mul_f64(0.75 + 0.5 * self.chance.f64());
                    if latency <= timeout {
                        self.agenda.after(latency / 2, Event::Arrive(id, request, latency / 2));
                    } else {
                        // FlexOrch never saw it; had it done, the second try would be a duplicate, which it recognises.
                        self.agenda.after(timeout, Event::CutOff(id, request));
                    }
                }
                Step::Settle(settled) => {
                    for (place, outcome) in settled {
                        if matches!(outcome, Outcome::Forwarded(_)) {
                            environment.taken += 1;
                            self.tally.forward(environment.objects[place], now)?;
                        }
                        environment.ledger.settle(place, outcome);
                    }
                }
            }
        }
        if environment.process.is_done() {
            self.settle(id);
        }
        Ok(())
    }

    fn check(&mut self) -> Result<(), Imbalance> {
        let waiting = self.queue.waiting() + self.poller.gathering() + self.lambda.unsettled() + self.tally.on_the_way;
        self.tally.check(waiting, self.flexorch.taken_keys, self.agenda.now())
    }
}
