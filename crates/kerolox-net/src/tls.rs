//! TLS on both sides: certificates from PEM files, or a self-made one for tests.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{
    ClientConfig, ConfigBuilder, DigitallySignedStruct, Error as RustlsError, RootCertStore, ServerConfig,
    SignatureScheme, WantsVerifier,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use crate::socket::Socket;

/// First byte of a TLS connection. A plain frame begins with the top byte of its length: 0 or 1.
pub(crate) const TLS_FIRST_BYTE: u8 = 0x16;

/// Whether a listener takes TLS.
#[derive(Debug, Clone)]
pub enum TlsMode {
    /// Plain connections only.
    Disabled,
    /// Both, told apart by the first byte.
    Permissive(ServerTls),
    /// TLS only.
    Enforcing(ServerTls),
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read the {what} {}: {source}", path.display())]
    Read {
        /// `certificate`, `key` or `CA certificate`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{} holds no usable {what}: {why}", path.display())]
    Pem {
        /// `certificate`, `key` or `CA certificate`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The pieces do not fit together, such as a key of another certificate.
    #[error("certificate and key cannot be used: {0}")]
    Unusable(String),
}

/// Where a server's certificate lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTlsFiles {
    /// Certificate chain, PEM.
    pub cert: PathBuf,
    /// Private key, PEM, not encrypted.
    pub key: PathBuf,
    /// Certificates of those who may sign client certificates, PEM; none to ask clients for nothing.
    pub client_ca: Option<PathBuf>,
    /// With `client_ca`: whether a client without certificate is turned away.
    pub client_cert_required: bool,
}

/// A server's side of TLS.
#[derive(Clone)]
pub struct ServerTls(TlsAcceptor);

impl ServerTls {
    /// Uses the certificate and key of these files.
    ///
    /// # Errors
    /// When a file is missing or does not hold what it should.
    pub fn from_files(files: &ServerTlsFiles) -> Result<Self, TlsError> {
        let chain = certificates(&files.cert, "certificate")?;
        let key = private_key(&files.key)?;
        let builder = server_builder()?;
        let builder = match &files.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(path)?), provider());
                let verifier = if files.client_cert_required { verifier } else { verifier.allow_unauthenticated() };
                builder.with_client_cert_verifier(verifier.build().map_err(unusable)?)
            }
        };
        Ok(Self::of(builder.with_single_cert(chain, key).map_err(unusable)?))
    }

    /// Uses a certificate made on the spot, which proves nothing: for tests, and for clients that trust anything.
    ///
    /// # Errors
    /// When the certificate cannot be made.
    pub fn self_made() -> Result<Self, TlsError> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).map_err(unusable)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let chain = vec![made.cert.der().clone()];
        let config = server_builder()?.with_no_client_auth().with_single_cert(chain, key).map_err(unusable)?;
        Ok(Self::of(config))
    }

    fn of(config: ServerConfig) -> Self {
        Self(TlsAcceptor::from(Arc::new(config)))
    }

    pub(crate) async fn accept(&self, stream: Socket) -> io::Result<server::TlsStream<Socket>> {
        self.0.accept(stream).await
    }
}

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerTls")
    }
}

/// A client's side of TLS.
#[derive(Clone)]
pub struct ClientTls(TlsConnector);

impl ClientTls {
    /// Trusts servers whose certificate leads to one in this PEM file and bears the name dialled.
    ///
    /// # Errors
    /// When the file is missing or holds no certificate.
    pub fn trusting(ca: &Path) -> Result<Self, TlsError> {
        let config = client_builder()?.with_root_certificates(roots(ca)?).with_no_client_auth();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Trusts anybody: encrypts, but proves nothing. For tests.
    ///
    /// # Errors
    /// When TLS cannot be set up at all.
    pub fn trusting_anyone() -> Result<Self, TlsError> {
        let builder = client_builder()?.dangerous();
        let config = builder.with_custom_certificate_verifier(Arc::new(Anyone(provider()))).with_no_client_auth();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Shakes hands with the server reached under `host`.
    ///
    /// # Errors
    /// When `host` cannot stand in a certificate, or the handshake fails.
    pub async fn connect(&self, host: &str, stream: TcpStream) -> io::Result<client::TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        self.0.connect(name, stream).await
    }
}

impl std::fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientTls")
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// TLS 1.2 and 1.3; renegotiation does not exist in this implementation.
fn server_builder() -> Result<ConfigBuilder<ServerConfig, WantsVerifier>, TlsError> {
    ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().map_err(unusable)
}

fn client_builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, TlsError> {
    ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().map_err(unusable)
}

fn unusable(error: impl std::fmt::Display) -> TlsError {
    TlsError::Unusable(error.to_string())
}

fn read(path: &Path, what: &'static str) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Read { what, path: path.to_owned(), source })
}

fn certificates(path: &Path, what: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bad = |why: String| TlsError::Pem { what, path: path.to_owned(), why };
    let text = read(path, what)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|error| bad(error.to_string()))?;
    if found.is_empty() {
        return Err(bad("no `BEGIN CERTIFICATE` in it".to_owned()));
    }
    Ok(found)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read(path, "key")?;
    let encrypted = text.windows(9).any(|w| w == b"ENCRYPTED");
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
        let why = if encrypted {
            "it is encrypted; store it without a password, readable by this node only".to_owned()
        } else {
            error.to_string()
        };
        TlsError::Pem { what: "key", path: path.to_owned(), why }
    })
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    const WHAT: &str = "CA certificate";
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, WHAT)? {
        let bad = |error: RustlsError| TlsError::Pem { what: WHAT, path: path.to_owned(), why: error.to_string() };
        roots.add(certificate).map_err(bad)?;
    }
    Ok(roots)
}

/// Takes any certificate, but insists that the server holds its key.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, RustlsError> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, RustlsError> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, RustlsError> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(dir: &Path) -> ServerTlsFiles {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (cert, key) = (dir.join("cert.pem"), dir.join("key.pem"));
        fs::write(&cert, made.cert.pem()).unwrap();
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        ServerTlsFiles { cert, key, client_ca: None, client_cert_required: false }
    }

    #[test]
    fn usable_files_are_taken_with_and_without_client_certificates() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = files(dir.path());
        assert!(ServerTls::from_files(&files).is_ok());
        files.client_ca = Some(files.cert.clone());
        assert!(ServerTls::from_files(&files).is_ok());
        assert!(ClientTls::trusting(&files.cert).is_ok());
    }

    #[test]
    fn errors_name_the_file_and_what_is_wrong_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let good = files(dir.path());
        let other = tempfile::tempdir().unwrap();
        let text = |files: &ServerTlsFiles| ServerTls::from_files(files).unwrap_err().to_string();

        let missing = ServerTlsFiles { cert: dir.path().join("none.pem"), ..good.clone() };
        assert!(text(&missing).contains("cannot read the certificate") && text(&missing).contains("none.pem"));
        let swapped = ServerTlsFiles { cert: good.key.clone(), ..good.clone() };
        assert!(text(&swapped).contains("no `BEGIN CERTIFICATE`"), "{}", text(&swapped));
        let no_key = ServerTlsFiles { key: good.cert.clone(), ..good.clone() };
        assert!(text(&no_key).contains("no usable key"), "{}", text(&no_key));
        let foreign = ServerTlsFiles { key: files(other.path()).key, ..good.clone() };
        assert!(text(&foreign).contains("cannot be used"), "{}", text(&foreign));
        fs::write(&good.key, "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")
            .unwrap();
        assert!(text(&good).contains("encrypted"), "{}", text(&good));
    }
}
