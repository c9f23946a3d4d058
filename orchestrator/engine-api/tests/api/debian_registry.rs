//! A real registry: Debian's package `docker-registry`, on loopback, with a folder of its own.

use std::fmt::Write as _;
use std::fs::File;
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

impl DebianRegistry {
    /// Starts one that is open to everybody, or to [`USER`] alone.
    pub(crate) async fn start(is_closed: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(path("account"), ACCOUNT).unwrap();
        let mut settings = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '127.0.0.1:0'}}\n",
            path("data")
        );
        if is_closed {
            writeln!(settings, "auth: {{htpasswd: {{realm: test, path: {}}}}}", path("account")).unwrap();
        }
        std::fs::write(path("settings.yml"), settings).unwrap();
        let process = Command::new("docker-registry")
            .args(["serve", &path("settings.yml")])
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdout(Stdio::null())
            .stderr(File::create(path("log")).unwrap())
            .spawn()
            .expect("Debian's package docker-registry is installed");
        let log = path("log");
        let mut registry = Self { process, address: String::new(), _folder: folder };
        let deadline = Instant::now() + Duration::from_secs(20);
        while registry.address.is_empty() {
            let text = std::fs::read_to_string(&log).unwrap();
            assert!(Instant::now() < deadline, "the registry does not listen: {text}");
            if let Some((_, rest)) = text.split_once("listening on ") {
                let end = rest.find(|letter: char| letter == '"' || letter.is_whitespace()).unwrap_or(rest.len());
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
