//! A cluster's life: create, look, scale, destroy.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::sandbox::{Run, Sandbox, assert_run};

#[test]
fn a_cluster_is_created_looked_at_and_destroyed() {
    let sandbox = Sandbox::new();

    assert_run!("create", sandbox, sandbox.run("create lab --provider fake").ended(0));
    assert_run!("ls", sandbox, sandbox.run("ls").ended(0));
    assert_run!("status", sandbox, sandbox.run("status").ended(0));
    assert_run!("status_json", sandbox, sandbox.run("status --output json").ended(0));
    assert_run!("node_ls_quiet", sandbox, sandbox.run("node ls --quiet").ended(0));
    assert_run!("ip", sandbox, sandbox.run("ip").ended(0));
    assert_run!("ip_of_one", sandbox, sandbox.run("ip node-4").ended(0));
    assert_run!("destroy", sandbox, sandbox.run("destroy lab --yes").ended(0));

    assert_eq!(sandbox.provider_holds(), 0);
    assert_eq!(sandbox.files(), []);
}

#[test]
fn creating_again_says_that_it_is_complete() {
    let sandbox = Sandbox::new();
    sandbox.run("create lab --provider fake").ended(0);
    let before = sandbox.journal("lab");

    assert_run!("create_again", sandbox, sandbox.run("create lab --provider fake").ended(0));
    assert_eq!(sandbox.journal("lab"), before);
}

#[test]
fn creating_another_cluster_of_the_same_name_tells_the_difference() {
    let sandbox = Sandbox::new();
    sandbox.run("create lab --provider fake").ended(0);

    assert_run!("create_another", sandbox, sandbox.run("create lab --managers 5 --workers 0").ended(1));
}

#[test]
fn scaling_adds_new_numbers_and_removes_the_highest() {
    let sandbox = Sandbox::new();
    sandbox.run("create lab --provider fake").ended(0);

    sandbox.run("scale lab --workers 4").ended(0);
    assert_eq!(sandbox.run("node ls -q").stdout, "node-1\nnode-2\nnode-3\nnode-4\nnode-5\nnode-6\nnode-7\n");
    sandbox.run("scale lab --workers 2 --managers 1").ended(0);
    assert_eq!(sandbox.run("node ls -q").stdout, "node-1\nnode-4\nnode-5\n");
    sandbox.run("node add --role worker").ended(0);
    assert_eq!(sandbox.run("node ls -q").stdout, "node-1\nnode-4\nnode-5\nnode-8\n");
    sandbox.run("node rm node-4 --yes").ended(0);
    assert_eq!(sandbox.run("node ls -q").stdout, "node-1\nnode-5\nnode-8\n");

    sandbox.run("status").ended(0);
    sandbox.run("destroy --yes").ended(0);
    assert_eq!(sandbox.provider_holds(), 0);
}

#[test]
fn scaling_to_an_even_number_of_managers_changes_nothing() {
    let sandbox = Sandbox::new();
    sandbox.run("create lab --provider fake").ended(0);
    let before = sandbox.journal("lab");

    assert_run!("scale_to_an_even_number", sandbox, sandbox.run("scale lab --managers 2").ended(2));
    assert_eq!(sandbox.journal("lab"), before);
}

#[test]
fn a_scale_that_the_provider_refuses_changes_nothing() {
    let sandbox = Sandbox::new();
    sandbox.run("create lab --provider fake --fault preflight:2=quota").ended(0);
    let before = sandbox.journal("lab");

    assert_run!("a_refused_scale", sandbox, sandbox.run("scale lab --workers 4").ended(1));
    assert_eq!(sandbox.journal("lab"), before);
}

#[test]
fn a_node_is_stopped_and_started_and_stays_the_same_node() {
    let sandbox = Sandbox::new();
    sandbox.run("create lab --provider fake").ended(0);
    let id = |sandbox: &Sandbox| sandbox.journal("lab").unwrap()["machines"]["1"]["node_id"].clone();
    let before = id(&sandbox);

    assert_run!("node_stop", sandbox, sandbox.run("node stop node-1").ended(0));
    sandbox.run("status").ended(1);
    assert_run!("node_start", sandbox, sandbox.run("node start node-1").ended(0));
    sandbox.run("status").ended(0);
    assert_eq!(id(&sandbox), before);
}

#[test]
fn nodes_that_have_the_agent_are_not_upgraded() {
    let sandbox = Sandbox::new();
    sandbox.run("create lab --provider fake").ended(0);

    assert_run!("upgrade", sandbox, sandbox.run("upgrade").ended(0));
    let one: Value = serde_json::from_str(&sandbox.run("upgrade --node node-4 --output json").ended(0).stdout).unwrap();
    assert_eq!((&one["nodes"][0]["hostname"], &one["left"]), (&json!("node-4"), &json!([])));
    assert_run!("upgrade_of_a_stranger", sandbox, sandbox.run("upgrade --node node-9").ended(1));
    sandbox.run("node stop node-4").ended(0);
    assert_run!("upgrade_of_a_stopped_node", sandbox, sandbox.run("upgrade").ended(1));
}

