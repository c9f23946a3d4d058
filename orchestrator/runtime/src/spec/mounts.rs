//! What is mounted in a container: the usual, and what its bundle adds.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::bundle::{Bundle, Mount, MountSource, Namespace, Propagation};
use crate::cgroup;
use crate::limits::Limits;

/// The usual size of `/dev/shm`, in bytes.
const SHM_SIZE: u64 = 64 << 20;

/// Where control groups are seen.
const CONTROL_GROUPS: &str = "/sys/fs/cgroup";

/// All mounts of a container, outer before inner ones.
pub(super) fn all(bundle: &Bundle) -> Vec<Value> {
    let usual = usual(bundle).into_iter().map(|(destination, mount)| (destination.into(), mount));
    let mut mounts: Vec<(PathBuf, Value)> = usual
        .chain(control_groups(bundle, &cgroup::version_1_mounts()))
        .filter(|(destination, _)| {
            let replaces = |mount: &Path| {
                mount == destination || (mount == Path::new(CONTROL_GROUPS) && destination.starts_with(mount))
            };
            !bundle.mounts.iter().any(|mount| replaces(&clean(&mount.destination)))
        })
        .collect();
    mounts.extend(bundle.mounts.iter().map(|mount| (clean(&mount.destination), added(mount))));
    // Stable, so that what was asked for lies over the usual at equal depth.
    mounts.sort_by_key(|(destination, _)| destination.components().count());
    mounts.into_iter().map(|(_, mount)| mount).collect()
}

/// How mounts travel at the root: as the widest of its bind mounts needs it.
pub(super) fn root_propagation(bundle: &Bundle) -> Option<&'static str> {
    let propagations = bundle.mounts.iter().filter_map(|mount| match mount.source {
        MountSource::Bind { propagation, .. } => Some(propagation),
        MountSource::Tmpfs { .. } => None,
    });
    let mut widest = None;
    for propagation in propagations {
        match propagation {
            Propagation::Shared | Propagation::Rshared => return Some("shared"),
            Propagation::Slave | Propagation::Rslave => widest = Some("slave"),
            Propagation::Private | Propagation::Rprivate => {}
        }
    }
    widest
}

fn usual(bundle: &Bundle) -> Vec<(&'static str, Value)> {
    let access = if bundle.privileged { "rw" } else { "ro" };
    let shm = format!("size={}", bundle.shm_size.unwrap_or(SHM_SIZE));
    let mount = |destination: &'static str, kind: &str, source: &str, options: &[&str]| {
        (destination, json!({ "destination": destination, "type": kind, "source": source, "options": options }))
    };
    let mut mounts = vec![
        mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "/dev/pts",
            "devpts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", access]),
    ];
    if bundle.namespaces.ipc == Namespace::Host {
        mounts.push(mount("/dev/shm", "bind", "/dev/shm", &["rbind", "rprivate"]));
        mounts.push(mount("/dev/mqueue", "bind", "/dev/mqueue", &["rbind", "rprivate"]));
    } else {
        mounts.push(mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", &shm]));
        mounts.push(mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]));
    }
    mounts
}

/// Its own control group, as it sees it: alone in a view of its own, else at its place in each hierarchy of version 1.
///
/// The library would look for that place below the group of PID 1, which is the wrong one in a machine that is a group
/// itself; so it is told.
fn control_groups(bundle: &Bundle, version_1: &[PathBuf]) -> Vec<(PathBuf, Value)> {
    let root = PathBuf::from(CONTROL_GROUPS);
    let access = if bundle.privileged { "rw" } else { "ro" };
    if bundle.namespaces.cgroup != Namespace::Host || version_1.is_empty() {
        let options = ["nosuid", "noexec", "nodev", "relatime", access];
        let mount = json!({ "destination": root, "type": "cgroup", "source": "cgroup", "options": options });
        return vec![(root, mount)];
    }
    let options = ["nosuid", "noexec", "nodev", "mode=755", "size=64k"];
    let mut mounts =
        vec![(root.clone(), json!({ "destination": root, "type": "tmpfs", "source": "tmpfs", "options": options }))];
    for hierarchy in version_1 {
        let Some(name) = hierarchy.file_name() else { continue };
        let (source, destination) = (Limits::place(hierarchy, &bundle.cgroup), root.join(name));
        let mount =
            json!({ "destination": destination, "type": "bind", "source": source, "options": ["rbind", access] });
        mounts.push((destination, mount));
    }
    mounts
}

