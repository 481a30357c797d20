//! The https page with its user's own certificate, as browsers meet it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::certificates::Authority;
use crate::ports::free_ports;
use crate::stage::Stage;

/// Files are looked at every ten seconds.
const LOOKED_AT_WITHIN: Duration = Duration::from_secs(30);

fn certificate(file: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(file).expect("PEM")
}

/// The first line of `/healthz`, and the certificate that the server has shown, to whom believes this authority.
async fn fetch(page: SocketAddr, ca_file: &Path) -> std::io::Result<(String, CertificateDer<'static>)> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate(ca_file)).expect("an authority");
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let name = "camera.example".try_into().expect("a name");
    let socket = TcpStream::connect(page).await?;
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, socket).await?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: camera.example\r\nConnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).expect("the server's");
    Ok((answer.lines().next().unwrap_or_default().to_owned(), shown.clone().into_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_own_certificate_is_shown_and_another_one_as_soon_as_it_is_in_the_files() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (ca, other) = (Authority::new(folder.path(), "ours"), Authority::new(folder.path(), "other"));
    let pair = ca.sign("page", &["camera.example"]);
    let [port] = free_ports();
    let page = SocketAddr::from(([127, 0, 0, 1], port));
    let stage = Stage::with(|config| {
        config.http.tls.bind = Some(page);
        config.http.tls.cert_file = Some(pair.cert_file.clone());
        config.http.tls.key_file = Some(pair.key_file.clone());
    })
    .await;
    let first = certificate(&pair.cert_file);
    let (line, shown) = fetch(page, &ca.ca_file).await.expect("it is believed");
    assert_eq!((line.as_str(), &shown), ("HTTP/1.1 200 OK", &first));
    let stranger = fetch(page, &other.ca_file).await.expect_err("nobody believes it blindly");
    assert!(stranger.to_string().contains("UnknownIssuer"), "{stranger}");

    // Another certificate with another key, in the same files.
    ca.sign("page", &["camera.example"]);
    let second = certificate(&pair.cert_file);
    assert_ne!(second, first);
    let exchanged = async {
        while fetch(page, &ca.ca_file).await.expect("one of the two is always shown").1 != second {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(LOOKED_AT_WITHIN, exchanged).await.expect("the new one is shown");
    stage.stop().await;
}
