//! Where the operator comes from, as the world sees this workstation: asked of services that answer with the address
//! of whoever asks. A firewall then lets in this one address.
//!
//! All are asked at once. Two that agree are believed, and so is one that is alone in answering; where two differ, one of
//! them would let somebody else in, so neither is.

use std::net::IpAddr;
use std::time::Duration;

use driver::Capabilities;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use crate::cluster::ClusterSpec;
use crate::journal::Journal;

/// The environment variable that names other services, separated by commas.
pub const SERVICES_VARIABLE: &str = "SWARMUP_ADDRESS_SERVICES";
/// The services that are asked: Amazon's, ipify's, Icanhazip's (Cloudflare's).
const SERVICES: [&str; 3] = ["https://checkip.amazonaws.com", "https://api.ipify.org", "https://ipv4.icanhazip.com"];
/// How long each may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest answer that is read: an address and the end of its line.
const LONGEST_ANSWER: usize = 64;

/// Why it is not known where the operator comes from.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// No service has answered with an address.
    #[error("no service told the address that this workstation is seen by ({reasons})")]
    NoAnswer {
        /// What came of each.
        reasons: String,
    },
    /// Two services have answered with different addresses.
    #[error("services differ about the address that this workstation is seen by ({answers})")]
    Disagreement {
        /// Who has named which.
        answers: String,
    },
    /// The machines are reached by private addresses, where nobody can tell.
    #[error("machines with private addresses only cannot tell where you come from")]
    Private,
}

impl OperatorError {
    /// What the user can do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::NoAnswer { .. } | Self::Disagreement { .. } => {
                format!("name it: --ssh-from ADDRESS; or other services in {SERVICES_VARIABLE}")
            }
            Self::Private => "name the prefix that you reach them from: --ssh-from CIDR".to_owned(),
        }
    }
}

/// An address, and who told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The address that this workstation is seen by.
    pub address: IpAddr,
    /// The services that said so.
    pub services: String,
}

/// The address that this workstation is seen by, where a firewall has to know it and nothing was said about it. Asked
/// once: a cluster that is resumed or changed keeps the address until `swarmup allow-me`.
pub async fn seen_if_unknown(journal: &Journal, capabilities: Capabilities) -> Result<Option<Seen>, OperatorError> {
    let is_known = !journal.spec.ingress.ssh_from.is_empty() || !journal.operator.is_empty();
    if is_known || !capabilities.has_firewall {
        return Ok(None);
    }
    seen_by(&journal.spec).await.map(Some)
}

/// The address that this workstation is seen by, for the machines of a cluster.
pub async fn seen_by(spec: &ClusterSpec) -> Result<Seen, OperatorError> {
    if spec.options.one(driver::cloud::PRIVATE) == Some("true") {
        return Err(OperatorError::Private);
    }
    ask().await
}

/// Asks the services.
async fn ask() -> Result<Seen, OperatorError> {
    let given = std::env::var(SERVICES_VARIABLE).unwrap_or_default();
    let given: Vec<&str> = given.split(',').map(str::trim).filter(|service| !service.is_empty()).collect();
    ask_each(if given.is_empty() { &SERVICES } else { &given }).await
}

async fn ask_each(services: &[&str]) -> Result<Seen, OperatorError> {
    ca::install_crypto();
    let asking = services.iter().map(|service| async move { (*service, ask_one(service).await) });
    let mut asking: FuturesUnordered<_> = asking.collect();
    let mut first: Option<(IpAddr, &str)> = None;
    let mut reasons = Vec::new();
    while let Some((service, answer)) = asking.next().await {
        match (answer, first) {
            (Err(reason), _) => reasons.push(format!("{service}: {reason}")),
            (Ok(address), None) => first = Some((address, service)),
            (Ok(address), Some((known, other))) if address == known => {
                return Ok(Seen { address, services: format!("{other} and {service}") });
            }
            (Ok(address), Some((known, other))) => {
                let answers = format!("{other}: {known}; {service}: {address}");
                return Err(OperatorError::Disagreement { answers });
            }
        }
    }
    if let Some((address, service)) = first {
        return Ok(Seen { address, services: service.to_owned() });
    }
    reasons.sort();
    Err(OperatorError::NoAnswer { reasons: reasons.join("; ") })
}

