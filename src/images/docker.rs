//! The Docker engine on this workstation, as the one that has the images.
//!
//! It is found as `docker` finds it: `DOCKER_HOST`, else the context that is in use, else the usual socket. An engine that
//! is elsewhere is not taken: after `swarmup env` that would be the cluster itself.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt as _;

use super::hex;
use crate::engine::refusal;
use crate::platform;

/// Where Docker's engine listens where nothing else is said.
const SOCKET: &str = "/var/run/docker.sock";
/// How a socket is named.
const SCHEME: &str = "unix://";
/// The context that means the usual socket.
const DEFAULT_CONTEXT: &str = "default";
/// How long the engine may take to begin: it looks through its layers first.
const BEGINNING: Duration = Duration::from_mins(2);
/// How long it may be silent in between.
const SILENCE: Duration = Duration::from_mins(2);

/// Why the engine on this workstation gave no images.
#[derive(Debug, thiserror::Error)]
pub enum DockerError {
    /// It is named, and is elsewhere.
    #[error("the Docker engine that {by} names is not on this workstation: {host}")]
    Elsewhere {
        /// What names it.
        by: String,
        /// What it is called.
        host: String,
    },
    /// Nobody answers.
    #[error("no Docker engine answers at `{}`", socket.display())]
    NotThere {
        /// Where.
        socket: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It refuses, in its own words.
    #[error("{0}")]
    Refused(String),
    /// It broke off, or there is no room for what it gives.
    #[error("failed to read the images from the Docker engine")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl DockerError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        const OTHERWISE: &str = "`docker save IMAGE | swarmup load --input -`, or `swarmup load --input FILE`";
        match self {
            Self::Elsewhere { by, .. } => {
                Some(format!("set {by} back to the engine here, or save the images with it: {OTHERWISE}"))
            }
            Self::NotThere { .. } => Some(format!("start it, or give the images as an archive: {OTHERWISE}")),
            Self::Refused(_) => Some("`docker image ls` shows what this workstation has".to_owned()),
            Self::Broken(_) => None,
        }
    }
}

/// The Docker engine on this workstation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalDocker {
    socket: PathBuf,
}

/// What is read of the settings of `docker`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Settings {
    current_context: String,
}

/// What is read of a context of `docker`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContextFile {
    endpoints: Endpoints,
}

#[derive(Debug, Deserialize)]
struct Endpoints {
    docker: Endpoint,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Endpoint {
    host: String,
}

impl LocalDocker {
    /// The engine that `docker` would use.
    ///
    /// # Errors
    /// That is one elsewhere.
    pub fn find() -> Result<Self, DockerError> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let folder = variable("DOCKER_CONFIG").map(PathBuf::from);
        let folder = folder.or_else(|| Some(etcetera::home_dir().ok()?.join(".docker")));
        Self::named(variable("DOCKER_HOST"), variable("DOCKER_CONTEXT"), folder.as_deref())
    }

    /// The engine by the variables and the settings in a folder.
    fn named(host: Option<String>, context: Option<String>, folder: Option<&Path>) -> Result<Self, DockerError> {
        let (by, host) = match (host, folder) {
            (Some(host), _) => ("DOCKER_HOST".to_owned(), host),
            (None, Some(folder)) => {
                let context = context.or_else(|| current_context(folder)).unwrap_or_default();
                let host = context_host(folder, &context);
                (format!("docker's context `{context}`"), host.unwrap_or_else(|| format!("{SCHEME}{SOCKET}")))
            }
            (None, None) => (String::new(), format!("{SCHEME}{SOCKET}")),
        };
        match host.strip_prefix(SCHEME) {
            Some(socket) => Ok(Self { socket: PathBuf::from(socket) }),
            None => Err(DockerError::Elsewhere { by, host }),
        }
    }

