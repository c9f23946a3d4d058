//! The rules for devices in the real kernel: every host of the tests has a version 2 hierarchy.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use super::super::Hierarchies;
use super::*;

/// A group of version 2 that is removed with it.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir(&self.0).unwrap();
    }
}

#[test]
fn a_group_may_open_what_its_rules_allow_and_nothing_else() {
    let mount = Hierarchies::here().unified.clone().expect("this host has version 2");
    let folder = Folder(mount.join(format!("runtime-test-devices-{}", std::process::id())));
    fs::create_dir(&folder.0).unwrap();
    let rules = [
        json!({ "allow": false, "access": "rwm" }),
        // /dev/kmsg, to be read only.
        json!({ "allow": true, "type": "c", "major": 1, "minor": 11, "access": "r" }),
    ];

    restrict(&folder.0, &rules).unwrap();
    let node = std::env::temp_dir().join(format!("runtime-test-node-{}", std::process::id()));
    let script = format!(
        "echo $$ > {}/cgroup.procs || exit 9\n\
         test \"$(head -c 1 /dev/zero | wc -c)\" = 1 || exit 1\n\
         echo x > /dev/null || exit 2\n\
         exec 3</dev/kmsg || exit 3\n\
         (exec 4>/dev/kmsg) 2>/dev/null && exit 4\n\
         mknod {node} b 7 0 || exit 5\n\
         head -c 1 {node} 2>/dev/null >/dev/null && exit 6\n\
         exit 0",
        folder.0.display(),
        node = node.display(),
    );
    let status = Command::new("sh").args(["-c", &script]).status().unwrap();
    // It may not have come that far.
    let _ = fs::remove_file(&node);

    assert_eq!(status.code(), Some(0));
}
