//! A client of the Docker Engine API on the managers, with the cluster's client certificate.
//!
//! Reads go to all managers at once and the first answer counts, so that a manager that is down or frozen costs
//! nothing. Changes go to one that answers, and to the next where it does not: to the same one each time while it is up,
//! for it alone may have what a command before has brought, as images.
//!
//! The swarm may have changed its root since the last command. Its managers still show who they are to those who know
//! a former root; what they then say is the present one takes its place in the cluster's folder.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use model::TlsInfo;
use reqwest::{Certificate, Identity, Method};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};

use super::EngineError;
use crate::identity::{CA_FILE, CERTIFICATE_FILE, KEY_FILE, learn_roots};

/// How long a manager may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long one may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// How much later than another one a manager may answer that is listed before it, to be taken still: they are near one
/// another.
const PREFERENCE: Duration = Duration::from_millis(100);

/// The API of a swarm.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    folder: PathBuf,
    managers: Vec<SocketAddr>,
}

impl Client {
    /// A client of these managers, with the credentials in a cluster's folder.
    pub(super) fn new(folder: &Path, managers: Vec<SocketAddr>) -> Result<Self, EngineError> {
        ca::install_crypto();
        let http = build(folder).map_err(|source| EngineError::Credentials { folder: folder.to_owned(), source })?;
        Ok(Self { http, folder: folder.to_owned(), managers })
    }

    /// Reads an object from whichever manager answers first.
    pub(super) async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, EngineError> {
        let answers = self.managers.iter().map(|manager| self.get(*manager, path));
        let (_, bytes) = first(answers, Duration::ZERO).await?;
        serde_json::from_slice(&bytes)
            .map_err(|source| EngineError::Answer { request: format!("GET {path}"), source: source.into() })
    }

    /// Reads the swarm, and tells from whom: the first of the managers that answers in time. The roots it has are taken over.
    pub(super) async fn swarm<T: DeserializeOwned>(&self) -> Result<(SocketAddr, T), EngineError> {
        let wrong =
            |source: serde_json::Error| EngineError::Answer { request: "GET /swarm".to_owned(), source: source.into() };
        let answers = self.managers.iter().map(|manager| self.get(*manager, "/swarm"));
        let (manager, bytes) = first(answers, PREFERENCE).await?;
        let Trusting { tls_info } = serde_json::from_slice(&bytes).map_err(wrong)?;
        learn_roots(&self.folder, &tls_info.trust_root)
            .map_err(|source| EngineError::Credentials { folder: self.folder.clone(), source: source.into() })?;
        Ok((manager, serde_json::from_slice(&bytes).map_err(wrong)?))
    }

    /// The first manager that serves swarm calls.
    pub(super) async fn endpoint(&self) -> Result<SocketAddr, EngineError> {
        let (manager, IgnoredAny) = self.swarm().await?;
        Ok(manager)
    }

