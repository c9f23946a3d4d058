//! Which devices appear in a container, and what the device controller lets it do with others.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{major, minor};
use serde_json::{Value, json};

use crate::RuntimeError;
use crate::bundle::Bundle;
use crate::error::Doing;

/// How many devices a folder may bring in.
const COUNT_LIMIT: usize = 4096;

/// What a privileged container does not get of the host's `/dev`: it has its own.
const OWN: [&str; 8] = ["pts", "shm", "fd", "mqueue", "console", "ptmx", ".lxc", ".udev"];

/// A device of the host, as it will appear.
struct Node {
    inside: PathBuf,
    kind: char,
    major: u32,
    minor: u32,
    mode: u32,
    uid: u32,
    gid: u32,
}

/// The devices to make inside, and the rules of the controller, in order.
pub(super) fn resolve(bundle: &Bundle) -> Result<(Vec<Value>, Vec<Value>), RuntimeError> {
    let mut nodes = Vec::new();
    if bundle.privileged {
        collect(Path::new("/dev"), Path::new("/dev"), true, &mut nodes)?;
        let rules = vec![json!({ "allow": true, "access": "rwm" })];
        return Ok((nodes.iter().map(Node::spec).collect(), rules));
    }
    let mut rules = vec![json!({ "allow": false, "access": "rwm" })];
    for device in &bundle.devices {
        let before = nodes.len();
        collect(&device.on_host, &device.inside, false, &mut nodes)?;
        for node in &nodes[before..] {
            rules.push(json!({
                "allow": true, "type": node.kind, "major": node.major, "minor": node.minor, "access": device.access,
            }));
        }
    }
    for rule in &bundle.device_rules {
        rules.push(parse_rule(rule)?);
    }
    Ok((nodes.iter().map(Node::spec).collect(), rules))
}

/// Finds a device, or those below a folder, without following links.
fn collect(on_host: &Path, inside: &Path, skips_own: bool, nodes: &mut Vec<Node>) -> Result<(), RuntimeError> {
    // What was named may be a link; what is found below a folder may not.
    let metadata = fs::metadata(on_host).doing(|| format!("find the device `{}`", on_host.display()))?;
    let kind = match metadata.file_type() {
        kind if kind.is_char_device() => 'c',
        kind if kind.is_block_device() => 'b',
        kind if kind.is_dir() => {
            let entries = fs::read_dir(on_host).doing(|| format!("list the devices in `{}`", on_host.display()))?;
            for entry in entries.flatten() {
                let is_own = skips_own && OWN.iter().any(|name| entry.file_name() == *name);
                let is_wanted = entry
                    .file_type()
                    .is_ok_and(|kind| kind.is_dir() || kind.is_char_device() || kind.is_block_device());
                if is_wanted && !is_own && nodes.len() < COUNT_LIMIT {
                    collect(&entry.path(), &inside.join(entry.file_name()), false, nodes)?;
                }
            }
            return Ok(());
        }
        _ => {
            let reason = format!("not a device node: `{}`", on_host.display());
            return Err(RuntimeError::Invalid { reason });
        }
    };
    nodes.push(Node {
        inside: inside.to_owned(),
        kind,
        major: major(metadata.rdev()),
        minor: minor(metadata.rdev()),
        mode: metadata.mode() & 0o7777,
        uid: metadata.uid(),
        gid: metadata.gid(),
    });
    Ok(())
}

impl Node {
    fn spec(&self) -> Value {
        json!({
            "path": self.inside, "type": self.kind, "major": self.major, "minor": self.minor,
            "fileMode": self.mode, "uid": self.uid, "gid": self.gid,
        })
    }
}

/// Reads a rule such as `c 10:* rw`.
fn parse_rule(rule: &str) -> Result<Value, RuntimeError> {
    let invalid = || RuntimeError::Invalid { reason: format!("invalid device cgroup rule: '{rule}'") };
    let parts: Vec<&str> = rule.split_ascii_whitespace().collect();
    let [kind @ ("a" | "b" | "c"), numbers, access] = parts[..] else { return Err(invalid()) };
    let (major, minor) = numbers.split_once(':').ok_or_else(invalid)?;
    if access.is_empty() || !access.chars().all(|letter| "rwm".contains(letter)) {
        return Err(invalid());
    }
    let mut value = json!({ "allow": true, "type": kind, "access": access });
    for (name, number) in [("major", major), ("minor", minor)] {
        if number != "*" {
            value[name] = json!(number.parse::<u32>().map_err(|_| invalid())?);
        }
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::Device;

    #[test]
    fn a_device_appears_under_its_new_name_and_is_allowed() {
        let device = Device { on_host: "/dev/null".into(), inside: "/dev/void".into(), access: "rw".to_owned() };
        let bundle = Bundle { devices: vec![device], ..Bundle::new("a", "/", "/t/a", &["true"]) };

        let (nodes, rules) = resolve(&bundle).unwrap();

        assert_eq!(nodes[0]["path"], "/dev/void");
        assert_eq!(rules[0], json!({ "allow": false, "access": "rwm" }));
        assert_eq!(rules[1], json!({ "allow": true, "type": "c", "major": 1, "minor": 3, "access": "rw" }));
    }

    #[test]
    fn a_file_is_no_device() {
        let device = Device { on_host: "/etc/passwd".into(), inside: "/dev/x".into(), access: "r".to_owned() };
        let bundle = Bundle { devices: vec![device], ..Bundle::new("a", "/", "/t/a", &["true"]) };

        assert_eq!(resolve(&bundle).unwrap_err().to_string(), "not a device node: `/etc/passwd`");
    }

    #[test]
    fn rules_of_the_controller_are_read() {
        let any = json!({ "allow": true, "type": "c", "major": 10, "access": "rw" });

        assert_eq!(parse_rule("c 10:* rw").unwrap(), any);
        assert!(parse_rule("x 1:2 r").is_err() && parse_rule("c 1 r").is_err() && parse_rule("c 1:2 q").is_err());
    }
}
