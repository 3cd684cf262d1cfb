//! The state that a process keeps between invocations: rate limits, blocks, request sizes, and the usual duration of a request.

use std::collections::HashMap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::{Duration, SystemTime};

use super::Settings;
use crate::ingest::rate::RateLimiter;
use crate::model::connector::Connector;
use crate::model::credentials::{ApiKey, ConnectorId};
use crate::model::outcome::Deferral;

/// The shortest interval between two probes of a blocked connector, each of one request.
const PROBE_INTERVAL: Duration = Duration::from_secs(60);

/// The state that all invocations of a process share.
///
/// The state of a connector is kept by its id and API key, not by the secret's name: a secret that is changed to describe another
/// connector starts without one.
#[derive(Debug, Default)]
pub struct Memory {
    limiters: HashMap<ApiKey, RateLimiter>,
    connectors: HashMap<(ConnectorId, ApiKey), Known>,
    /// How long a request that FlexOrch responded to usually takes; zero while nothing is known.
    pub(super) usual: Duration,
    /// Requests in flight, of all sessions.
    pub(super) in_flight: usize,
}

/// The state of one connector.
#[derive(Debug, Default)]
struct Known {
    /// Whether FlexOrch has accepted one of its keys, so that its requests are known to have the right form.
    has_accepted: bool,
    /// The size of request, in keys, above which FlexOrch refuses requests for their size alone.
    max_keys: Option<NonZeroUsize>,
    block: Option<Block>,
}

/// FlexOrch refuses every request for a connector until an operator acts.
#[derive(Debug)]
struct Block {
    deferral: Deferral,
    next_probe: SystemTime,
}

/// Whether a connector's objects may be sent.
#[derive(Debug)]
pub(super) enum Admission {
    Open,
    /// One request may check whether the block has been lifted; this is the deferral if it has not.
    Probe(Deferral),
    Blocked(Deferral),
}

impl Memory {
    pub(super) fn limiter(&mut self, key: &ApiKey, settings: &Settings) -> &mut RateLimiter {
        self.limiters
            .entry(key.clone())
            .or_insert_with(|| RateLimiter::new(settings.requests_per_minute, settings.burst()))
    }

    /// Changes the rate of an API key. Requests that have been sent count towards the new one.
    pub(crate) fn set_rate(&mut self, key: &ApiKey, per_minute: Option<NonZeroU32>, settings: &Settings) {
        self.limiter(key, settings).set_rate(per_minute, settings.burst());
    }

    /// Records that FlexOrch accepted a key of this connector.
    pub(super) fn accepted(&mut self, connector: &Connector) {
        self.known(connector).has_accepted = true;
    }

    pub(super) fn has_accepted(&self, connector: &Connector) -> bool {
        self.connectors.get(&identity(connector)).is_some_and(|known| known.has_accepted)
    }

    /// Records that requests of more keys than this are refused for their size.
    pub(super) fn keep_below(&mut self, connector: &Connector, keys: NonZeroUsize) {
        let known = self.known(connector);
        known.max_keys = Some(known.max_keys.map_or(keys, |known| known.min(keys)));
    }

    pub(super) fn max_keys(&self, connector: &Connector, settings: &Settings) -> NonZeroUsize {
        let known = self.connectors.get(&identity(connector)).and_then(|known| known.max_keys);
        known.map_or(settings.max_keys_per_request, |known| known.min(settings.max_keys_per_request))
    }

    pub(super) fn admission(&self, connector: &Connector, now: SystemTime) -> Admission {
        match self.connectors.get(&identity(connector)).and_then(|known| known.block.as_ref()) {
            None => Admission::Open,
            Some(block) if now < block.next_probe => Admission::Blocked(block.deferral.clone()),
            Some(block) => Admission::Probe(block.deferral.clone()),
        }
    }

    pub(super) fn block(&mut self, connector: &Connector, deferral: &Deferral, now: SystemTime) {
        let block = Block { deferral: deferral.clone(), next_probe: now + PROBE_INTERVAL };
        self.known(connector).block = Some(block);
    }

    /// Records that a probe is sent now: the next one follows an interval later, whatever its result.
    pub(super) fn probes(&mut self, connector: &Connector, now: SystemTime) {
        if let Some(block) = &mut self.known(connector).block {
            block.next_probe = now + PROBE_INTERVAL;
        }
    }

    pub(super) fn unblock(&mut self, connector: &Connector) {
        self.known(connector).block = None;
    }

    /// Updates the usual duration by a request that FlexOrch responded to: immediately if it was slower, gradually if it was faster.
    pub(super) fn learn_usual(&mut self, took: Duration) {
        self.usual = if took >= self.usual { took } else { (self.usual * 3 + took) / 4 };
    }

    fn known(&mut self, connector: &Connector) -> &mut Known {
        self.connectors.entry(identity(connector)).or_default()
    }
}

fn identity(connector: &Connector) -> (ConnectorId, ApiKey) {
    (connector.id.clone(), connector.api_key.clone())
}
