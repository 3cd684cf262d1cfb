//! Chooses the connector of an object, or the reason why it has none. Pure.

mod superseded;

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::claim::{Claim, ClaimScope, ReadScope, Specificity};
use crate::model::connector::Connector;
use crate::model::object::{Change, S3Object};
use crate::model::outcome::SkipReason;
use crate::model::scope::Scope;

pub use superseded::superseded;

/// The route of an object. The numbers are positions among the connectors or claims of the [`Router`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Route {
    /// It is submitted for this connector.
    To(usize),
    /// It is skipped.
    Skip(SkipReason),
    /// This connector reads it and is paused: it is deferred.
    Paused(usize),
    /// The secret of this claim cannot be read, and its connector may read the object: it is deferred.
    Claimed(usize),
    /// These two connectors both read it, and no rule decides between them: it is deferred.
    Contested(usize, usize),
    /// No known connector reads it, and at least one secret cannot be read: it is deferred.
    Undecided,
}

impl Route {
    /// Whether the object is in scope, even if it is deferred.
    #[must_use]
    pub fn is_in_scope(self) -> bool {
        !matches!(self, Self::Skip(_))
    }
}

/// The error of two connectors that read the same objects.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the secrets {first:?} and {second:?} both describe a connector for {scope}; give one of them another bucket or prefix, or remove it from CONNECTOR_SECRET_IDS"
)]
pub struct ConnectorConflict {
    /// The id of one secret.
    pub first: Arc<str>,
    /// The id of the other.
    pub second: Arc<str>,
    /// The scope that both describe.
    pub scope: ReadScope,
}

impl ConnectorConflict {
    /// Returns the conflict of two connectors with the same scope.
    #[must_use]
    pub fn between(first: &Connector, second: &Connector) -> Self {
        Self { first: Arc::clone(&first.secret_id), second: Arc::clone(&second.secret_id), scope: second.read_scope() }
    }
}

/// Checks that no two connectors have the same bucket and prefix, so that a rule always decides between them.
///
/// # Errors
/// [`ConnectorConflict`] for the first such pair.
pub(crate) fn check_distinct(connectors: &[Arc<Connector>]) -> Result<(), ConnectorConflict> {
    let mut seen: HashMap<(Option<&str>, &str), &Connector> = HashMap::new();
    for connector in connectors {
        if let Some(first) = seen.insert((connector.bucket.as_deref(), &connector.prefix), connector) {
            return Err(ConnectorConflict::between(first, connector));
        }
    }
    Ok(())
}

/// Chooses among the known connectors, and the claims of those whose secrets cannot be read.
#[derive(Debug, Clone, Copy)]
pub struct Router<'a> {
    connectors: &'a [Arc<Connector>],
    claims: &'a [Claim],
    scope: &'a Scope,
    /// The first claim to every object.
    claims_everything: Option<usize>,
}

impl<'a> Router<'a> {
    /// Creates a router for these connectors and claims; `scope` are the operator's filters.
    #[must_use]
    pub fn new(connectors: &'a [Arc<Connector>], claims: &'a [Claim], scope: &'a Scope) -> Self {
        let claims_everything = claims.iter().position(|claim| claim.scope == ClaimScope::Everything);
        Self { connectors, claims, scope, claims_everything }
    }

    /// Chooses the route of one object: among the connectors and claims of its bucket the longest prefix that its key starts with, and
    /// of equal prefixes the one that names the bucket; then the operator's filters apply.
    ///
    /// A claim that wins keeps the object from every connector: the wrong connector would disclose it to others and its own would not
    /// receive it, while a deferred object is only late.
    #[must_use]
    pub fn route(&self, object: &S3Object) -> Route {
        if object.change != Change::Created {
            return Route::Skip(SkipReason::NotCreated);
        }
        if object.is_folder_marker() {
            return Route::Skip(SkipReason::FolderMarker);
        }
        match (self.reader(object), self.scope.excludes(object)) {
            // The filters apply to every connector.
            (Some(_), Some(reason)) => Route::Skip(reason),
            (None, Some(reason)) if !self.claims.is_empty() => Route::Skip(reason),
            (Some(route), None) => route,
            (None, None) if !self.claims.is_empty() => Route::Undecided,
            (None, _) if self.connectors.iter().any(|connector| connector.reads_bucket(&object.bucket)) => {
                Route::Skip(SkipReason::OutOfPrefix)
            }
            (None, _) => Route::Skip(SkipReason::NoConnector),
        }
    }

    /// Finds the connector or claim that reads an object, without the filters; `None` if none does.
    fn reader(&self, object: &S3Object) -> Option<Route> {
        if let Some(claim) = self.claims_everything {
            return Some(Route::Claimed(claim));
        }
        let mut best: Option<(Specificity, Route)> = None;
        for (position, connector) in self.connectors.iter().enumerate() {
            let Some(specificity) = Specificity::of(connector.bucket.as_deref(), &connector.prefix, object) else {
                continue;
            };
            match best {
                Some((highest, _)) if highest > specificity => {}
                Some((highest, Route::To(first) | Route::Paused(first))) if highest == specificity => {
                    best = Some((specificity, Route::Contested(first, position)));
                }
                // A third connector changes nothing.
                Some((highest, _)) if highest == specificity => {}
                _ if connector.paused.is_some() => best = Some((specificity, Route::Paused(position))),
                _ => best = Some((specificity, Route::To(position))),
            }
        }
        for (position, claim) in self.claims.iter().enumerate() {
            let ClaimScope::Part(scope) = &claim.scope else { continue };
            let specificity = Specificity::of(scope.bucket.as_deref(), &scope.prefix, object);
            if let Some(specificity) = specificity
                && best.is_none_or(|(highest, _)| specificity >= highest)
            {
                best = Some((specificity, Route::Claimed(position)));
            }
        }
        best.map(|(_, route)| route)
    }
}

#[cfg(test)]
mod tests;
