//! The only reader of `templates/`. They are built in; a variable that nobody gives a value is an error.

use minijinja::{Environment, UndefinedBehavior, context};

/// Where the agent lies on a host.
pub const AGENT_BINARY: &str = "/usr/local/bin/swarmd";

/// The systemd unit of the agent.
const UNIT: &str = include_str!("../templates/systemd/swarmd.service");

/// The systemd unit of the agent on one host. Cluster and host name are DNS labels, so nothing needs quoting.
pub fn systemd_unit(cluster: &str, hostname: &str) -> String {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let mut unit = environment
        .render_str(UNIT, context! { cluster, hostname, binary => AGENT_BINARY })
        .expect("the template names no other values: checked by the test below");
    unit.push('\n');
    unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_lets_tasks_outlive_the_agent() {
        let unit = systemd_unit("lab", "node-1");

        for line in ["KillMode=process", "Delegate=yes", "Type=notify", "TasksMax=infinity", "Restart=always"] {
            assert!(unit.lines().any(|present| present == line), "{line} is missing in\n{unit}");
        }
        assert!(unit.contains("ExecStart=/usr/local/bin/swarmd run\n"));
        assert!(!unit.contains("{{"));
    }
}
