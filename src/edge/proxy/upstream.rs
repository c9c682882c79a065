//! The server behind the proxy: where it is, how it is reached, and what requests have to call it.
//!
//! The query string of its address is used and never shown.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use hyper::Uri;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::MaybeTlsStream;

use crate::edge::connect::{CONNECT_TIMEOUT, sentence_of_io};
use crate::parse::Misuse;
use crate::wire::url::without_secrets;

/// A connection to the server.
pub type ServerStream = MaybeTlsStream<TcpStream>;

/// Receive buffer of a connection behind a slow link. The kernel's own would hide the slowness from
/// the server for megabytes.
const SLOW_RECEIVE_BUFFER: u32 = 64 << 10;

/// Whose certificate is accepted as the server's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ServerTrust {
    /// Anyone this machine trusts.
    #[default]
    System,
    /// Anyone for whom a file of PEM certificates vouches.
    File(PathBuf),
    Anybody,
}

/// A server and how to reach it.
#[derive(Clone)]
pub struct Upstream {
    host: String,
    port: u16,
    authority: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    /// What a handshake for `/` asks for instead.
    target: Option<String>,
}

impl Upstream {
    /// Reads `ws://host:port`, `wss://`, `http://` or `https://`. Handshakes that ask for no path of
    /// their own get the path and query of this address.
    pub fn parse(url: &str, trust: &ServerTrust) -> Result<Upstream> {
        let shown = without_secrets(url);
        let uri: Uri = url.parse().map_err(|error| {
            Misuse(format!("{shown} is no address: {error}; write ws://host:port"))
        })?;
        let is_secure = match uri.scheme_str() {
            Some("ws" | "http") => false,
            Some("wss" | "https") => true,
            _ => bail!(Misuse(format!(
                "{shown} is no address of a server; it has to begin with ws:// or wss://"
            ))),
        };
        let authority = uri.authority().ok_or_else(|| Misuse(format!("{shown} names no host")))?;
        ensure!(
            !authority.as_str().contains('@'),
            Misuse::new(
                "user and password in an address are not sent; leave them out and let the client \
                 send its own"
            )
        );
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = || {
            let name = ServerName::try_from(host.clone());
            name.map_err(|_| anyhow!("{host} is no name of a host"))
        };
        let tls = match is_secure {
            true => Some((TlsConnector::from(Arc::new(client_config(trust)?)), name()?)),
            false => None,
        };
        let target = uri.path_and_query().map(ToString::to_string);
        Ok(Upstream {
            port: authority.port_u16().unwrap_or(if is_secure { 443 } else { 80 }),
            authority: authority.as_str().to_owned(),
            host,
            tls,
            target: target.filter(|target| target != "/"),
        })
    }

    /// What a `Host` header calls the server.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// What a handshake for `/` asks for instead.
    #[must_use]
    pub fn target(&self) -> Option<&str> {
        self.target.as_deref()
    }

