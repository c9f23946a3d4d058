//! Holds proposals and reads back while leadership is handed over.

use tokio::sync::watch;

/// A door that can be shut: who is inside may finish, who comes waits.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: watch::Sender<GateState>,
}

#[derive(Debug, Default, Clone, Copy)]
struct GateState {
    is_shut: bool,
    inside: usize,
}

/// Being inside; leaves when dropped.
#[derive(Debug)]
pub(crate) struct Passage<'g>(&'g Gate);

/// Holding the gate shut; opens it when dropped.
#[derive(Debug)]
pub(crate) struct Shut<'g>(&'g Gate);

impl Gate {
    /// Enters as soon as the gate is open.
    pub(crate) async fn enter(&self) -> Passage<'_> {
        let mut states = self.state.subscribe();
        loop {
            let entered = self.state.send_if_modified(|state| {
                state.inside += usize::from(!state.is_shut);
                !state.is_shut
            });
            if entered {
                return Passage(self);
            }
            states.wait_for(|state| !state.is_shut).await.expect("the gate holds its own sender");
        }
    }

    /// Shuts the gate. `None` if somebody else has.
    pub(crate) fn shut(&self) -> Option<Shut<'_>> {
        let mut was_shut = false;
        self.state.send_modify(|state| was_shut = std::mem::replace(&mut state.is_shut, true));
        (!was_shut).then_some(Shut(self))
    }

    /// Waits until nobody is inside.
    pub(crate) async fn emptied(&self) {
        let mut states = self.state.subscribe();
        states.wait_for(|state| state.inside == 0).await.expect("the gate holds its own sender");
    }
}

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        self.0.state.send_modify(|state| state.inside -= 1);
    }
}

impl Drop for Shut<'_> {
    fn drop(&mut self) {
        self.0.state.send_modify(|state| state.is_shut = false);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const MOMENT: Duration = Duration::from_millis(10);

    #[tokio::test(start_paused = true)]
    async fn who_comes_to_a_shut_gate_waits_until_it_opens() {
        let gate = Gate::default();
        let shut = gate.shut().unwrap();
        assert!(timeout(MOMENT, gate.enter()).await.is_err());

        drop(shut);

        assert!(timeout(MOMENT, gate.enter()).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn the_gate_is_empty_when_all_have_left() {
        let gate = Gate::default();
        let first = gate.enter().await;
        let second = gate.enter().await;
        let _shut = gate.shut().unwrap();
        drop(first);
        assert!(timeout(MOMENT, gate.emptied()).await.is_err());

        drop(second);

        assert!(timeout(MOMENT, gate.emptied()).await.is_ok());
    }

    #[tokio::test]
    async fn a_gate_is_shut_by_one_at_a_time() {
        let gate = Gate::default();
        let _shut = gate.shut().unwrap();

        assert!(gate.shut().is_none());
    }
}
