//! The rules of mounts.

use std::collections::BTreeSet;

use super::words::{invalid, not_offered, refuse_if};
use crate::{Mount, SwarmError, TmpfsOptions};

/// How a bind may propagate.
const PROPAGATIONS: [&str; 7] = ["", "private", "rprivate", "shared", "rshared", "slave", "rslave"];

/// Checks what is mounted into a container.
pub(super) fn check_mounts(mounts: &[Mount]) -> Result<(), SwarmError> {
    let mut targets = BTreeSet::new();
    for mount in mounts {
        check_mount(mount)?;
        let duplicate = || invalid(format!("ContainerSpec: duplicate mount point: {}", mount.target));
        refuse_if(!targets.insert(&mount.target), duplicate)?;
    }
    Ok(())
}

fn check_mount(mount: &Mount) -> Result<(), SwarmError> {
    let refuse = |text: String| Err(SwarmError::invalid(text));
    let Mount { kind, source, target, .. } = mount;
    if !target.starts_with('/') {
        return refuse(format!("invalid mount target, must be an absolute path: {target}"));
    }
    match kind.to_ascii_lowercase().as_str() {
        "" | "bind" if !source.starts_with('/') => {
            return refuse(format!("invalid bind mount source, must be an absolute path: {source}"));
        }
        "volume" if source.starts_with('/') => {
            return refuse(format!("invalid volume mount source, must not be an absolute path: {source}"));
        }
        "tmpfs" if !source.is_empty() => return refuse("invalid tmpfs source, source must be empty".to_owned()),
        "" | "bind" | "volume" | "tmpfs" => {}
        "cluster" => return Err(not_offered("offer cluster volumes yet")),
        "npipe" => return Err(not_offered("mount named pipes: they are of Windows")),
        _ => return refuse(format!("invalid MountType: {kind:?}")),
    }
    if let Some(bind) = &mount.bind_options {
        let is_known = PROPAGATIONS.contains(&bind.propagation.to_ascii_lowercase().as_str());
        refuse_if(!is_known, || SwarmError::invalid(format!("invalid MountPropagation: {:?}", bind.propagation)))?;
    }
    if let Some(volume) = &mount.volume_options {
        let leaves_it = volume.subpath.starts_with('/') || volume.subpath.split('/').any(|part| part == "..");
        refuse_if(leaves_it, || SwarmError::invalid("subpath must be a relative path within the volume"))?;
    }
    mount.tmpfs_options.as_ref().map_or(Ok(()), check_tmpfs)
}

/// An option is a word, or a word and its value; neither can become a second option.
fn check_tmpfs(tmpfs: &TmpfsOptions) -> Result<(), SwarmError> {
    refuse_if(tmpfs.size_bytes < 0, || SwarmError::invalid("invalid tmpfs size, must not be negative"))?;
    let is_word = |word: &String| {
        !word.is_empty() && !word.contains(|character: char| matches!(character, ',' | '=') || character.is_control())
    };
    let is_option = |option: &Vec<String>| matches!(option.len(), 1 | 2) && option.iter().all(is_word);
    match tmpfs.options.iter().find(|option| !is_option(option)) {
        None => Ok(()),
        Some(option) => Err(SwarmError::invalid(format!("invalid tmpfs option: {option:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "literals read better without a borrow")]
    fn check(mounts: Value, expected: &str) {
        let parsed: Vec<Mount> = serde_json::from_value(mounts.clone()).unwrap();
        let outcome = check_mounts(&parsed).map_or_else(|error| error.message, |()| "allowed".to_owned());
        assert_eq!(outcome, expected, "{mounts}");
    }

    #[test]
    fn mounts_of_every_offered_kind_are_allowed() {
        check(json!([]), "allowed");
        check(json!([{"Source": "/a", "Target": "/b"}]), "allowed");
        check(
            json!([
                {"Type": "bind", "Source": "/a", "Target": "/b", "BindOptions": {"Propagation": "rshared"}},
                {"Type": "volume", "Source": "data", "Target": "/c", "VolumeOptions": {"Subpath": "a/b"}},
                {"Type": "volume", "Target": "/d"},
                {"Type": "tmpfs", "Target": "/e", "TmpfsOptions": {"SizeBytes": 4096, "Options": [["noexec"], ["uid", "1"]]}},
            ]),
            "allowed",
        );
    }

    #[test]
    fn wrong_mounts_are_refused_in_dockers_words() {
        let one = |mount: Value, expected: &str| check(json!([mount]), expected);
        one(json!({"Source": "/a", "Target": "b"}), "invalid mount target, must be an absolute path: b");
        one(
            json!({"Type": "bind", "Source": "a", "Target": "/b"}),
            "invalid bind mount source, must be an absolute path: a",
        );
        one(
            json!({"Type": "volume", "Source": "/a", "Target": "/b"}),
            "invalid volume mount source, must not be an absolute path: /a",
        );
        one(json!({"Type": "tmpfs", "Source": "a", "Target": "/b"}), "invalid tmpfs source, source must be empty");
        one(json!({"Type": "floppy", "Target": "/b"}), "invalid MountType: \"floppy\"");
        one(json!({"Type": "image", "Source": "x", "Target": "/b"}), "invalid MountType: \"image\"");
        one(
            json!({"Type": "cluster", "Source": "x", "Target": "/b"}),
            "this engine does not offer cluster volumes yet",
        );
        one(
            json!({"Type": "bind", "Source": "/a", "Target": "/b", "BindOptions": {"Propagation": "up"}}),
            "invalid MountPropagation: \"up\"",
        );
        one(
            json!({"Type": "volume", "Target": "/b", "VolumeOptions": {"Subpath": "../x"}}),
            "subpath must be a relative path within the volume",
        );
        one(
            json!({"Type": "tmpfs", "Target": "/b", "TmpfsOptions": {"SizeBytes": -1}}),
            "invalid tmpfs size, must not be negative",
        );
        for option in [json!([]), json!(["a,b"]), json!(["a", "b", "c"]), json!(["a", "x=y"]), json!([""])] {
            let expected =
                format!("invalid tmpfs option: {}", serde_json::to_string(&option).unwrap().replace(',', ", "));
            let expected = expected.replace("\"a, b\"", "\"a,b\"");
            one(json!({"Type": "tmpfs", "Target": "/b", "TmpfsOptions": {"Options": [option]}}), &expected);
        }
        check(
            json!([{"Type": "tmpfs", "Target": "/b"}, {"Type": "volume", "Target": "/b"}]),
            "rpc error: code = InvalidArgument desc = ContainerSpec: duplicate mount point: /b",
        );
    }
}
