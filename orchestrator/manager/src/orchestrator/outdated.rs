//! Whether a task is still what its service wants. Pure.

use model::{Constraints, Node, Placement, Service, Task, TaskSpec};

/// Whether a task need not be replaced in an update: it was made of this spec, or of one that asks for the same. A task
/// whose node meets the new constraints need not move when nothing but constraints changed.
pub(crate) fn is_current(task: &Task, service: &Service, node: Option<&Node>) -> bool {
    if task.state.spec_revision == service.state.spec_revision {
        return true;
    }
    let wanted = &service.spec.task_template;
    if task.state.ports != service.spec.ports() {
        return false;
    }
    if task.spec == *wanted {
        return true;
    }
    let Some(node) = node else { return false };
    let meets = |constraints: Constraints| constraints.are_met_by(node);
    without_constraints(&task.spec) == without_constraints(wanted)
        && Constraints::parse(wanted.constraints()).is_ok_and(meets)
}

fn without_constraints(spec: &TaskSpec) -> TaskSpec {
    let placement = spec.placement.clone().map(|placement| Placement { constraints: Vec::new(), ..placement });
    TaskSpec { placement: placement.filter(|placement| *placement != Placement::default()), ..spec.clone() }
}
