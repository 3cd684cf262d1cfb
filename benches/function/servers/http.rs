//! An HTTPS/1.1 server that keeps connections open and writes head and body together.

use std::net::SocketAddr;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

pub type Reply = Response<Full<Bytes>>;

/// Serves on a free port of this machine and returns its address.
pub async fn serve<S, F>(tls: TlsAcceptor, service: S) -> SocketAddr
where
    S: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).unwrap();
            let (tls, service) = (tls.clone(), service.clone());
            tokio::spawn(async move {
                if let Ok(stream) = tls.accept(stream).await {
                    connection(stream, service).await;
                }
            });
        }
    });
    address
}

async fn connection<S, F>(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, service: S)
where
    S: Fn(Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    let service = service_fn(move |request| {
        let reply = service(request);
        async move { Ok::<_, std::convert::Infallible>(reply.await) }
    });
    // Fails if the program was killed.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// Returns a request's whole body.
pub async fn body(request: Request<Incoming>) -> Bytes {
    request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default()
}
