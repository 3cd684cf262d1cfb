//! FlexOrch over TLS, behind a company's own root certificate.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::support::{TestApp, TestAppBuilder, s3_event};

/// A TLS front for a plain server; returns its port and the root certificate as PEM.
async fn tls_front(plain_port: u16) -> (u16, String) {
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &root).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(mut tls) = acceptor.accept(stream).await {
                    let mut plain = TcpStream::connect(("127.0.0.1", plain_port)).await.unwrap();
                    let _ = copy_bidirectional(&mut tls, &mut plain).await;
                }
            });
        }
    });
    (port, root.pem())
}

#[tokio::test]
async fn ssl_cert_file_is_the_root_that_is_trusted_and_without_it_the_public_ones_are() {
    let behind = TestApp::start().await;
    let port = behind.flexorch.base_url().rsplit(':').next().unwrap().trim_end_matches("/v1").parse().unwrap();
    let (port, root) = tls_front(port).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("roots.pem");
    std::fs::write(&file, root).unwrap();
    let url = format!("https://localhost:{port}/v1");

    let trusting =
        TestAppBuilder::new().await.env("FLEXORCH_BASE_URL", &url).env("SSL_CERT_FILE", file.display()).start().await;
    assert_eq!(trusting.invoke(s3_event(["a.pdf"])).await.ok()["forwarded"], 1);
    assert_eq!(behind.submitted_keys(), ["a.pdf"]);

    let not_trusting = TestAppBuilder::new().await.env("FLEXORCH_BASE_URL", &url).env("MAX_ATTEMPTS", 1).start().await;
    let answer = not_trusting.invoke(s3_event(["b.pdf"])).await;
    assert!(answer.error().contains("1 unavailable"), "{}", answer.error());
    assert_eq!(behind.submitted_keys(), ["a.pdf"]);
}
