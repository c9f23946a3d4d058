//! A real registry: Debian's package `docker-registry`, on loopback, with a folder of its own.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The user that a closed registry knows, with the password [`PASSWORD`].
pub(crate) const USER: &str = "somebody";
pub(crate) const PASSWORD: &str = "let-me-in";
/// `htpasswd -B` of both.
const ACCOUNT: &str = "somebody:$2y$04$aBY5FIutU44lmqr3DzEgD.Iff8gQ2KdJz7JPeYSHXt7GLQg8NGwxu\n";

/// A registry that ends with this value.
#[derive(Debug)]
pub(crate) struct DebianRegistry {
    process: Child,
    /// Host and port.
    pub(crate) address: String,
    _folder: TempDir,
}

/// How a registry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Open,
    Closed,
    Secured,
}

impl DebianRegistry {
    /// Open to everybody.
    pub(crate) async fn open() -> Self {
        Self::start(Manner::Open).await
    }

    /// Open to [`USER`] alone.
    pub(crate) async fn closed() -> Self {
        Self::start(Manner::Closed).await
    }

    /// Open to everybody, over https, with a certificate that nobody signed.
    pub(crate) async fn secured() -> Self {
        Self::start(Manner::Secured).await
    }

    async fn start(manner: Manner) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(path("account"), ACCOUNT).unwrap();
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        std::fs::write(path("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(path("key.pem"), made.signing_key.serialize_pem()).unwrap();
        let secured = format!(", tls: {{certificate: {}, key: {}}}", path("cert.pem"), path("key.pem"));
        let closed = format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", path("account"));
        let settings = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '127.0.0.1:0'{}}}\n{}",
            path("data"),
            if manner == Manner::Secured { secured.as_str() } else { "" },
            if manner == Manner::Closed { closed.as_str() } else { "" },
        );
        std::fs::write(path("settings.yml"), settings).unwrap();
        let log = std::fs::File::create(path("log")).unwrap();
        let process = Command::new("docker-registry")
            .args(["serve", &path("settings.yml")])
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("Debian's package docker-registry is installed");
        let log = path("log");
        let mut registry = Self { process, address: String::new(), _folder: folder };
        let deadline = Instant::now() + Duration::from_secs(20);
        while registry.address.is_empty() {
            let text = std::fs::read_to_string(&log).unwrap();
            assert!(Instant::now() < deadline, "the registry does not listen: {text}");
            if let Some((_, rest)) = text.split_once("listening on ") {
                let end = rest
                    .find(|letter: char| letter == '"' || letter == ',' || letter.is_whitespace())
                    .unwrap_or(rest.len());
                registry.address = rest[..end].to_owned();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        registry
    }
}

impl Drop for DebianRegistry {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