#[test]
fn env_speaks_every_shells_language() {
    let sandbox = Sandbox::new();
    sandbox.run("create lab --provider fake").ended(0);

    let mut text = String::new();
    for shell in ["sh", "fish", "powershell", "cmd", "tcsh", "emacs", "nushell", "json", "dotenv"] {
        let set = sandbox.run(&format!("env --shell {shell}")).ended(0).stdout;
        let unset = sandbox.run(&format!("env --unset --shell {shell}")).ended(0).stdout;
        let _ = write!(text, "===== {shell}\n{set}----- unset\n{unset}");
    }
    assert_run!("env", sandbox, text);
}

#[test]
fn what_env_prints_makes_a_shell_know_the_cluster() {
    let sandbox = Sandbox::new();
    sandbox.run("create lab --provider fake").ended(0);
    let swarmup = env!("CARGO_BIN_EXE_swarmup");
    let mut shell = std::process::Command::new("sh");
    sandbox.prepare(&mut shell);
    let script =
        format!("eval \"$({swarmup} env 2>/dev/null)\" && echo $DOCKER_HOST $DOCKER_TLS_VERIFY $DOCKER_CERT_PATH");

    let output = shell.arg("-c").arg(script).output().unwrap();

    let folder = sandbox.home().join("clusters/lab");
    let expected = format!("tcp://198.18.0.2:2376 1 {}\n", folder.display());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
}

#[test]
fn a_cluster_can_be_described_in_a_file() {
    let sandbox = Sandbox::new();
    let file = sandbox.home().join("swarmup.yaml");
    std::fs::write(&file, "name: class\nprovider: fake\nmanagers: 1\nworkers: 1\n").unwrap();

    let run = sandbox.run(&format!("create --file {} --workers 2 --output json", file.display())).ended(0);

    assert_run!("create_from_a_file", sandbox, run);
}

#[test]
fn a_plan_changes_nothing() {
    let sandbox = Sandbox::new();

    assert_run!("plan", sandbox, sandbox.run("plan lab --provider fake").ended(0));

    assert_eq!(sandbox.files(), []);
    assert_eq!(sandbox.provider_holds(), 0);
}

#[test]
fn a_plan_shows_what_the_hosts_firewalls_let_in() {
    let sandbox = Sandbox::new();

    let run = sandbox.run("plan lab --provider generic --managers 1 --workers 0 --host root@192.0.2.1").ended(0);

    let shown: Vec<_> = run.stdout.lines().skip_while(|line| *line != "Firewall").skip(1).take(6).collect();
    assert_eq!(
        shown,
        [
            "  2377/tcp between the members",
            "  7946/tcp between the members",
            "  7946/udp between the members",
            "  4789/udp between the members",
            "  22/tcp from this workstation",
            "  2376/tcp from this workstation",
        ]
    );
}

#[cfg(unix)]
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
#[test]
fn under_sudo_a_cluster_belongs_to_the_user_behind_it() {
    use std::os::unix::fs::MetadataExt as _;

    let sandbox = Sandbox::new();
    let owner = |path: &std::path::Path| {
        let metadata = std::fs::metadata(path).unwrap();
        (metadata.uid(), metadata.gid())
    };
    if owner(sandbox.home()).0 != 0 {
        eprintln!("skipped: only root can be behind sudo");
        return;
    }

    let mut create = sandbox.command("create lab --provider fake");
    create.env("SUDO_UID", "4100").env("SUDO_GID", "4101").env("SUDO_USER", "ops");
    Run::of(create.output().unwrap()).ended(0);

    let mut folders = vec![sandbox.home().to_owned()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            assert_eq!(owner(&path), (4100, 4101), "{}", path.display());
            if path.is_dir() {
                folders.push(path.clone());
            }
            found.push(path);
        }
    }
    assert!(found.contains(&sandbox.journal_path("lab")), "{found:?}");
    assert!(found.contains(&sandbox.home().join("drivers/fake/state.json")), "{found:?}");
    let owner = sandbox.journal("lab").unwrap()["owner"].as_str().unwrap().to_owned();
    assert!(owner.starts_with("ops@"), "{owner}");
}

#[test]
fn a_clusters_folder_can_be_moved() {
    let (here, there) = (Sandbox::new(), Sandbox::new());
    here.run("create lab --provider fake").ended(0);

    let mut copy = std::process::Command::new("cp");
    copy.arg("-r").arg(here.home().join("clusters")).arg(here.home().join("drivers")).arg(there.home());
    assert!(copy.status().unwrap().success());

    there.run("status lab").ended(0);
    let journal = std::fs::read_to_string(there.journal_path("lab")).unwrap();
    assert!(!journal.contains(&here.home().display().to_string()), "{journal}");
}

#[test]
fn no_secret_of_the_swarm_stays_on_the_workstation() {
    let sandbox = Sandbox::new();
    sandbox.run("create lab --provider fake").ended(0);

    let names: Vec<_> =
        sandbox.files().into_iter().map(|(path, _)| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(
        names,
        [
            "ca.pem",
            "cert.pem",
            "client-ca-key.pem",
            "client-ca.pem",
            "journal.json",
            "key.pem",
            "lock",
            "ssh-key",
            "ssh-key.pub"
        ]
    );
    let journal = std::fs::read_to_string(sandbox.journal_path("lab")).unwrap();
    assert!(!journal.contains("PRIVATE KEY") && !journal.contains("SWMTKN"), "{journal}");
}
