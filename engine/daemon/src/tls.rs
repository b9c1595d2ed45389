//! TLS as a client: one builder for HTTP and PostgreSQL alike.
//!
//! A certificate is trusted either because an authority in the configured file signed it, and then
//! no other authority counts, or because the operating system trusts it. No list of authorities
//! is compiled in, so what a site removes from its system is not trusted here either.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WantsClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;

/// Why TLS cannot be set up as configured.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TlsError {
    /// The file with certificate authorities cannot be read or is not PEM.
    #[error("cannot read the certificate authorities in {path}")]
    CaFile {
        /// The configured file.
        path: PathBuf,
        /// What is wrong with it.
        source: Arc<rustls::pki_types::pem::Error>,
    },
    /// The file has no usable certificate.
    #[error("there is no usable certificate in {path}")]
    NoCa {
        /// The configured file.
        path: PathBuf,
    },
    /// The own certificate or its private key cannot be read or is not PEM.
    #[error("cannot read the certificate or private key in {path}")]
    Identity {
        /// The configured file.
        path: PathBuf,
        /// What is wrong with it; never what stands in it.
        source: Arc<rustls::pki_types::pem::Error>,
    },
    /// The library refuses.
    #[error("TLS cannot be set up")]
    Setup(#[source] Arc<rustls::Error>),
}

/// Chooses ring as this process's cryptography. Harmless when done more than once.
pub fn install_provider() {
    // An error only says that it has been chosen before.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A client that trusts the authorities in the PEM file `ca`, or, without one, those of the
/// operating system.
pub fn client_config(ca: Option<&Path>) -> Result<ClientConfig, TlsError> {
    Ok(trusting(ca)?.with_no_client_auth())
}

/// The same, for a server that asks for a certificate: certificate and private key, both PEM files.
pub fn client_config_as(
    ca: Option<&Path>,
    certificate: &Path,
    key: &Path,
) -> Result<ClientConfig, TlsError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        |error| TlsError::Identity { path, source: Arc::new(error) }
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(unreadable(certificate))?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(unreadable(key))?;
    trusting(ca)?
        .with_client_auth_cert(chain, secret)
        .map_err(|error| TlsError::Setup(Arc::new(error)))
}

fn trusting(ca: Option<&Path>) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, TlsError> {
    let setup = |error| TlsError::Setup(Arc::new(error));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(setup)?;
    let Some(path) = ca else {
        return builder.with_platform_verifier().map_err(setup);
    };
    let unreadable = |error| TlsError::CaFile { path: path.to_owned(), source: Arc::new(error) };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
        let certificate = certificate.map_err(unreadable)?;
        roots.add(certificate).map_err(setup)?;
    }
    if roots.is_empty() {
        return Err(TlsError::NoCa { path: path.to_owned() });
    }
    Ok(builder.with_root_certificates(roots))
}
