//! An HTTP/1.1 server on loopback that can also reset a connection, as a network does.
//!
//! It has its own accept loop because a web framework always sends its handlers' responses. Here, a handler returns [`reset`]
//! to have the connection reset instead.

use std::{
    future::Future,
    io,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, response::IntoResponse};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::Service};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

/// How long a connection may take to end its exchange once the server shuts down.
const GRACE: Duration = Duration::from_secs(1);

/// How long the accept loop waits after an error such as "too many open files", which does not end immediately.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why a server of the sandbox did not start.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The port is in use or not allowed.
    #[error("cannot listen on 127.0.0.1:{port}: {source}; choose another port, or 0 for any free one")]
    Bind {
        /// The port that was asked for.
        port: u16,
        /// The operating system's error.
        source: io::Error,
    },
}

/// The mark of a response that is not sent: its connection is reset.
#[derive(Clone, Copy, Debug)]
struct Reset;

/// Returns a response that resets the connection (TCP RST) instead of being sent.
pub(crate) fn reset() -> axum::response::Response {
    let mut response = axum::http::StatusCode::BAD_GATEWAY.into_response();
    response.extensions_mut().insert(Reset);
    response
}

/// Returns whether a response resets its connection, so that the client receives nothing.
pub(crate) fn is_reset<B>(response: &Response<B>) -> bool {
    response.extensions().get::<Reset>().is_some()
}

/// A running server. It stops accepting and ends its connections in the background when it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
    _stop_when_dropped: DropGuard,
}

impl Server {
    /// Binds 127.0.0.1 and serves these routes until `stop` is cancelled, which the server does when it is to stop.
    pub(crate) async fn start(port: u16, stop: CancellationToken, router: Router) -> Result<Self, SandboxError> {
        let bind = |source| SandboxError::Bind { port, source };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        let tasks = TaskTracker::new();
        tasks.spawn(accept(listener, router, stop.clone(), tasks.clone()));
        Ok(Self { address, _stop_when_dropped: stop.clone().drop_guard(), stop, tasks })
    }

    /// Returns the address that it listens on.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns how many connections are open.
    #[cfg(test)]
    pub(crate) fn connections(&self) -> usize {
        // One task is the accept loop.
        self.tasks.len().saturating_sub(1)
    }

    /// Stops accepting, waits at most a second for requests in flight, and returns when nothing runs any more.
    pub(crate) async fn shutdown(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn accept(listener: TcpListener, router: Router, stop: CancellationToken, tasks: TaskTracker) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                tasks.spawn(serve(stream, router.clone(), stop.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "the sandbox could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, router: Router, stop: CancellationToken) {
    // Without it, a response in two segments waits 40 ms for the client's delayed acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY was refused");
    }
    let reset = Arc::new(AtomicBool::new(false));
    let io = Resettable { stream, reset: reset.clone() };
    let service = Resetting { router: TowerToHyperService::new(router), reset };
    let mut connection =
        std::pin::pin!(http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(io), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            match tokio::time::timeout(GRACE, connection).await {
                Ok(ended) => ended,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// The router, with a response marked [`Reset`] turned into the error that makes hyper drop the connection.
struct Resetting {
    router: TowerToHyperService<Router>,
    reset: Arc<AtomicBool>,
}

/// Ends a connection without a response.
#[derive(Debug, thiserror::Error)]
#[error("reset on purpose")]
struct ResetOnPurpose;

impl Service<Request<Incoming>> for Resetting {
    type Response = Response<axum::body::Body>;
    type Error = ResetOnPurpose;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let responding = self.router.call(request);
        let reset = self.reset.clone();
        Box::pin(async move {
            let response = match responding.await {
                Ok(response) => response,
                Err(never) => match never {},
            };
            if is_reset(&response) {
                reset.store(true, Ordering::Relaxed);
                return Err(ResetOnPurpose);
            }
            Ok(response)
        })
    }
}

/// A stream that is closed with a TCP reset instead of an orderly end once it has been marked.
struct Resettable {
    stream: TcpStream,
    reset: Arc<AtomicBool>,
}

impl Drop for Resettable {
    fn drop(&mut self) {
        if self.reset.load(Ordering::Relaxed)
            && let Err(error) = self.stream.set_zero_linger()
        {
            tracing::debug!(%error, "SO_LINGER was refused: the connection is closed, not reset");
        }
    }
}

impl AsyncRead for Resettable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Resettable {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    // Forwarded so that head and body go out in one write.
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }
}