    /// Changes an object by way of a manager that answers.
    pub(super) async fn change(
        &self,
        method: Method,
        path: &str,
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<(), EngineError> {
        let manager = self.endpoint().await?;
        self.send(manager, method, path, body).await.map(|_| ())
    }

    /// Sends every manager the same POST without a body, and waits for all of them; one that takes it is enough.
    pub(super) async fn tell_all(&self, path: &str) -> Result<(), EngineError> {
        let told = self.managers.iter().map(|manager| self.send(*manager, Method::POST, path, None::<&()>));
        let told = join_all(told).await;
        first(told.into_iter().map(std::future::ready), Duration::ZERO).await.map(|_: Vec<u8>| ())
    }

    async fn get(&self, manager: SocketAddr, path: &str) -> Result<(SocketAddr, Vec<u8>), EngineError> {
        self.send(manager, Method::GET, path, None::<&()>).await.map(|bytes| (manager, bytes))
    }

    /// A POST to a manager, to be filled.
    pub(super) fn post(&self, manager: SocketAddr, path: &str) -> reqwest::RequestBuilder {
        self.http.post(format!("https://{manager}{path}"))
    }

    pub(super) async fn send(
        &self,
        manager: SocketAddr,
        method: Method,
        path: &str,
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<Vec<u8>, EngineError> {
        let lost = |source: reqwest::Error| EngineError::Connection { address: manager, source: source.into() };
        let mut request = self.http.request(method, format!("https://{manager}{path}"));
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.map_err(lost)?;
        let status = answer.status();
        let bytes = answer.bytes().await.map_err(lost)?;
        if status.is_success() {
            return Ok(bytes.into());
        }
        Err(EngineError::Refused { status: status.as_u16(), message: refusal(&bytes) })
    }
}

/// Docker's swarm, as far as its roots are concerned.
#[derive(Debug, Deserialize)]
struct Trusting {
    #[serde(rename = "TLSInfo")]
    tls_info: TlsInfo,
}

/// The words of a refusal: Docker's `{"message": …}`, else what there is.
pub(crate) fn refusal(bytes: &[u8]) -> String {
    let message = serde_json::from_slice::<serde_json::Value>(bytes)
        .ok()
        .and_then(|value| Some(value.get("message")?.as_str()?.to_owned()));
    message.unwrap_or_else(|| String::from_utf8_lossy(bytes).trim().chars().take(200).collect())
}

/// The first success, or that of the first in the list which comes no more than `preference` later; where there is none,
/// the most telling failure: a refusal rather than a lost connection.
async fn first<T>(
    answers: impl IntoIterator<Item = impl Future<Output = Result<T, EngineError>>>,
    preference: Duration,
) -> Result<T, EngineError> {
    let numbered = answers.into_iter().enumerate().map(async |(place, answer)| (place, answer.await));
    let mut answers: FuturesUnordered<_> = numbered.collect();
    let mut awaited: BTreeSet<usize> = (0..answers.len()).collect();
    let mut best: Option<(usize, T, Instant)> = None;
    let mut failure: Option<EngineError> = None;
    loop {
        let next = match &best {
            Some((place, ..)) if awaited.range(..place).next().is_none() => None,
            Some((.., deadline)) => timeout_at(*deadline, answers.next()).await.unwrap_or(None),
            None => answers.next().await,
        };
        let Some((place, answer)) = next else { break };
        awaited.remove(&place);
        match (answer, &best) {
            (Ok(answer), None) => best = Some((place, answer, Instant::now() + preference)),
            (Ok(answer), Some((other, _, deadline))) if place < *other => best = Some((place, answer, *deadline)),
            (Err(error), _) if matches!(error, EngineError::Refused { .. }) || failure.is_none() => {
                failure = Some(error);
            }
            (Ok(_), Some(_)) | (Err(_), _) => {}
        }
    }
    match (best, failure) {
        (Some((_, answer, _)), _) => Ok(answer),
        (None, Some(error @ EngineError::Refused { .. })) => Err(error),
        (None, other) => Err(EngineError::NoManager { source: other.map(Box::new) }),
    }
}

fn build(folder: &Path) -> Result<reqwest::Client, Box<dyn std::error::Error + Send + Sync>> {
    let roots = Certificate::from_pem_bundle(&std::fs::read(folder.join(CA_FILE))?)?;
    let mut identity = std::fs::read(folder.join(CERTIFICATE_FILE))?;
    identity.extend(std::fs::read(folder.join(KEY_FILE))?);
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only(roots)
        .identity(Identity::from_pem(&identity)?)
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(ANSWER_TIMEOUT)
        .build()?;
    Ok(client)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_in_dockers_words() {
        assert_eq!(refusal(br#"{"message":"node x not found"}"#), "node x not found");
        assert_eq!(refusal(b"bad gateway\n"), "bad gateway");
    }

    #[tokio::test]
    async fn a_refusal_says_more_than_a_lost_connection() {
        let address = SocketAddr::from(([192, 0, 2, 1], 2376));
        let answers = [
            Err(EngineError::Refused { status: 503, message: "no leader".to_owned() }),
            Err(EngineError::Connection { address, source: "refused".into() }),
        ];

        let error = first::<()>(answers.map(std::future::ready), Duration::ZERO).await.unwrap_err();

        assert_eq!(error.to_string(), "no leader");
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_manager_in_the_list_is_waited_for_a_moment_and_no_longer() {
        let check = async |millis: [Option<u64>; 3], expected: (usize, u64)| {
            let answers = millis.into_iter().enumerate().map(async |(place, millis)| {
                tokio::time::sleep(Duration::from_millis(millis.unwrap_or(10))).await;
                let address = SocketAddr::from(([192, 0, 2, 1], 2376));
                millis.map(|_| place).ok_or_else(|| EngineError::Connection { address, source: "refused".into() })
            });
            let begun = Instant::now();

            let chosen = first(answers, Duration::from_millis(100)).await.unwrap();

            let elapsed = u64::try_from(begun.elapsed().as_millis()).unwrap();
            assert_eq!((chosen, elapsed), expected, "{millis:?}");
        };
        check([Some(20), Some(30), Some(40)], (0, 20)).await;
        check([Some(90), Some(30), Some(60)], (0, 90)).await;
        check([Some(5000), Some(60), Some(30)], (1, 130)).await;
        check([Some(5000), Some(5000), Some(30)], (2, 130)).await;
        check([None, Some(60), Some(30)], (1, 60)).await;
        check([None, None, Some(30)], (2, 30)).await;
    }
}