    /// Writes images into a file that nobody else sees, as `docker save` does; tells the bytes so far.
    ///
    /// # Errors
    /// The engine does not answer, does not have them, or breaks off.
    pub async fn save(&self, images: &[String], on_bytes: impl Fn(u64)) -> Result<File, DockerError> {
        let not_there = |source| DockerError::NotThere { socket: self.socket.clone(), source };
        let broken = |error: io::Error| DockerError::Broken(error.into());
        ca::install_crypto();
        let client = platform::client_on_socket(&self.socket).map_err(|error| not_there(error.into()))?;
        let names = images.iter().map(|image| ("names", image));
        let address = reqwest::Url::parse_with_params("http://docker/images/get", names);
        let asked = client.get(address.expect("the address is well-formed")).send();
        let answer = tokio::time::timeout(BEGINNING, asked).await;
        let answer = answer.map_err(|_| broken(io::ErrorKind::TimedOut.into()))?;
        let mut answer = answer.map_err(|error| not_there(error.into()))?;
        if !answer.status().is_success() {
            let text = answer.bytes().await.map_err(|error| DockerError::Broken(error.into()))?;
            return Err(DockerError::Refused(refusal(&text)));
        }
        let mut file = tokio::fs::File::from_std(tempfile::tempfile().map_err(broken)?);
        let mut received = 0;
        loop {
            let piece = tokio::time::timeout(SILENCE, answer.chunk()).await;
            let piece = piece.map_err(|_| broken(io::ErrorKind::TimedOut.into()))?;
            let Some(piece) = piece.map_err(|error| DockerError::Broken(error.into()))? else { break };
            file.write_all(&piece).await.map_err(broken)?;
            received += piece.len() as u64;
            on_bytes(received);
        }
        file.flush().await.map_err(broken)?;
        Ok(file.into_std().await)
    }
}

fn current_context(folder: &Path) -> Option<String> {
    let text = std::fs::read(folder.join("config.json")).ok()?;
    let settings: Settings = serde_json::from_slice(&text).ok()?;
    Some(settings.current_context)
}

/// Where the engine of a context is; `None` for the default one, and for one that is not there.
fn context_host(folder: &Path, context: &str) -> Option<String> {
    if context.is_empty() || context == DEFAULT_CONTEXT {
        return None;
    }
    let folder = folder.join("contexts/meta").join(hex(&Sha256::digest(context)));
    let text = std::fs::read(folder.join("meta.json")).ok()?;
    let context: ContextFile = serde_json::from_slice(&text).ok()?;
    Some(context.endpoints.docker.host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(path: &str) -> LocalDocker {
        LocalDocker { socket: PathBuf::from(path) }
    }

    /// A folder of docker's, whose context in use is called so and leads there.
    fn folder(context: &str, host: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let meta = folder.path().join("contexts/meta").join(hex(&Sha256::digest(context)));
        std::fs::create_dir_all(&meta).unwrap();
        let settings = serde_json::json!({"currentContext": context});
        std::fs::write(folder.path().join("config.json"), settings.to_string()).unwrap();
        let file = serde_json::json!({"Name": context, "Endpoints": {"docker": {"Host": host}}});
        std::fs::write(meta.join("meta.json"), file.to_string()).unwrap();
        folder
    }

    #[test]
    fn the_engine_is_the_one_that_docker_would_use() {
        let rootless = folder("rootless", "unix:///run/user/1000/docker.sock");
        let named = |host: Option<&str>, context: Option<&str>| {
            LocalDocker::named(host.map(str::to_owned), context.map(str::to_owned), Some(rootless.path())).unwrap()
        };

        assert_eq!(named(Some("unix:///tmp/d.sock"), Some("rootless")), socket("/tmp/d.sock"));
        assert_eq!(named(None, None), socket("/run/user/1000/docker.sock"));
        assert_eq!(named(None, Some("rootless")), socket("/run/user/1000/docker.sock"));
        assert_eq!(named(None, Some("default")), socket(SOCKET));
        assert_eq!(LocalDocker::named(None, None, None).unwrap(), socket(SOCKET));
    }

    #[test]
    fn an_engine_elsewhere_is_refused_with_the_way_out() {
        let far = folder("far", "ssh://user@host");

        let by_variable = LocalDocker::named(Some("tcp://10.0.0.1:2376".to_owned()), None, None).unwrap_err();
        let by_context = LocalDocker::named(None, None, Some(far.path())).unwrap_err();

        let told = "the Docker engine that DOCKER_HOST names is not on this workstation: tcp://10.0.0.1:2376";
        assert_eq!(by_variable.to_string(), told);
        assert!(by_context.to_string().contains("docker's context `far`"), "{by_context}");
        assert!(by_context.hint().unwrap().contains("--input"));
    }

    #[tokio::test]
    async fn where_no_engine_answers_the_way_by_an_archive_is_shown() {
        let nowhere = tempfile::tempdir().unwrap();
        let docker = LocalDocker { socket: nowhere.path().join("docker.sock") };

        let error = docker.save(&["a:1".to_owned()], |_| ()).await.unwrap_err();

        assert!(matches!(error, DockerError::NotThere { .. }), "{error:?}");
        assert!(error.hint().unwrap().contains("docker save IMAGE"));
    }
}
