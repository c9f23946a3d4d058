//! The steps of a task on its node: what to do next, decided by what was observed and what is wanted. Pure.
//!
//! ```text
//! assigned ─> accepted ─> preparing ══prepare══> ready ─> starting ══start══> running ══wait══> complete | failed
//!                                        └─ waits here while no more than that is wanted
//! shutdown or removal is wanted:  ══shutdown══> shutdown, from wherever the task has not ended
//! prepare fails: rejected         start fails: failed
//! ```

use model::TaskState;

/// What to do with a task next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing, until something else is wanted.
    Rest,
    /// Go to the next state, without any work.
    Advance(TaskState),
    /// Fetch the image and make the container.
    Prepare,
    /// Start the container.
    Start,
    /// Wait for the container's end.
    Wait,
    /// End the container.
    Shutdown,
}

/// Decides the next step; does no work itself.
pub fn next_step(observed: TaskState, desired: TaskState) -> Step {
    use TaskState::{
        Accepted, Assigned, Complete, Failed, New, Orphaned, Pending, Preparing, Ready, Rejected, Remove, Running,
        Shutdown, Starting,
    };
    if desired >= Shutdown {
        return if observed >= Complete { Step::Rest } else { Step::Shutdown };
    }
    if observed > desired {
        return Step::Rest;
    }
    match observed {
        Preparing => Step::Prepare,
        Starting => Step::Start,
        // Also where it is to complete: that it does by itself.
        Running => Step::Wait,
        Ready if desired == Ready => Step::Rest,
        Assigned => Step::Advance(Accepted),
        Accepted => Step::Advance(Preparing),
        Ready => Step::Advance(Starting),
        New | Pending | Complete | Shutdown | Failed | Rejected | Remove | Orphaned => Step::Rest,
    }
}

/// Docker's words for having arrived at a state.
pub(crate) fn words(state: TaskState) -> &'static str {
    match state {
        TaskState::Ready => "prepared",
        TaskState::Running => "started",
        TaskState::Complete => "finished",
        TaskState::New
        | TaskState::Pending
        | TaskState::Assigned
        | TaskState::Accepted
        | TaskState::Preparing
        | TaskState::Starting
        | TaskState::Shutdown
        | TaskState::Failed
        | TaskState::Rejected
        | TaskState::Remove
        | TaskState::Orphaned => state.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use model::TaskState::{
        Accepted, Assigned, Complete, Failed, New, Pending, Preparing, Ready, Rejected, Remove, Running, Shutdown,
        Starting,
    };

    use super::*;

    #[test]
    fn a_task_goes_step_by_step_to_what_is_wanted_and_no_further() {
        let check = |observed, desired, expected| assert_eq!(next_step(observed, desired), expected, "{observed:?}");
        check(Assigned, Running, Step::Advance(Accepted));
        check(Accepted, Running, Step::Advance(Preparing));
        check(Preparing, Running, Step::Prepare);
        check(Ready, Running, Step::Advance(Starting));
        check(Starting, Running, Step::Start);
        check(Running, Running, Step::Wait);
        check(Preparing, Ready, Step::Prepare);
        check(Ready, Ready, Step::Rest);
        check(Running, Ready, Step::Rest);
        check(Running, Complete, Step::Wait);
        for ended in [Complete, Shutdown, Failed, Rejected] {
            check(ended, Running, Step::Rest);
            check(ended, Remove, Step::Rest);
        }
        for unassigned in [New, Pending] {
            check(unassigned, Running, Step::Rest);
        }
    }

    #[test]
    fn what_is_no_longer_wanted_is_shut_down_wherever_it_stands() {
        for observed in [Assigned, Accepted, Preparing, Ready, Starting, Running] {
            for desired in [Shutdown, Remove] {
                assert_eq!(next_step(observed, desired), Step::Shutdown, "{observed:?}");
            }
        }
    }
}
