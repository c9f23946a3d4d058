//! Control groups of the machine itself, below a name that only this test uses.

use std::fs;
use std::process::{Command, Stdio};

use links::cgroup::ControlGroup;
use links::{Process, namespace};
use tests::isolated;

#[test]
fn processes_start_inside_their_group_and_end_with_it() {
    isolated("cgroup::processes_start_inside_their_group_and_end_with_it", || {
        let unique = tempfile::tempdir().unwrap();
        let name = unique.path().file_name().unwrap().to_str().unwrap().trim_start_matches('.').to_owned();
        let parent = ControlGroup::new(format!("swarmup-test-{name}")).unwrap();
        let group = ControlGroup::new(format!("swarmup-test-{name}/inner")).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 100000 & wait"]).stdin(Stdio::null());

        let mut child = namespace::spawn_isolated(command, group.create().unwrap()).unwrap();
        let process = Process::of(child.id()).unwrap();

        assert_eq!(parent.children(), ["inner"]);
        assert!(group.processes().contains(&process.pid));
        group.kill().unwrap();
        child.wait().unwrap();
        assert!(!process.is_alive().unwrap());
        parent.remove().unwrap();
        group.remove().unwrap();
        assert!(parent.directories().iter().all(|directory| fs::metadata(directory).is_err()));
    });
}
