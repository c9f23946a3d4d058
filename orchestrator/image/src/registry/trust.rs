//! Whom the client believes to be the registry: by the machine's roots and the public ones, or anybody.

use std::sync::Arc;

use reqwest::redirect::Policy;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_platform_verifier::Verifier;

use super::{RegistryError, RegistrySettings};

/// How often an answer may send us elsewhere.
const REDIRECTS: usize = 10;

/// A client that checks certificates, or one that does not.
pub(super) fn client(settings: &RegistrySettings, is_strict: bool) -> Result<reqwest::Client, RegistryError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().map_err(RegistryError::Tls)?.dangerous();
    let tls = if is_strict {
        // The public roots come along: a node without any must be able to pull.
        let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned();
        let verifier = Verifier::new_with_extra_roots(roots, provider).map_err(RegistryError::Tls)?;
        builder.with_custom_certificate_verifier(Arc::new(verifier))
    } else {
        builder.with_custom_certificate_verifier(Arc::new(Anybody { provider }))
    };
    let redirects = Policy::custom(move |attempt| {
        let was_secure = attempt.previous().last().is_some_and(|url| url.scheme() == "https");
        if is_strict && was_secure && attempt.url().scheme() != "https" {
            attempt.error("a secure registry leads to an address that is not")
        } else if attempt.previous().len() > REDIRECTS {
            attempt.error("the registry leads from one address to the next")
        } else {
            attempt.follow()
        }
    });
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls.with_no_client_auth())
        .user_agent(concat!("swarmd/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(settings.connect_timeout)
        .redirect(redirects);
    // Hosts that are spoken to without checks are near: no proxy stands before them.
    let builder = if is_strict { builder } else { builder.no_proxy() };
    builder.build().map_err(RegistryError::Client)
}

/// Believes every certificate, as the operator has allowed for some hosts.
#[derive(Debug)]
struct Anybody {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Anybody {
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
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::generate_simple_self_signed;
    use rustls::ServerConfig;
    use rustls::pki_types::PrivateKeyDer;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::task::JoinSet;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    /// Answers everything with nothing, behind a certificate that nobody has signed.
    async fn serve(servers: &mut JoinSet<()>) -> String {
        let made = generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let acceptor = TlsAcceptor::from(Arc::new(builder.with_single_cert(vec![made.cert.into()], key).unwrap()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("https://{}/v2/", listener.local_addr().unwrap());
        servers.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut request = [0; 1024];
                drop(stream.read(&mut request).await);
                drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await);
                drop(stream.shutdown().await);
            }
        });
        address
    }

    #[tokio::test]
    async fn a_certificate_that_nobody_signed_is_believed_where_that_is_allowed_only() {
        let mut servers = JoinSet::new();
        let address = serve(&mut servers).await;
        let settings = RegistrySettings::default();

        let strict = client(&settings, true).unwrap().get(&address).send().await;
        let lax = client(&settings, false).unwrap().get(&address).send().await;

        assert!(strict.unwrap_err().is_connect());
        assert!(lax.unwrap().status().is_success());
    }
}
