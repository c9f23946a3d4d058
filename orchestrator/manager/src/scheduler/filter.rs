//! Why a node may not run a task, in the order in which it is asked and in Docker's words.

/// What turns a node away. The order is the one in which nodes are asked: the first that does not fit is the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filter {
    /// It is not Ready, or takes no tasks.
    Ready,
    /// It has not enough left of what is to be reserved.
    Resources,
    /// It lacks a driver.
    Plugins,
    /// It is not what the constraints ask for.
    Constraints,
    /// The image does not run on it.
    Platform,
    /// A port is taken.
    HostPorts,
    /// It has as many tasks of the service as it may have.
    MaxReplicas,
}

/// All filters, in their order.
const ALL: [Filter; 7] = [
    Filter::Ready,
    Filter::Resources,
    Filter::Plugins,
    Filter::Constraints,
    Filter::Platform,
    Filter::HostPorts,
    Filter::MaxReplicas,
];

impl Filter {
    /// SwarmKit's explanation for so many nodes.
    pub(super) fn explain(self, nodes: usize) -> String {
        let on = |what: &str| format!("{what} on {}", count(nodes));
        match self {
            Self::Ready => format!("{} not available for new tasks", count(nodes)),
            Self::Resources => on("insufficient resources"),
            Self::Plugins => on("missing plugin"),
            Self::Constraints => on("scheduling constraints not satisfied"),
            Self::Platform => on("unsupported platform"),
            Self::HostPorts => on("host-mode port already in use"),
            Self::MaxReplicas => "max replicas per node limit exceed".to_owned(),
        }
    }
}

/// How many nodes each filter turned away.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally([usize; ALL.len()]);

impl Tally {
    /// Counts a node that a filter turned away.
    pub(super) fn count(&mut self, filter: Filter) {
        self.0[filter as usize] += 1;
    }

    /// SwarmKit's explanation: what turned most nodes away comes first.
    pub(super) fn explain(&self) -> String {
        let mut reasons: Vec<(usize, Filter)> =
            ALL.into_iter().map(|filter| (self.0[filter as usize], filter)).filter(|(nodes, _)| *nodes > 0).collect();
        // Stable: filters that turned as many away keep their order.
        reasons.sort_by_key(|(nodes, _)| std::cmp::Reverse(*nodes));
        let reasons: Vec<String> = reasons.into_iter().map(|(nodes, filter)| filter.explain(nodes)).collect();
        if reasons.is_empty() {
            "no suitable node".to_owned()
        } else {
            format!("no suitable node ({})", reasons.join("; "))
        }
    }
}

fn count(nodes: usize) -> String {
    if nodes == 1 { "1 node".to_owned() } else { format!("{nodes} nodes") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_filter_explains_itself_for_one_node_and_for_many() {
        let check = |filter: Filter, one: &str, many: &str| {
            assert_eq!((filter.explain(1).as_str(), filter.explain(3).as_str()), (one, many), "{filter:?}");
        };
        check(Filter::Ready, "1 node not available for new tasks", "3 nodes not available for new tasks");
        check(Filter::Resources, "insufficient resources on 1 node", "insufficient resources on 3 nodes");
        check(Filter::Plugins, "missing plugin on 1 node", "missing plugin on 3 nodes");
        check(
            Filter::Constraints,
            "scheduling constraints not satisfied on 1 node",
            "scheduling constraints not satisfied on 3 nodes",
        );
        check(Filter::Platform, "unsupported platform on 1 node", "unsupported platform on 3 nodes");
        check(Filter::HostPorts, "host-mode port already in use on 1 node", "host-mode port already in use on 3 nodes");
        check(Filter::MaxReplicas, "max replicas per node limit exceed", "max replicas per node limit exceed");
    }

    #[test]
    fn reasons_are_sorted_by_the_nodes_that_they_turned_away() {
        let check = |filters: &[Filter], expected: &str| {
            let mut tally = Tally::default();
            for filter in filters {
                tally.count(*filter);
            }
            assert_eq!(tally.explain(), expected, "{filters:?}");
        };
        check(&[], "no suitable node");
        check(&[Filter::MaxReplicas], "no suitable node (max replicas per node limit exceed)");
        check(
            &[Filter::Resources, Filter::Constraints, Filter::Constraints, Filter::Constraints],
            "no suitable node (scheduling constraints not satisfied on 3 nodes; insufficient resources on 1 node)",
        );
        check(
            &[Filter::Platform, Filter::Ready],
            "no suitable node (1 node not available for new tasks; unsupported platform on 1 node)",
        );
    }
}
