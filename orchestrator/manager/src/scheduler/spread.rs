//! The tree that tasks of a group are dealt out over: a level for each spread preference, nodes at the leaves.
//!
//! ```text
//! node.labels.zone            east (5 tasks)              west (3)      next: west, the branch with the fewest
//! node.labels.rack        a (2)        b (3)          c (2)     d (1)         d
//! nodes, by rank         n1 n4        n2 n7           n3        n5 n6         the best of n5 and n6
//! ```
//! Dealing one task at a time to the branch with the fewest keeps branches as even as they can be, leaves a remainder
//! where it is least, and passes by what is full. A node without the label is in the branch of the empty value.

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;
use std::collections::binary_heap::{BinaryHeap, PeekMut};

use model::{Node, PlacementPreference, Task};

use super::rank::{Rank, mix};

/// How many levels count: branches double at each, so that there is a node a branch long before.
const LEVELS: usize = 16;

/// A label that nodes are told apart by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SpreadLabel {
    /// One of the operator's.
    Node(String),
    /// One of the engine's.
    Engine(String),
}

impl SpreadLabel {
    /// The labels that a task's service is spread over, the first one first. What is no label is passed by.
    pub(super) fn of(task: &Task) -> Vec<Self> {
        let preferences = task.spec.placement.as_ref().map_or(&[][..], |placement| &placement.preferences);
        preferences.iter().filter_map(Self::parse).take(LEVELS).collect()
    }

    fn parse(preference: &PlacementPreference) -> Option<Self> {
        let descriptor = &preference.spread.as_ref()?.spread_descriptor;
        let name_after = |beginning: &str| {
            let (head, name) = descriptor.split_at_checked(beginning.len())?;
            (head.eq_ignore_ascii_case(beginning) && !name.is_empty()).then(|| name.to_owned())
        };
        name_after("node.labels.").map(Self::Node).or_else(|| name_after("engine.labels.").map(Self::Engine))
    }

    fn value<'n>(&self, node: &'n Node) -> &'n str {
        let value = match self {
            Self::Node(name) => node.spec.labels.get(name),
            Self::Engine(name) => node.state.description.as_ref().and_then(|it| it.engine.labels.get(name)),
        };
        value.map_or("", String::as_str)
    }
}

/// A node as the tree is grown of it.
#[derive(Debug)]
pub(super) struct Leaf<'n> {
    pub(super) node: &'n Node,
    /// Its place in the list of nodes.
    pub(super) place: usize,
    /// Its tasks of the service.
    pub(super) tasks: u32,
    /// Its rank; none where it cannot be given a task.
    pub(super) rank: Option<Rank>,
}

/// The tree, or a branch of it.
#[derive(Debug)]
pub(super) enum Tree {
    /// Branches, the one with the fewest tasks on top.
    Branches(BinaryHeap<Reverse<Branch>>),
    /// Nodes, the best on top.
    Nodes(BinaryHeap<Reverse<(Rank, usize)>>),
}

/// A branch.
#[derive(Debug)]
pub(super) struct Branch {
    /// The tasks of the service on its nodes, also on those that can be given none.
    tasks: u64,
    /// Tells branches apart that have as many.
    tie: u64,
    tree: Tree,
}

impl Tree {
    /// Grows the tree for so many tasks. A branch of which no node can be given a task is left out.
    pub(super) fn grow(labels: &[SpreadLabel], leaves: Vec<Leaf<'_>>, tasks: usize, salt: u64) -> Self {
        let Some((label, below)) = labels.split_first() else {
            return Self::Nodes(best(&leaves, tasks));
        };
        let mut values: BTreeMap<&str, Vec<Leaf<'_>>> = BTreeMap::new();
        for leaf in leaves {
            values.entry(label.value(leaf.node)).or_default().push(leaf);
        }
        let branches =
            values.into_values().zip(1..).filter(|(leaves, _)| leaves.iter().any(|leaf| leaf.rank.is_some()));
        let branches = branches.map(|(leaves, number)| {
            let held = leaves.iter().map(|leaf| u64::from(leaf.tasks)).sum();
            Reverse(Branch { tasks: held, tie: mix(salt ^ number), tree: Self::grow(below, leaves, tasks, salt) })
        });
        Self::Branches(branches.collect())
    }

    /// Takes the place of the node that gets the next task; none where all are full. `give` gives the task to the node
    /// at a place, and tells its rank for another one, or that it is full.
    pub(super) fn deal(&mut self, give: &mut impl FnMut(Rank, usize) -> Option<Rank>) -> Option<usize> {
        match self {
            Self::Branches(branches) => loop {
                let mut fewest = branches.peek_mut()?;
                if let Some(place) = fewest.0.tree.deal(give) {
                    fewest.0.tasks += 1;
                    return Some(place);
                }
                PeekMut::pop(fewest);
            },
            Self::Nodes(nodes) => {
                let mut best = nodes.peek_mut()?;
                let Reverse((rank, place)) = *best;
                match give(rank, place) {
                    Some(rank) => best.0.0 = rank,
                    None => drop(PeekMut::pop(best)),
                }
                Some(place)
            }
        }
    }
}

/// The nodes that can be among the next so many picks: each pick uses one, and the others do not become better.
fn best(leaves: &[Leaf<'_>], tasks: usize) -> BinaryHeap<Reverse<(Rank, usize)>> {
    let mut nodes: Vec<_> = leaves.iter().filter_map(|leaf| Some(Reverse((leaf.rank?, leaf.place)))).collect();
    if tasks < nodes.len() {
        nodes.select_nth_unstable_by(tasks, |a, b| a.0.cmp(&b.0));
        nodes.truncate(tasks);
    }
    nodes.into()
}

impl Ord for Branch {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.tasks, self.tie).cmp(&(other.tasks, other.tie))
    }
}

impl PartialOrd for Branch {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Branch {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Branch {}