    /// What an `Origin` header calls the server.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http{}://{}", if self.tls.is_some() { "s" } else { "" }, self.authority)
    }

    /// The address of a WebSocket on the server, without secrets.
    #[must_use]
    pub fn shown(&self, target: &str) -> String {
        let scheme = if self.tls.is_some() { "wss" } else { "ws" };
        without_secrets(&format!("{scheme}://{}{target}", self.authority))
    }

    /// Whether this is the server that listens at an address.
    pub async fn is_at(&self, address: SocketAddr) -> bool {
        let found = lookup_host((self.host.as_str(), self.port)).await;
        found.is_ok_and(|mut found| {
            let all = address.ip().is_unspecified();
            found.any(|one| one.port() == address.port() && (all || one.ip() == address.ip()))
        })
    }

    /// Connects. `is_slow` keeps the receive buffer small, so that data waits at the server.
    pub async fn connect(&self, is_slow: bool) -> Result<ServerStream> {
        let shown = self.shown("");
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, self.reach(is_slow)).await;
        connected
            .unwrap_or_else(|_| Err(timed_out()))
            .map_err(|error| anyhow!("cannot connect to {shown}: {}", sentence_of(&error)))
    }

    async fn reach(&self, is_slow: bool) -> io::Result<ServerStream> {
        let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in lookup_host((self.host.as_str(), self.port)).await? {
            match open(address, is_slow).await {
                Ok(stream) => return self.secure(stream).await,
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    async fn secure(&self, stream: TcpStream) -> io::Result<ServerStream> {
        stream.set_nodelay(true)?;
        Ok(match &self.tls {
            Some((connector, name)) => {
                MaybeTlsStream::Rustls(connector.connect(name.clone(), stream).await?)
            }
            None => MaybeTlsStream::Plain(stream),
        })
    }
}

async fn open(address: SocketAddr, is_slow: bool) -> io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    if is_slow {
        socket.set_recv_buffer_size(SLOW_RECEIVE_BUFFER)?;
    }
    socket.connect(address).await
}

/// The TCP connection below the TLS, if there is any.
pub(super) fn tcp_of(stream: &ServerStream) -> Option<&TcpStream> {
    match stream {
        MaybeTlsStream::Plain(stream) => Some(stream),
        MaybeTlsStream::Rustls(stream) => Some(stream.get_ref().0),
        _ => None,
    }
}

fn timed_out() -> io::Error {
    let waited = Duration::as_secs(&CONNECT_TIMEOUT);
    io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {waited} s"))
}

/// What a failed connection means, and what to do.
fn sentence_of(error: &io::Error) -> String {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let Some(rustls::Error::InvalidCertificate(reason)) = tls else {
        return sentence_of_io(error);
    };
    match reason {
        CertificateError::UnknownIssuer => {
            "its certificate comes from nobody whom this machine trusts; name the issuer's with \
             --ca FILE, or accept any with --insecure"
                .to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is for another name; use that name, or accept any with --insecure"
                .to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired; renew it, or accept any with --insecure".to_owned()
        }
        other => format!("its certificate is refused: {other}; --insecure accepts any"),
    }
}

fn client_config(trust: &ServerTrust) -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .context("no version of TLS is available")?;
    let mut config = match trust {
        ServerTrust::Anybody => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Credulous { provider }))
            .with_no_client_auth(),
        ServerTrust::System | ServerTrust::File(_) => {
            builder.with_root_certificates(roots(trust)?).with_no_client_auth()
        }
    };
    // A WebSocket begins with a request of HTTP/1.1.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn roots(trust: &ServerTrust) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    if let ServerTrust::File(path) = trust {
        let unreadable = || format!("{} holds no certificates in PEM form", path.display());
        for certificate in CertificateDer::pem_file_iter(path).with_context(unreadable)? {
            roots.add(certificate.with_context(unreadable)?).with_context(unreadable)?;
        }
        ensure!(!roots.is_empty(), "{}", unreadable());
    } else {
        // Some stores hold certificates that cannot be parsed; the others count.
        let (_, _) =
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        ensure!(!roots.is_empty(), "this machine trusts no certificates; name some with --ca FILE");
    }
    Ok(roots)
}

/// Accepts any certificate, and still checks that the server has its key.
#[derive(Debug)]
struct Credulous {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, expected: (&str, u16, &str, Option<&str>)) {
        let upstream = Upstream::parse(url, &ServerTrust::Anybody).unwrap();
        let (host, port, origin, target) = expected;
        assert_eq!((upstream.host.as_str(), upstream.port), (host, port), "{url}");
        assert_eq!((upstream.origin().as_str(), upstream.target()), (origin, target), "{url}");
        assert!(!upstream.shown("/x?token=SECRET").contains("SECRET"));
    }

    #[test]
    fn addresses() {
        check("ws://pod:1318", ("pod", 1318, "http://pod:1318", None));
        check("http://pod/", ("pod", 80, "http://pod", None));
        check("wss://pod.io", ("pod.io", 443, "https://pod.io", None));
        check("wss://pod.io:8/ws?sig=a/b", ("pod.io", 8, "https://pod.io:8", Some("/ws?sig=a/b")));
        check("ws://[::1]:99?k=v", ("::1", 99, "http://[::1]:99", Some("/?k=v")));
    }

    #[track_caller]
    fn check_refused(url: &str, sentence: &str) {
        let error = Upstream::parse(url, &ServerTrust::System).err().unwrap().to_string();
        assert!(error.contains(sentence), "{url}: {error}");
        assert!(!error.contains("SECRET"), "{url}: {error}");
    }

    #[test]
    fn what_is_no_address() {
        check_refused("pod:1318", "has to begin with ws:// or wss://");
        check_refused("ftp://pod", "has to begin with ws:// or wss://");
        check_refused("ws://", "is no address");
        check_refused("ws://me:SECRET@pod", "are not sent");
        check_refused("ws://a b/?x=SECRET", "is no address");
    }

    #[test]
    fn failed_connections_say_what_to_do() {
        let refused = |why| {
            let why = rustls::Error::InvalidCertificate(why);
            sentence_of(&io::Error::new(io::ErrorKind::InvalidData, why))
        };
        for (why, part) in [
            (CertificateError::UnknownIssuer, "from nobody whom this machine trusts"),
            (CertificateError::NotValidForName, "is for another name"),
            (CertificateError::Expired, "has expired"),
            (CertificateError::Revoked, "is refused: "),
        ] {
            let sentence = refused(why);
            assert!(sentence.contains(part) && sentence.contains("--insecure"), "{sentence}");
        }
        let io = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(sentence_of(&io), sentence_of_io(&io));
        assert!(sentence_of(&timed_out()).contains("no answer within"));
    }
}
