//! Has every node changed over to the new root? Pure.

use model::{Node, RootCa, RootRotation, TlsInfo};

/// What is to be done for a change of the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// None is under way.
    Rest,
    /// A node has not changed over: it will say so when it has, and one that is down holds the change open.
    Wait,
    /// All have: the old root may go.
    Complete,
}

/// Decides the next step; does nothing itself.
pub(super) fn next_step<'a>(root_ca: &RootCa, mut nodes: impl Iterator<Item = &'a Node>) -> Step {
    let Some(rotation) = &root_ca.rotation else {
        return Step::Rest;
    };
    let Ok(wanted) = ca::swarm_tls_info(std::slice::from_ref(&rotation.certificate)) else {
        return Step::Wait;
    };
    if nodes.all(|node| has_changed_over(node, rotation, &wanted)) { Step::Complete } else { Step::Wait }
}

/// Whether a node has said that the new root signed its certificate, and that it trusts the new root.
fn has_changed_over(node: &Node, rotation: &RootRotation, wanted: &TlsInfo) -> bool {
    node.state.description.as_ref().is_some_and(|description| {
        let told = &description.tls;
        told.cert_issuer_public_key == wanted.cert_issuer_public_key
            && told.cert_issuer_subject == wanted.cert_issuer_subject
            && told.trust_root.contains(&rotation.certificate)
    })
}

#[cfg(test)]
mod tests {
    use ca::Authority;
    use jiff::Timestamp;
    use model::{Meta, NodeDescription, NodeHealth, NodeId, NodeSpec, NodeState};
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::root::changed;

    fn changing() -> (RootCa, Vec<String>) {
        let old = Authority::generate("swarm-ca", Timestamp::now()).unwrap();
        let settled = RootCa::new(old.certificate_pem(), old.key_pem());
        let changing = changed(&settled, None, true, Timestamp::now()).unwrap();
        let roots = changing.trusted();
        (changing, roots)
    }

    /// A node whose certificate the first root has signed, and that trusts those given.
    fn node(issuer: &str, roots: &[&str]) -> Node {
        let issuer = ca::swarm_tls_info(&[issuer.to_owned()]).unwrap();
        let tls = TlsInfo { trust_root: roots.concat(), ..issuer };
        let mut state = NodeState {
            description: Some(NodeDescription { tls, ..NodeDescription::default() }),
            ..NodeState::default()
        };
        state.status.state = NodeHealth::Ready;
        Node {
            id: NodeId::generate(&mut StdRng::seed_from_u64(1)),
            meta: Meta::default(),
            spec: NodeSpec::default(),
            state,
        }
    }

    fn down(mut node: Node) -> Node {
        node.state.status.state = NodeHealth::Down;
        node
    }

    #[test]
    fn the_old_root_goes_once_every_node_has_changed_over() {
        let (root_ca, roots) = changing();
        let (new, old) = (roots[0].as_str(), roots[1].as_str());
        let done = node(new, &[new, old]);
        let mut silent = done.clone();
        silent.state.description = None;
        let check = |nodes: &[&Node], expected: Step| assert_eq!(next_step(&root_ca, nodes.iter().copied()), expected);

        check(&[&done, &done], Step::Complete);
        check(&[&done, &node(new, &[new])], Step::Complete);
        check(&[&done, &node(old, &[new, old])], Step::Wait);
        check(&[&done, &node(new, &[old])], Step::Wait);
        check(&[&done, &silent], Step::Wait);
    }

    #[test]
    fn a_node_that_is_down_counts_like_any_other() {
        let (root_ca, roots) = changing();
        let (new, old) = (roots[0].as_str(), roots[1].as_str());
        let check = |node: &Node, expected: Step| assert_eq!(next_step(&root_ca, [node].into_iter()), expected);

        check(&down(node(old, &[old])), Step::Wait);
        check(&down(node(new, &[new, old])), Step::Complete);
    }

    #[test]
    fn without_a_change_there_is_nothing_to_do() {
        let (root_ca, roots) = changing();
        let node = node(&roots[1], &[&roots[1]]);

        assert_eq!(next_step(&root_ca.completed(), [&node].into_iter()), Step::Rest);
    }
}