fn added(mount: &Mount) -> Value {
    let destination = clean(&mount.destination);
    match &mount.source {
        MountSource::Bind { path, propagation, recursive } => {
            let mut options = vec![if *recursive { "rbind" } else { "bind" }, propagation.word()];
            if mount.read_only {
                options.extend(["ro", "rro"]);
            }
            json!({ "destination": destination, "type": "bind", "source": path, "options": options })
        }
        MountSource::Tmpfs { size, mode, options } => {
            let mut words: Vec<String> = ["nosuid", "nodev", "noexec"].map(str::to_owned).into();
            words.retain(|word| !options.iter().any(|option| Some(option.as_str()) == word.strip_prefix("no")));
            words.extend(options.iter().filter(|option| !["suid", "dev"].contains(&option.as_str())).cloned());
            words.push(format!("mode={:o}", mode.unwrap_or(0o1777)));
            words.extend(size.map(|size| format!("size={size}")));
            if mount.read_only {
                words.push("ro".to_owned());
            }
            json!({ "destination": destination, "type": "tmpfs", "source": "tmpfs", "options": words })
        }
    }
}

/// An absolute path without `.`, `..` and doubled slashes.
fn clean(path: &Path) -> PathBuf {
    use std::path::Component;
    let mut cleaned = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => cleaned.push(name),
            Component::ParentDir => {
                cleaned.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    cleaned
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(mounts: Vec<Mount>) -> Bundle {
        Bundle { mounts, ..Bundle::new("a", "/", "/t/a", &["true"]) }
    }

    fn bind(destination: &str, read_only: bool, propagation: Propagation) -> Mount {
        let source = MountSource::Bind { path: "/srv".into(), propagation, recursive: true };
        Mount { destination: destination.into(), source, read_only }
    }

    #[test]
    fn a_mount_replaces_the_usual_one_and_lies_inside_outer_ones() {
        let wanted = vec![
            bind("/data/inner/../deep", true, Propagation::Rprivate),
            bind("/dev/shm/", false, Propagation::Rprivate),
        ];

        let mounts = all(&bundle(wanted));

        let at = |path: &str| mounts.iter().position(|mount| mount["destination"] == path);
        assert_eq!(mounts.iter().filter(|mount| mount["destination"] == "/dev/shm").count(), 1);
        assert!(at("/dev") < at("/dev/shm") && at("/data/deep").is_some());
        assert_eq!(mounts[at("/data/deep").unwrap()]["options"], json!(["rbind", "rprivate", "ro", "rro"]));
    }

    #[test]
    fn the_hosts_view_of_control_groups_shows_a_containers_own_place_in_each_hierarchy() {
        let mut bundle = bundle(vec![]);
        let hierarchies = ["/sys/fs/cgroup/cpu,cpuacct".into(), "/sys/fs/cgroup/memory".into()];
        let shown = |bundle: &Bundle| {
            let mounts = control_groups(bundle, &hierarchies).into_iter();
            mounts
                .map(|(_, mount)| format!("{} {}", mount["source"], mount["destination"]))
                .collect::<Vec<_>>()
                .join(";")
        };

        assert_eq!(shown(&bundle), r#""cgroup" "/sys/fs/cgroup""#);
        bundle.namespaces.cgroup = Namespace::Host;
        let expected = r#""tmpfs" "/sys/fs/cgroup";"/sys/fs/cgroup/cpu,cpuacct/t/a" "/sys/fs/cgroup/cpu,cpuacct";"/sys/fs/cgroup/memory/t/a" "/sys/fs/cgroup/memory""#;
        assert_eq!(shown(&bundle), expected);
    }

    #[test]
    fn the_root_lets_mounts_travel_as_far_as_a_bind_mount_needs() {
        let slave = bind("/a", false, Propagation::Rslave);
        let shared = bind("/b", false, Propagation::Rshared);

        assert_eq!(root_propagation(&bundle(vec![])), None);
        assert_eq!(root_propagation(&bundle(vec![slave.clone()])), Some("slave"));
        assert_eq!(root_propagation(&bundle(vec![slave, shared])), Some("shared"));
    }

    #[test]
    fn options_of_memory_can_lift_its_restrictions() {
        let source = MountSource::Tmpfs { size: Some(4096), mode: Some(0o700), options: vec!["exec".to_owned()] };
        let mount = added(&Mount { destination: "/t".into(), source, read_only: false });

        assert_eq!(mount["options"], json!(["nosuid", "nodev", "exec", "mode=700", "size=4096"]));
    }
}
