//! The ids that the sandbox issues.

/// The id of the first connector, as on FlexOrch's own page.
const FIRST_CONNECTOR: u64 = 42;

/// The ids that were issued: each once, over all tenants.
#[derive(Clone, Debug)]
pub(crate) struct Ids {
    connector: u64,
    schedule: u64,
    run: u64,
    webhook: u64,
    job: u64,
}

impl Ids {
    /// Returns the ids of a new sandbox.
    pub(crate) fn new() -> Self {
        Self { connector: FIRST_CONNECTOR, schedule: 0, run: 0, webhook: 0, job: 0 }
    }

    /// Returns the id that the next connector will have.
    pub(crate) fn peek_connector(&self) -> u64 {
        self.connector
    }

    /// Issues the id of a connector.
    pub(crate) fn next_connector(&mut self) -> u64 {
        let id = self.connector;
        self.connector += 1;
        id
    }

    /// Issues the id of a schedule.
    pub(crate) fn next_schedule(&mut self) -> u64 {
        self.schedule += 1;
        self.schedule
    }

    /// Issues the id of a schedule's run.
    pub(crate) fn next_run(&mut self) -> u64 {
        self.run += 1;
        self.run
    }

    /// Returns the id that the next webhook will have.
    pub(crate) fn peek_webhook(&self) -> u64 {
        self.webhook + 1
    }

    /// Issues the id of a webhook.
    pub(crate) fn next_webhook(&mut self) -> u64 {
        self.webhook += 1;
        self.webhook
    }

    /// Issues the number of a job.
    pub(crate) fn next_job(&mut self) -> u64 {
        self.job += 1;
        self.job
    }
}
