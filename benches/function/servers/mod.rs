//! The servers that a function uses, on one thread: Lambda's Runtime API, Secrets Manager, SQS, and FlexOrch with TLS.

mod flexorch;
mod http;
mod tls;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use flexorch_sandbox::queues::Queues;
use flexorch_sandbox::runtime_api::{FunctionResponse, RuntimeApi};
use flexorch_sandbox::secrets_manager::SecretsManager;
use hyper::body::Bytes;
use serde_json::json;
use tokio::runtime::{Builder, Handle};

use crate::cores;

pub use flexorch::{FlexOrch, Plan};

/// The queue for receipts.
const RECEIPTS: &str = "receipts";

/// Longer than any event takes here.
const TIME_FOR_AN_EVENT: Duration = Duration::from_secs(600);

/// The servers, for the whole benchmark.
pub struct Servers {
    thread: Handle,
    pub flexorch: FlexOrch,
    secrets: SecretsManager,
    queues: Queues,
    roots: PathBuf,
    _folder: tempfile::TempDir,
}

impl Servers {
    /// Starts the servers.
    pub fn start() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let thread = runtime.handle().clone();
        // One thread: a second would take the core that the measured program runs on.
        std::thread::spawn(move || {
            cores::keep_to(cores::SERVERS);
            runtime.block_on(std::future::pending::<()>());
        });
        let (acceptor, root) = tls::acceptor();
        let folder = tempfile::tempdir().unwrap();
        let roots = folder.path().join("roots.pem");
        std::fs::write(&roots, root).unwrap();
        let flexorch = thread.block_on(FlexOrch::start(acceptor));
        let secrets = thread.block_on(SecretsManager::start(0)).unwrap();
        let secret = json!({"api_key": "dfx_bench_0123456789", "connector_id": 42, "bucket": "my-documents"});
        secrets.put("connector", secret.to_string());
        let queues = thread.block_on(Queues::start(0)).unwrap();
        queues.create(RECEIPTS);
        Self { thread, flexorch, secrets, queues, roots, _folder: folder }
    }

    /// Returns the setting with which a function sends receipts.
    pub fn receipts(&self) -> (&'static str, String) {
        ("RECEIPTS_QUEUE_URL", self.queues.url(RECEIPTS))
    }

    /// Returns how many receipts were sent.
    pub fn receipts_sent(&self) -> usize {
        self.queues.messages(RECEIPTS).len()
    }

    /// Starts a Runtime API for one program.
    pub fn runtime_api(&self) -> Arc<RuntimeApi> {
        Arc::new(self.thread.block_on(RuntimeApi::start(0)).unwrap())
    }

    /// Sends a program these events, one after the other. If there is a pause, the next event follows this long after the program
    /// has asked for it.
    ///
    /// Returns, through a channel, when the program first asked for an event and its responses, once it asks for another event.
    pub fn send(
        &self,
        runtime_api: Arc<RuntimeApi>,
        events: Vec<Bytes>,
        pause: Duration,
    ) -> Receiver<(Instant, Vec<FunctionResponse>)> {
        let (done, result) = channel();
        // On the servers' thread: this one is on the program's core.
        self.thread.spawn(async move {
            let asked = runtime_api.initialised().await;
            let mut responses = Vec::with_capacity(events.len());
            for event in events {
                if !pause.is_zero() && !responses.is_empty() {
                    runtime_api.idle_after(responses.len() as u64).await;
                    tokio::time::sleep(pause).await;
                }
                responses.push(runtime_api.invoke(event, TIME_FOR_AN_EVENT).await.unwrap());
            }
            runtime_api.idle_after(responses.len() as u64).await;
            let _ = done.send((asked, responses));
        });
        result
    }

    /// Returns the environment in which Lambda would start a function.
    pub fn environment(&self, runtime_api: &RuntimeApi) -> Vec<(String, String)> {
        [
            ("AWS_LAMBDA_RUNTIME_API", runtime_api.address()),
            ("AWS_LAMBDA_FUNCTION_NAME", "ingest".to_owned()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128".to_owned()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
            ("AWS_REGION", "eu-west-1".to_owned()),
            ("AWS_DEFAULT_REGION", "eu-west-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", self.secrets.endpoint_url()),
            ("AWS_ENDPOINT_URL_SQS", self.queues.endpoint_url()),
            ("CONNECTOR_SECRET_IDS", "connector".to_owned()),
            ("FLEXORCH_BASE_URL", self.flexorch.base_url()),
            ("SSL_CERT_FILE", self.roots.display().to_string()),
            ("LANG", "C.UTF-8".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }
}
