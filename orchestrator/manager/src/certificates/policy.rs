//! Who gets a certificate, and of which role. Pure; the comparing of secrets takes constant time.

use std::time::Duration;

use ca::{JoinToken, secrets_match};
use model::{Cluster, Node, NodeId, Role, Secret, SwarmError};

use crate::words::{invalid, removed};

/// Docker's default life of a node certificate; taken where the setting is 0.
const DEFAULT_LIFE: Duration = Duration::from_hours(90 * 24);

/// What a request for a certificate is granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Grant {
    /// A new node of this role.
    Join(Role),
    /// A new certificate for a member, of the role it has now.
    Renew {
        /// The member.
        node: NodeId,
        /// Its role.
        role: Role,
    },
}

/// A join token counts more than a certificate: who shows one wants to be a new node.
pub(crate) fn decide(
    cluster: &Cluster,
    token: Option<&Secret>,
    member: Option<(&NodeId, Option<&Node>)>,
) -> Result<Grant, SwarmError> {
    if let Some(token) = token {
        return role_of_token(cluster, token).map(Grant::Join);
    }
    match member {
        Some((_, Some(node))) => Ok(Grant::Renew { node: node.id.clone(), role: node.state.role }),
        Some((id, None)) => Err(removed(id)),
        None => Err(invalid("A valid join token is necessary to join this cluster")),
    }
}

/// How long certificates live.
pub(crate) fn certificate_life(cluster: &Cluster) -> Duration {
    match u64::try_from(cluster.spec.ca_config.node_cert_expiry) {
        Ok(nanoseconds) if nanoseconds > 0 => Duration::from_nanos(nanoseconds),
        Ok(_) | Err(_) => DEFAULT_LIFE,
    }
}

fn role_of_token(cluster: &Cluster, token: &Secret) -> Result<Role, SwarmError> {
    let refused = || invalid("A valid join token is necessary to join this cluster");
    let token: JoinToken = token.expose().parse().map_err(|_| refused())?;
    let root = cluster.state.root_ca.root().ok_or_else(refused)?;
    // Both are compared always, so that the time tells nothing of which one nearly fitted.
    let is_manager = secrets_match(token.secret(), &cluster.state.join_secrets.manager);
    let is_worker = secrets_match(token.secret(), &cluster.state.join_secrets.worker);
    if !token.trusts(root) {
        return Err(refused());
    }
    match (is_manager, is_worker) {
        (true, _) => Ok(Role::Manager),
        (false, true) => Ok(Role::Worker),
        (false, false) => Err(refused()),
    }
}

#[cfg(test)]
mod tests {
    use model::{ErrorKind, Meta, NodeSpec, NodeState};
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::testing::cluster;

    fn token(cluster: &Cluster, secret: &Secret) -> Secret {
        Secret::new(JoinToken::new(&cluster.state.root_ca.roots[0], secret).unwrap().to_string())
    }

    fn member(role: Role) -> Node {
        Node {
            id: NodeId::generate(&mut StdRng::seed_from_u64(9)),
            meta: Meta::default(),
            spec: NodeSpec::default(),
            state: NodeState { role, ..NodeState::default() },
        }
    }

    #[test]
    fn a_token_decides_the_role_of_a_new_node() {
        let cluster = cluster(1);
        let check = |secret: &Secret, role: Role| {
            assert_eq!(decide(&cluster, Some(&token(&cluster, secret)), None), Ok(Grant::Join(role)));
        };

        check(&cluster.state.join_secrets.worker, Role::Worker);
        check(&cluster.state.join_secrets.manager, Role::Manager);
    }

    #[test]
    fn a_wrong_token_and_one_of_another_swarm_are_refused_in_dockers_words() {
        let (ours, other) = (cluster(1), cluster(2));
        let check = |token: Secret| {
            let error = decide(&ours, Some(&token), None).unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidArgument);
            assert_eq!(
                error.message,
                "rpc error: code = InvalidArgument desc = A valid join token is necessary to join this cluster"
            );
        };

        check(Secret::new("SWMTKN-1-nonsense"));
        check(token(&ours, &other.state.join_secrets.worker));
        check(token(&other, &other.state.join_secrets.worker));
        check(token(&other, &ours.state.join_secrets.worker));
    }

    #[test]
    fn a_member_renews_with_the_role_it_has_now() {
        let cluster = cluster(1);
        let node = member(Role::Manager);

        let grant = decide(&cluster, None, Some((&node.id, Some(&node))));

        assert_eq!(grant, Ok(Grant::Renew { node: node.id.clone(), role: Role::Manager }));
    }

    #[test]
    fn a_removed_node_and_a_stranger_get_nothing() {
        let cluster = cluster(1);
        let node = member(Role::Worker);

        assert_eq!(decide(&cluster, None, Some((&node.id, None))).unwrap_err().kind, ErrorKind::PermissionDenied);
        assert_eq!(decide(&cluster, None, None).unwrap_err().kind, ErrorKind::InvalidArgument);
    }

    #[test]
    fn a_life_of_zero_is_the_default() {
        let mut cluster = cluster(1);

        cluster.spec.ca_config.node_cert_expiry = 0;
        assert_eq!(certificate_life(&cluster), DEFAULT_LIFE);

        cluster.spec.ca_config.node_cert_expiry = 3_600_000_000_000;
        assert_eq!(certificate_life(&cluster), Duration::from_hours(1));
    }
}
