//! What holds for every sequence of transactions.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use model::{Node, NodeId, Role, SwarmError};
use proptest::prelude::*;

use super::{node, node_id};
use crate::entry::Entry;
use crate::state::State;
use crate::{Clock, Snapshot, Store, Transaction};

/// One step of a transaction on one of a few nodes.
#[derive(Debug, Clone)]
enum Step {
    Create(u64),
    Promote(u64),
    Remove(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let number = 0..6_u64;
    prop_oneof![
        number.clone().prop_map(Step::Create),
        number.clone().prop_map(Step::Promote),
        number.prop_map(Step::Remove),
    ]
}

fn run(transaction: &mut Transaction, steps: &[Step]) -> Result<(), SwarmError> {
    steps.iter().try_for_each(|step| match step {
        Step::Create(number) => transaction.create_node(node(*number)),
        Step::Promote(number) => {
            transaction.update_node(&node_id(*number), None, |node| node.state.role = Role::Manager)
        }
        Step::Remove(number) => transaction.remove_node(&node_id(*number)),
    })
}

/// The same steps on a plain map: `None` if one of them is refused.
fn expected(mut nodes: BTreeMap<NodeId, Role>, steps: &[Step]) -> Option<BTreeMap<NodeId, Role>> {
    for step in steps {
        match step {
            Step::Create(number) if nodes.contains_key(&node_id(*number)) => return None,
            Step::Create(number) => drop(nodes.insert(node_id(*number), Role::Worker)),
            Step::Promote(number) => *nodes.get_mut(&node_id(*number))? = Role::Manager,
            Step::Remove(number) => drop(nodes.remove(&node_id(*number))?),
        }
    }
    Some(nodes)
}

fn roles(snapshot: &Snapshot) -> BTreeMap<NodeId, Role> {
    snapshot.nodes().map(|node| (node.id.clone(), node.state.role)).collect()
}

fn contents(state: &State) -> Vec<Arc<Node>> {
    Snapshot(Arc::new(state.clone())).nodes().cloned().collect()
}

proptest! {
    #[test]
    fn a_transaction_does_all_of_its_steps_or_none(transactions in prop::collection::vec(prop::collection::vec(step(), 0..6), 0..20)) {
        let mut state = Arc::new(State::default());
        let mut model = BTreeMap::new();
        for (index, steps) in (1..).zip(transactions) {
            let mut transaction = Transaction::new(&state, state.index, Timestamp::UNIX_EPOCH);
            let ran = run(&mut transaction, &steps);

            let wanted = expected(model.clone(), &steps);
            prop_assert_eq!(ran.is_ok(), wanted.is_some());
            let Some(wanted) = wanted else { continue };
            let changed = transaction.finish().unwrap();
            let bytes = Entry::new(state.index, Timestamp::UNIX_EPOCH, changed.changes).encode();
            let (next, _) = state.apply(index, Entry::decode(&bytes).unwrap()).unwrap();

            model = wanted;
            state = Arc::new(next);
            prop_assert_eq!(roles(&Snapshot(Arc::clone(&state))), model.clone());
            let managers = model.values().filter(|role| **role == Role::Manager).count();
            prop_assert_eq!(Snapshot(Arc::clone(&state)).nodes_by_role(Role::Manager).count(), managers);
        }

        let restored = State::decode(&state.encode()).unwrap();
        prop_assert_eq!(restored.index, state.index);
        prop_assert_eq!(contents(&restored), contents(&state));
    }

    #[test]
    fn an_entry_made_for_another_state_is_void(base in 1..100_u64) {
        let state = State::default();

        prop_assert!(state.apply(100, Entry::new(base, Timestamp::UNIX_EPOCH, Vec::new())).is_none());
    }

    #[test]
    fn arbitrary_bytes_are_neither_entry_nor_snapshot(bytes: Vec<u8>) {
        let store = Store::new(Clock::system());

        prop_assert!(store.state_machine().apply(1, &bytes).is_err());
        prop_assert!(store.state_machine().restore(&bytes).is_err());
        prop_assert_eq!(store.view().index(), 0);
    }
}

#[test]
fn a_snapshot_with_objects_of_an_unknown_kind_is_refused() {
    #[derive(serde::Serialize)]
    struct Newer {
        format: u8,
        index: u64,
        time: Timestamp,
        objects: BTreeMap<&'static str, Vec<u8>>,
    }
    let newer =
        |kind| Newer { format: 1, index: 1, time: Timestamp::UNIX_EPOCH, objects: BTreeMap::from([(kind, vec![])]) };

    assert!(State::decode(&crate::codec::encode(&newer("nodes"))).is_ok());
    assert!(State::decode(&crate::codec::encode(&newer("unheard_of"))).is_err());
}
