//! The one place that names the crypto provider of TLS.

/// Makes ring the provider of rustls for the whole process. Calling it again changes nothing.
pub fn install_crypto() {
    // An error means only that a provider is installed already, and ring is the only one that is linked.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
