//! An HTTP/1.1 server on loopback that can also break a connection in the ways a network does.
//!
//! It has its own accept loop because a web framework's answer is always an answer: here a handler may ask for the
//! connection to be reset instead, by marking its response with [`Reset`].

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

use axum::Router;
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

use super::options::SandboxError;

/// How long a connection may take to end its exchange once the server shuts down.
const GRACE: Duration = Duration::from_secs(1);

/// How long the accept loop waits after an error such as "too many open files", which does not pass by itself at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Put in a response's extensions, asks for the connection to be reset (TCP RST) without that response.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reset;

/// A running server. Dropped, it stops accepting and ends its connections in the background.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
    _stop_when_dropped: DropGuard,
}

impl Server {
    /// Binds 127.0.0.1 and serves what `router` makes of the stop signal, which ends when the server is to stop.
    pub(crate) async fn start(
        port: u16,
        router: impl FnOnce(CancellationToken) -> Router,
    ) -> Result<Self, SandboxError> {
        let bind = |source| SandboxError::Bind { port, source };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let router = router(stop.clone());
        tasks.spawn(accept(listener, router, stop.clone(), tasks.clone()));
        Ok(Self { address, _stop_when_dropped: stop.clone().drop_guard(), stop, tasks })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections are open.
    #[cfg(test)]
    pub(crate) fn connections(&self) -> usize {
        // One task is the accept loop.
        self.tasks.len().saturating_sub(1)
    }

    /// Stops accepting, lets what is under way end for at most a second, and returns when nothing runs any more.
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
    // Without it, an answer in two segments waits 40 ms for the client's delayed acknowledgement.
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

/// Ends a connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("reset on purpose")]
struct ResetOnPurpose;

impl Service<Request<Incoming>> for Resetting {
    type Response = Response<axum::body::Body>;
    type Error = ResetOnPurpose;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let answering = self.router.call(request);
        let reset = self.reset.clone();
        Box::pin(async move {
            let response = match answering.await {
                Ok(response) => response,
                Err(never) => match never {},
            };
            if response.extensions().get::<Reset>().is_some() {
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
