//! The whole chain as a discrete-event simulation: uploads → notifications → (queue →) processes → FlexOrch, and back.

mod answer;
mod delivery;

use std::time::{Duration, SystemTime};

use flexorch_s3_ingester::config::{Config, ConfigError};
use flexorch_s3_ingester::flexorch::response::Response;
use flexorch_s3_ingester::handler::times::{Load, Times};
use flexorch_s3_ingester::ingest::session::{Now, RequestId};
use flexorch_s3_ingester::model::connector::ConnectorError;

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
    /// A process has settled its objects and responds.
    Answered(usize),
    /// A process is free.
    Free(usize),
}

/// Why a simulation has no result.
#[derive(Debug, thiserror::Error)]
pub enum Unfinished {
    /// The function would not start with such settings.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The simulated secret describes no connector.
    #[error(transparent)]
    Connector(#[from] ConnectorError),
    /// An object was lost or forwarded twice: the simulation is wrong.
    #[error(transparent)]
    Imbalance(#[from] Imbalance),
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
}

/// Runs a scenario to its end.
///
/// # Errors
/// [`Unfinished`] for settings that the function refuses, or if the objects do not add up.
pub fn run(scenario: &Scenario) -> Result<Report, Unfinished> {
    let config = scenario.function()?;
    let bytes = if scenario.shape == Shape::Direct { FAILURE_BYTES } else { MESSAGE_BYTES };
    let mut world = World {
        scenario,
        agenda: Agenda::new(),
        flexorch: FlexOrch::new(scenario.rpm.get(), scenario.objects),
        lambda: Lambda::new(scenario, &config, scenario.connector()?, start()),
        queue: RetryQueue::new(scenario.objects, scenario.max_receives),
        poller: Poller::new(scenario.processes, scenario.batch_size.clamp(1, PAYLOAD_BYTES / bytes)),
        tally: Tally::new(scenario),
        chance: fastrand::Rng::with_seed(scenario.seed),
        config,
    };
    if scenario.objects > 0 {
        world.agenda.at(start(), Event::Upload(0));
    }
    while let Some(event) = world.agenda.next() {
        world.happen(event)?;
        if world.tally.is_due(world.agenda.now()) {
            world.check()?;
        }
    }
    world.check()?;
    Ok(Report::new(scenario, &world.tally, &world.flexorch, &world.lambda, &world.queue))
}

impl World<'_> {
    fn happen(&mut self, event: Event) -> Result<(), Imbalance> {
        let now = self.agenda.now();
        match event {
            Event::Upload(object) => {
                self.tally.uploaded += 1;
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
                self.queue.send(object);
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
            Event::Begin(id) => self.begin(id),
            Event::Wake(id) => {
                let process = &mut self.lambda.environment(id).process;
                if process.is_woken_at(now) {
                    let steps = process.wake(now);
                    self.follow(id, steps)?;
                }
            }
            Event::Arrive(id, request, rest) => {
                let environment = self.lambda.environment(id);
                let keys = environment.process.objects_of(request).iter().map(|place| environment.objects[*place]);
                let verdict = self.flexorch.arrive(keys, now);
                self.agenda.after(rest, Event::Respond(id, request, verdict));
            }
            Event::Respond(id, request, verdict) => {
                let keys = self.lambda.environment(id).process.objects_of(request).len();
                self.responded(id, request, response_of(verdict, keys, now))?;
            }
            Event::CutOff(id, request) => self.responded(id, request, cut_off())?,
            Event::Answered(id) => self.answered(id),
            Event::Free(id) => {
                self.lambda.free(id);
                if let Work::Batch(slot, _) = self.lambda.environment(id).work {
                    self.poller.free(slot);
                    self.poll();
                }
            }
        }
        self.tally.dead = self.queue.dead.len();
        self.tally.settled(now);
        Ok(())
    }

    fn begin(&mut self, id: usize) {
        let now = self.agenda.now();
        let (timeout, margin) = (self.scenario.timeout, self.config.deadline_margin);
        let settles = self.config.dead_letter_queue_url.is_some();
        let environment = self.lambda.environment(id);
        let objects = environment.objects.len();
        let times = Times::new(now, now + timeout, margin, Load { objects, settles, ..Load::default() });
        environment.answer_end = times.answer_end;
        let steps = environment.process.begin(objects, times.work_end, now);
        self.carry_out(id, steps);
    }

    fn responded(&mut self, id: usize, request: RequestId, response: Response) -> Result<(), Imbalance> {
        let now = Now { time: self.agenda.now(), random: self.chance.f64() };
        let steps = self.lambda.environment(id).process.responded(request, response, now);
        self.follow(id, steps)
    }

    fn follow(&mut self, id: usize, steps: Vec<Step>) -> Result<(), Imbalance> {
        let now = self.agenda.now();
        for step in &steps {
            if let Step::Forwarded(places) = step {
                let environment = self.lambda.environment(id);
                environment.taken += places.len();
                for place in places {
                    self.tally.forward(environment.objects[*place], now)?;
                }
            }
        }
        self.carry_out(id, steps);
        Ok(())
    }

    fn carry_out(&mut self, id: usize, steps: Vec<Step>) {
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
                Step::Forwarded(_) => {}
            }
        }
        if self.lambda.environment(id).process.is_done() {
            self.settle(id);
        }
    }

    /// The retry queue's visibility timeout: six times the function's.
    fn visibility(&self) -> Duration {
        self.scenario.timeout * 6
    }

    fn check(&mut self) -> Result<(), Imbalance> {
        let waiting = self.queue.waiting() + self.poller.gathering() + self.lambda.unsettled() + self.tally.on_the_way;
        self.tally.check(waiting, self.flexorch.taken_keys, self.agenda.now())
    }
}
