//! What a claimed host says about itself, on its own disk.

use std::net::IpAddr;

use driver::{ClusterId, DriverError};
use reach::{Command, ReachError, Session, quote};
use serde::{Deserialize, Serialize};

/// Where a host says whose it is. A folder of its own: the agent's is removed with the agent, and a host may be a
/// workstation as well, with machines of its own.
pub(crate) const FOLDER: &str = "/var/lib/swarmup-host";
/// Where it says so.
pub(crate) const FILE: &str = "/var/lib/swarmup-host/host.json";
/// The firewall's rules that are ours, a line each.
pub(crate) const RULES_FILE: &str = "/var/lib/swarmup-host/firewall";

/// Whose a host is, and which machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HostRecord {
    /// The cluster's mark.
    pub(crate) mark: ClusterId,
    /// The cluster's name, for messages.
    pub(crate) cluster: String,
    /// The machine's name: `<cluster>-node-N`.
    pub(crate) name: String,
    /// The address that the other members use.
    pub(crate) address: IpAddr,
}

/// Claims a host that nobody holds; returns who holds it then, which may be somebody who was faster.
pub(crate) async fn claim(session: &dyn Session, record: &HostRecord) -> Result<HostRecord, DriverError> {
    let body = serde_json::to_string(record).expect("a record has string keys only");
    // Only one of two can make the link.
    let script = format!(
        "set -e; umask 077; [ -d {FOLDER} ] || mkdir -p {FOLDER}; draft={FOLDER}/.host.$$; \
         printf %s {body} >\"$draft\"; ln \"$draft\" {FILE} 2>/dev/null || true; rm -f \"$draft\"; \
         sync {FILE} 2>/dev/null || true; read -r holder <{FILE} || true; echo; echo \"swarmup:$holder\"",
        body = quote(&body)
    );
    let command = Command::shell(script).as_root();
    let peer = session.peer();
    let output = session.run(&command).await.and_then(|output| output.expect_success(peer, &command));
    let text = output.map_err(|error| unreached("claim the host", error))?.text();
    let answer = text.lines().rev().find_map(|line| line.strip_prefix("swarmup:")).unwrap_or_default();
    serde_json::from_str(answer).map_err(|_| {
        let answer = answer.chars().take(200).collect();
        unreached("claim the host", ReachError::BadAnswer { peer: peer.to_owned(), action: "claim it", answer })
    })
}

/// Gives a host back: after this it says nothing of us any more.
pub(crate) async fn release(session: &dyn Session) -> Result<(), DriverError> {
    let script = format!(
        "set -e; rm -f {binary} {binary_folder}/.swarmup.??????; rm -f {rules} {file} {folder}/.host.*; \
         if [ -d {folder} ]; then rmdir {folder}; fi",
        binary = quote(reach::AGENT_PATH),
        binary_folder = "/usr/local/bin",
        rules = RULES_FILE,
        file = FILE,
        folder = FOLDER,
    );
    let command = Command::shell(script).as_root();
    let output = session.run(&command).await.and_then(|output| output.expect_success(session.peer(), &command));
    output.map(|_| ()).map_err(|error| unreached("give the host back", error))
}

/// A host that could not be asked, or would not do it.
pub(crate) fn unreached(action: &str, error: ReachError) -> DriverError {
    DriverError::Provider { action: action.to_owned(), is_transient: error.is_transient(), source: Box::new(error) }
}
