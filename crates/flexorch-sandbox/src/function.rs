//! A Lambda function that runs as a local process, with the services that it uses: what the functions' integration tests share.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::ops::Deref;

use super::program::{Program, metric_sums};
use super::services::Services;
use super::wait::PATIENCE;

/// A running function and its services. It is killed when this is dropped, and the services stop.
#[derive(Debug)]
pub struct Function {
    services: Services,
    program: Program,
}

impl Function {
    /// Starts an executable as the function of this name, with the variables that Lambda sets and those that make it use the services.
    /// `variables` are added to them or replace them.
    ///
    /// # Errors
    ///
    /// If the process cannot be started.
    pub fn spawn(
        executable: impl AsRef<OsStr>,
        name: &str,
        services: Services,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> io::Result<Self> {
        let lambda = [
            ("AWS_LAMBDA_FUNCTION_NAME", name.to_owned()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256".to_owned()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
            ("AWS_LAMBDA_LOG_LEVEL", "DEBUG".to_owned()),
        ];
        let usual = lambda.into_iter().chain(services.environment());
        let environment = usual.map(|(name, value)| (name.to_owned(), value)).chain(variables).collect();
        Ok(Self { program: Program::start(executable, environment)?, services })
    }

    /// Waits until the function has asked for an event.
    ///
    /// # Panics
    ///
    /// If it does not within a minute.
    pub async fn started(&self) {
        let started = tokio::time::timeout(PATIENCE, self.services.runtime_api.initialised()).await;
        assert!(started.is_ok(), "the function did not start: {:#?}", self.lines());
    }

    /// Waits until the function has reported that it cannot start, and has ended; returns the message and the exit code.
    ///
    /// # Panics
    ///
    /// If that does not happen within a minute.
    pub async fn init_error(&mut self) -> (String, Option<i32>) {
        let Self { services, program } = self;
        let ended = async { (services.runtime_api.init_error().await, program.wait().await) };
        let Ok((error, Ok(status))) = tokio::time::timeout(PATIENCE, ended).await else {
            panic!("the function did not fail to start: {:#?}", self.lines());
        };
        (error["errorMessage"].as_str().unwrap_or_default().to_owned(), status.code())
    }

    /// Returns the id of the function's process; `None` once it has ended and was waited for.
    pub fn id(&self) -> Option<u32> {
        self.program.id()
    }

    /// Kills the function and starts it again; the services go on.
    ///
    /// # Errors
    ///
    /// If the process cannot be killed, or the other one not be started.
    pub async fn restart(&mut self) -> io::Result<()> {
        self.program.restart().await
    }

    /// Returns the lines that the function has printed so far; the last ones of a running invocation may be missing.
    pub fn lines(&self) -> Vec<String> {
        self.program.lines()
    }

    /// Kills the function and returns all lines that it printed.
    pub async fn output(self) -> Vec<String> {
        self.program.output().await
    }

    /// Kills the function and returns the sum of each of its metrics.
    pub async fn metrics(self) -> BTreeMap<String, f64> {
        metric_sums(&self.output().await)
    }
}

impl Deref for Function {
    type Target = Services;

    fn deref(&self) -> &Services {
        &self.services
    }
}
