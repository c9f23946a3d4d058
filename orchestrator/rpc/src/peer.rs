//! Who is at the other end of a connection.

use std::time::Duration;

use ca::{CertificateError, CertificateInfo};
use jiff::Timestamp;
use model::{NodeId, Role, SwarmError};
use rustls_pki_types::CertificateDer;
use tonic::Status;

use crate::to_status;

/// The identity in the certificate of a peer, whose signature the handshake has checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerIdentity {
    /// The node.
    pub node_id: NodeId,
    /// Its role.
    pub role: Role,
}

impl PeerIdentity {
    /// Reads the identity from the first certificate that a peer presented.
    pub(crate) fn of_chain(chain: &[CertificateDer<'_>]) -> Result<Self, CertificateError> {
        let leaf = chain.first().ok_or(CertificateError::Malformed)?;
        let info = CertificateInfo::from_der(leaf)?;
        Ok(Self { node_id: info.node_id, role: info.role })
    }
}

/// How long the certificate of a peer still lives.
pub(crate) fn remaining_life(chain: &[CertificateDer<'_>]) -> Result<Duration, CertificateError> {
    let leaf = chain.first().ok_or(CertificateError::Malformed)?;
    let rest = CertificateInfo::from_der(leaf)?.not_after.duration_since(Timestamp::now());
    Ok(Duration::try_from(rest).unwrap_or(Duration::ZERO))
}

/// The peer that sent a request; none where it presented no certificate.
pub fn peer<T>(request: &tonic::Request<T>) -> Option<&PeerIdentity> {
    request.extensions().get::<PeerIdentity>()
}

/// Who may call a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nodes with a manager's certificate.
    Managers,
    /// Every node of the swarm.
    Nodes,
    /// Also those without a certificate.
    Anybody,
}

impl Access {
    /// Refuses a caller that may not.
    pub(crate) fn check(self, caller: Option<&PeerIdentity>) -> Result<(), Status> {
        match (self, caller.map(|peer| peer.role)) {
            (Self::Anybody, _) | (Self::Nodes, Some(_)) | (Self::Managers, Some(Role::Manager)) => Ok(()),
            (Self::Managers, Some(Role::Worker)) => {
                Err(refusal(model::ErrorKind::PermissionDenied, "the certificate of a manager is needed for this call"))
            }
            (Self::Managers | Self::Nodes, None) => {
                Err(refusal(model::ErrorKind::Unauthenticated, "the certificate of a node is needed for this call"))
            }
        }
    }
}

fn refusal(kind: model::ErrorKind, message: &str) -> Status {
    to_status(SwarmError::new(kind, message))
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    fn identity(role: Role) -> PeerIdentity {
        PeerIdentity { node_id: "1234567890123456789012345".parse().expect("an id"), role }
    }

    #[test]
    fn access_follows_the_role() {
        let manager = identity(Role::Manager);
        let worker = identity(Role::Worker);
        let check = |access: Access, caller: Option<&PeerIdentity>, expected: Result<(), Code>| {
            assert_eq!(access.check(caller).map_err(|status| status.code()), expected, "{access:?} {caller:?}");
        };

        check(Access::Managers, Some(&manager), Ok(()));
        check(Access::Managers, Some(&worker), Err(Code::PermissionDenied));
        check(Access::Managers, None, Err(Code::Unauthenticated));
        check(Access::Nodes, Some(&manager), Ok(()));
        check(Access::Nodes, Some(&worker), Ok(()));
        check(Access::Nodes, None, Err(Code::Unauthenticated));
        check(Access::Anybody, Some(&worker), Ok(()));
        check(Access::Anybody, None, Ok(()));
    }
}
