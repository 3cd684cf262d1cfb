//! Finds the function if `--function` does not name it: through the bucket's notifications, else by the secret that it names. Another
//! team's function on the same bucket is never taken for it.

use super::aws::Aws;
use super::check::{Check, Fix, Unknown, described};
use super::commands::Commands;
use super::function::{self, Function};
use super::name;
use super::notification::Notifications;
use super::subject::Subject;
use crate::aws_failure::AwsFailure;
use crate::notification::Service;

/// The function, and how it was found, for the report.
pub(crate) struct Found {
    pub(crate) function: Function,
    pub(crate) how: &'static str,
}

/// Where to look for the function.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Search<'a> {
    pub(crate) aws: &'a Aws<'a>,
    pub(crate) subject: &'a Subject,
    /// The bucket's notifications, if they could be read.
    pub(crate) notifications: Option<&'a Notifications>,
    pub(crate) region: &'a str,
    pub(crate) commands: &'a Commands,
}

/// Functions that name the secret, and the first call that failed.
#[derive(Debug, Default)]
struct Candidates {
    functions: Vec<Function>,
    failure: Option<AwsFailure>,
}

impl Search<'_> {
    /// Reads the function that was named.
    ///
    /// # Errors
    /// The check of the function if it does not exist or could not be read.
    pub(crate) async fn named(&self, name: &str) -> Result<Found, Check> {
        match Function::read(self.aws, name).await {
            Ok(Some(function)) => Ok(Found { function, how: "" }),
            Ok(None) => {
                let found = format!("there is no function {name:?} in this region and account");
                Err(Check::failed(name::FUNCTION, found, self.name_it()))
            }
            Err(failure) => Err(Check::could_not_check(name::FUNCTION, &failure, self.commands)),
        }
    }

    /// Finds the only function that names the secret.
    ///
    /// # Errors
    /// The check of the function if there is none, or several.
    pub(crate) async fn unnamed(&self) -> Result<Found, Check> {
        let Candidates { functions, failure } = self.by_bucket().await;
        let functions = match <[Function; 1]>::try_from(functions) {
            Ok([function]) => return Ok(Found { function, how: " (found by the bucket's notification)" }),
            Err(functions) => functions,
        };
        if !functions.is_empty() {
            return Err(self.undecided(&functions, failure));
        }
        let all = self.by_secret().await;
        match <[Function; 1]>::try_from(all.functions) {
            Ok([function]) => Ok(Found { function, how: " (found by its CONNECTOR_SECRET_IDS)" }),
            Err(functions) => Err(self.undecided(&functions, all.failure.or(failure))),
        }
    }

    fn undecided(&self, functions: &[Function], failure: Option<AwsFailure>) -> Check {
        let names: Vec<_> = functions.iter().map(|function| function.name.as_str()).collect();
        let why = match (names.as_slice(), failure) {
            ([], Some(failure)) => format!("the function was not named, and not found: {}", described(&failure)),
            ([], None) => format!(
                "the function was not named, and no function in {} that can be read names this secret",
                self.region
            ),
            (names, _) => format!("the function was not named, and several name this secret: {}", names.join(", ")),
        };
        Check::unknown(name::FUNCTION, Unknown::new(why, self.name_it()))
    }

    fn name_it(&self) -> Fix {
        function::unnamed(self.commands, &self.subject.secret)
    }

    /// Follows the bucket's notifications to functions, directly and through queues.
    async fn by_bucket(&self) -> Candidates {
        let mut candidates = Candidates::default();
        let Some(notifications) = self.notifications else { return candidates };
        let mut arns: Vec<String> = Vec::new();
        for destination in notifications.destinations() {
            match destination.service {
                Service::Queue => match function::fed_by(self.aws, &destination.arn).await {
                    Ok(functions) => arns.extend(functions),
                    Err(failure) => candidates.fail(failure),
                },
                _ => arns.push(destination.arn.clone()),
            }
        }
        self.add(&mut candidates, arns).await;
        candidates
    }

    /// Searches all functions of the region.
    async fn by_secret(&self) -> Candidates {
        let mut candidates = Candidates::default();
        match function::that_name(self.aws, self.subject, self.region).await {
            Ok(arns) => self.add(&mut candidates, arns).await,
            Err(failure) => candidates.fail(failure),
        }
        candidates
    }

    async fn add(&self, candidates: &mut Candidates, arns: Vec<String>) {
        for arn in arns {
            if candidates.functions.iter().any(|known| known.is(&arn)) {
                continue;
            }
            match Function::read(self.aws, &arn).await {
                Ok(Some(function))
                    if self.subject.named_by(function.secret_ids()).is_ok_and(|entry| entry.is_some()) =>
                {
                    candidates.functions.push(function);
                }
                Ok(_) => {}
                Err(failure) => candidates.fail(failure),
            }
        }
    }
}

impl Candidates {
    fn fail(&mut self, failure: AwsFailure) {
        self.failure.get_or_insert(failure);
    }
}
