//! The operator of a guest: `swarmup` and the stock `docker` command on a workstation that reaches it.

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tests::Guest;

/// How long one command may take: `create` takes a minute on a busy machine, five times that.
const COMMAND_LIMIT: &str = "300";
/// How long the swarm may take to be what it was: half a minute on a busy machine, five times that.
const PATIENCE: Duration = Duration::from_secs(150);
/// Between two looks at the swarm.
const PAUSE: Duration = Duration::from_millis(200);

/// A workstation with a home of its own and the cluster `vm`.
pub(crate) struct Operator<'a> {
    guest: &'a Guest,
    home: TempDir,
}

impl<'a> Operator<'a> {
    pub(crate) fn new(guest: &'a Guest) -> Self {
        Self { guest, home: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn guest(&self) -> &Guest {
        self.guest
    }

    /// Makes the cluster `vm` of the guest.
    pub(crate) fn create(&self) {
        let key = self.guest.key_file();
        let machines = format!("--managers 1 --workers 0 --host root@{} --ssh-key {}", Guest::ADDRESS, key.display());
        self.swarmup(&format!("create vm --provider generic {machines}"));
    }

    /// Runs `swarmup`, which must succeed.
    #[track_caller]
    pub(crate) fn swarmup(&self, arguments: &str) {
        answer(self.shell(&format!("\"$SWARMUP\" {arguments}"))).unwrap();
    }

    /// Runs `docker` as a user does after `eval "$(swarmup env)"`: what it answered, or what it complained of.
    pub(crate) fn docker(&self, arguments: &str) -> Result<String, String> {
        answer(self.shell(&format!("eval \"$(\"$SWARMUP\" env vm)\" && \"$DOCKER\" {arguments}")))
    }

    /// The one node: its id, its state and a label that was put on it. Waits until it leads and is ready.
    #[track_caller]
    pub(crate) fn swarm(&self) -> String {
        self.eventually("the node is ready and leads", |swarm| swarm.ends_with("ready true yes"))
    }

    /// Waits until the node is again what it was.
    #[track_caller]
    pub(crate) fn wait_until_swarm_is(&self, expected: &str) {
        self.eventually(expected, |swarm| swarm == expected);
    }

    /// A property of the agent's unit.
    pub(crate) fn unit(&self, property: &str) -> String {
        let value = self.guest.run(&format!("systemctl show swarmd --value --property {property}")).unwrap();
        value.trim_end().to_owned()
    }

    #[track_caller]
    fn eventually(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let seen = self.docker(
                "node inspect self --format '{{.ID}} {{.Status.State}} {{.ManagerStatus.Leader}} {{.Spec.Labels.kept}}'",
            );
            match seen {
                Ok(swarm) if is_so(&swarm) => return swarm,
                _ if Instant::now() < deadline => std::thread::park_timeout(PAUSE),
                _ => panic!("it never came to be: {what}; last seen: {seen:?}"),
            }
        }
    }

    fn shell(&self, line: &str) -> Command {
        let mut command = self.guest.operator("timeout");
        command.args(["--signal", "KILL", "--foreground", COMMAND_LIMIT, "sh", "-c", line]);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("SWARMUP_HOME", self.home.path());
        command.env("SWARMUP", tests::programs::swarmup().unwrap()).env("SWARMUP_AGENT", tests::agent().unwrap());
        command.env("DOCKER", tests::programs::docker());
        command
    }
}

fn answer(mut command: Command) -> Result<String, String> {
    let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap().trim_end().to_owned();
    if status.success() { Ok(text(stdout)) } else { Err(format!("{command:?}: {status}: {}", text(stderr))) }
}
