//! What a function talks to, on one thread: Lambda's Runtime API, Secrets Manager, and FlexOrch behind TLS.

mod flexorch;
mod http;
mod runtime_api;
mod secrets;
mod tls;

use std::path::PathBuf;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};

use crate::cores;

pub use flexorch::{FlexOrch, Plan};
pub use runtime_api::{Exchange, RuntimeApi};

/// The servers; they live as long as the benchmark.
pub struct Servers {
    thread: Handle,
    pub flexorch: FlexOrch,
    secrets_url: String,
    roots: PathBuf,
    _folder: tempfile::TempDir,
}

impl Servers {
    /// Starts them.
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
        let secrets_url = thread.block_on(secrets::start());
        Self { thread, flexorch, secrets_url, roots, _folder: folder }
    }

    /// A Runtime API that hands out these events, one after the other, with a pause between them.
    pub fn runtime_api(&self, events: Vec<hyper::body::Bytes>, pause: Duration) -> RuntimeApi {
        self.thread.block_on(RuntimeApi::start(events, pause))
    }

    /// The environment in which Lambda would start a function.
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
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", self.secrets_url.clone()),
            ("CONNECTOR_SECRET_IDS", "connector".to_owned()),
            ("FLEXORCH_BASE_URL", self.flexorch.base_url()),
            ("SSL_CERT_FILE", self.roots.display().to_string()),
            ("LANG", "C.UTF-8".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }
}