async fn ask_one(service: &str) -> Result<IpAddr, String> {
    let client = reqwest::Client::builder()
        .timeout(PATIENCE)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| model::with_causes(&error))?;
    let answer = client.get(service).send().await.map_err(|error| model::with_causes(&error))?;
    if !answer.status().is_success() {
        return Err(format!("it answered {}", answer.status()));
    }
    let mut answer = answer;
    let mut text = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(|error| model::with_causes(&error))? {
        text.extend_from_slice(&part);
        if text.len() > LONGEST_ANSWER {
            return Err("its answer is no address".to_owned());
        }
    }
    let text = String::from_utf8_lossy(&text);
    let told: Option<IpAddr> = text.trim().parse().ok();
    told.filter(is_somebodys).ok_or_else(|| "its answer is no address".to_owned())
}

/// Whether somebody can come from an address.
fn is_somebodys(address: &IpAddr) -> bool {
    let is_everybodys = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    !is_everybodys && !address.is_unspecified() && !address.is_loopback() && !address.is_multicast()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// A service that gives one answer to everybody.
    async fn service(status: &'static str, body: String) -> (String, tokio::task::JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut serving = tokio::task::JoinSet::new();
        serving.spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await.unwrap();
                let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                stream.write_all(head.as_bytes()).await.unwrap();
                stream.write_all(body.as_bytes()).await.unwrap();
            }
        });
        (format!("http://{address}"), serving)
    }

    #[tokio::test]
    async fn a_service_that_is_alone_in_naming_an_address_is_believed() {
        let (broken, _first) = service("500 Oops", "203.0.113.1".to_owned()).await;
        let (chatty, _second) = service("200 OK", "<html>".repeat(100)).await;
        let (good, _third) = service("200 OK", "203.0.113.7\n".to_owned()).await;

        let seen = ask_each(&[&broken, &chatty, &good]).await.unwrap();

        assert_eq!(seen, Seen { address: "203.0.113.7".parse().unwrap(), services: good });
    }

    #[tokio::test]
    async fn two_that_agree_are_enough_and_the_third_is_not_waited_for() {
        let (one, _first) = service("200 OK", "203.0.113.7\n".to_owned()).await;
        let (other, _second) = service("200 OK", "203.0.113.7".to_owned()).await;
        let deaf = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let silent = format!("http://{}", deaf.local_addr().unwrap());

        let seen = ask_each(&[&silent, &one, &other]).await.unwrap();

        assert!(seen.services.contains(&one) && seen.services.contains(&other), "{seen:?}");
    }

    #[tokio::test]
    async fn services_that_differ_are_not_believed() {
        let (one, _first) = service("200 OK", "203.0.113.7".to_owned()).await;
        let (other, _second) = service("200 OK", "203.0.113.8".to_owned()).await;

        let error = ask_each(&[&one, &other]).await.unwrap_err();

        assert!(matches!(error, OperatorError::Disagreement { .. }), "{error}");
        assert!(error.to_string().contains(&format!("{one}: 203.0.113.7")), "{error}");
        assert!(error.hint().contains("--ssh-from"));
    }

    #[tokio::test]
    async fn an_address_that_nobody_can_come_from_is_none() {
        for told in ["0.0.0.0", "::", "127.0.0.1", "255.255.255.255", "224.0.0.1", "203.0.113.7/0", ""] {
            let (nonsense, _serving) = service("200 OK", told.to_owned()).await;

            let error = ask_each(&[&nonsense]).await.unwrap_err();

            assert!(error.to_string().contains(&format!("{nonsense}: its answer is no address")), "{told}: {error}");
        }
    }

    #[tokio::test]
    async fn where_none_answers_each_is_named_with_its_reason() {
        let (broken, _serving) = service("404 Not Found", String::new()).await;

        let error = ask_each(&[&broken]).await.unwrap_err();

        assert!(error.to_string().contains(&format!("{broken}: it answered 404")), "{error}");
    }
}
