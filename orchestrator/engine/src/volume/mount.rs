//! Volumes that lie elsewhere: what the driver `local` mounts by its options, as `mount -t TYPE -o O DEVICE` would.
//!
//! Mounted is such a volume while a container uses it: from its start to its end, or while its files are looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, mount, mount_bind, mount_bind_recursive, mount_remount};

use super::{DATA, VolumeError, VolumeName};
use crate::document::FileFailure;

/// The kernel takes a mount's options from one page, with a zero at its end.
const DATA_LIMIT: usize = 4095;
/// The option of network file systems that must be a number: the kernel asks no name server.
const ADDRESS: &str = "addr=";
/// The words of `o` that are flags of the call, with whether they set or clear. Source: mount(8).
const FLAGS: [(&str, MountFlags, bool); 18] = [
    ("defaults", MountFlags::empty(), true),
    ("ro", MountFlags::RDONLY, true),
    ("rw", MountFlags::RDONLY, false),
    ("nosuid", MountFlags::NOSUID, true),
    ("suid", MountFlags::NOSUID, false),
    ("nodev", MountFlags::NODEV, true),
    ("dev", MountFlags::NODEV, false),
    ("noexec", MountFlags::NOEXEC, true),
    ("exec", MountFlags::NOEXEC, false),
    ("sync", MountFlags::SYNCHRONOUS, true),
    ("async", MountFlags::SYNCHRONOUS, false),
    ("dirsync", MountFlags::DIRSYNC, true),
    ("noatime", MountFlags::NOATIME, true),
    ("atime", MountFlags::NOATIME, false),
    ("nodiratime", MountFlags::NODIRATIME, true),
    ("diratime", MountFlags::NODIRATIME, false),
    ("relatime", MountFlags::RELATIME, true),
    ("strictatime", MountFlags::STRICTATIME, true),
];

/// What is mounted in place of a volume's own folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LocalMount {
    device: String,
    kind: String,
    options: String,
}

/// How the parts of `o` are handed to the kernel.
#[derive(Debug, PartialEq, Eq)]
struct Words {
    flags: MountFlags,
    /// `bind`, and whether what is mounted below comes along.
    bind: Option<bool>,
    data: String,
}

impl LocalMount {
    /// What these options ask for; `None` where there are none. Docker's words where they do not fit.
    pub(super) fn read(options: &BTreeMap<String, String>) -> Result<Option<Self>, VolumeError> {
        let refuse = |words: String| Err(VolumeError::NotOffered(words));
        for name in options.keys() {
            match name.as_str() {
                "type" | "device" | "o" => {}
                "size" => return refuse("quota size requested but no quota support".to_owned()),
                _ => return refuse(format!("invalid option: \"{name}\"")),
            }
        }
        if options.is_empty() {
            return Ok(None);
        }
        for name in ["device", "type"] {
            if options.get(name).is_none_or(String::is_empty) {
                return refuse(format!("missing required option: \"{name}\""));
            }
        }
        let value = |name: &str| options.get(name).cloned().unwrap_or_default();
        let found = Self { device: value("device"), kind: value("type"), options: value("o") };
        if [&found.device, &found.kind, &found.options]
            .iter()
            .any(|text| text.len() > DATA_LIMIT || text.contains('\0'))
        {
            return refuse("an option of the driver \"local\" is too long or has a zero in it".to_owned());
        }
        Ok(Some(found))
    }

    /// Mounts it at `target`, where nothing is mounted. Blocks for as long as the device takes to answer.
    fn mount(&self, target: &Path) -> io::Result<()> {
        let words = words(&self.options);
        let device = Path::new(&self.device);
        if let Some(is_recursive) = words.bind {
            if is_recursive { mount_bind_recursive(device, target) } else { mount_bind(device, target) }?;
            // A bind takes no flags with it.
            return if words.flags.is_empty() {
                Ok(())
            } else {
                Ok(mount_remount(target, words.flags | MountFlags::BIND, "")?)
            };
        }
        let data = CString::new(with_address(&words.data)?).map_err(io::Error::other)?;
        Ok(mount(device, target, self.kind.as_str(), words.flags, data.as_c_str())?)
    }
}

fn words(options: &str) -> Words {
    let mut found = Words { flags: MountFlags::empty(), bind: None, data: String::new() };
    for word in options.split(',').filter(|word| !word.is_empty()) {
        match (word, FLAGS.iter().find(|(name, ..)| *name == word)) {
            ("bind", _) => found.bind = Some(false),
            ("rbind", _) => found.bind = Some(true),
            (_, Some((_, flag, is_set))) => found.flags.set(*flag, *is_set),
            (_, None) => {
                if !found.data.is_empty() {
                    found.data.push(',');
                }
                found.data.push_str(word);
            }
        }
    }
    found
}

/// The same with the name behind `addr=` replaced by the first address that it has.
fn with_address(data: &str) -> io::Result<String> {
    let mut words = Vec::new();
    for word in data.split(',') {
        match word.strip_prefix(ADDRESS) {
            Some(name) if name.parse::<IpAddr>().is_err() => {
                let found = (name, 0).to_socket_addrs()?.next();
                let found = found.ok_or_else(|| io::Error::other(format!("`{name}` has no address")))?;
                words.push(format!("{ADDRESS}{}", found.ip()));
            }
            _ => words.push(word.to_owned()),
        }
    }
    Ok(words.join(","))
}

/// Which containers use the volumes that are mounted. One at a time mounts and unmounts.
#[derive(Debug, Default)]
pub(super) struct MountUses {
    users: BTreeMap<VolumeName, BTreeSet<String>>,
}

impl MountUses {
    /// Mounts a volume at its place, unless it is already, and notes who uses it. Blocks.
    pub(super) fn begin(
        &mut self,
        name: &VolumeName,
        place: &Path,
        mount: &LocalMount,
        user: &str,
    ) -> Result<(), VolumeError> {
        if !image::is_mounted(place)? {
            let failed = |source| VolumeError::Mount {
                name: name.to_string(),
                kind: mount.kind.clone(),
                device: mount.device.clone(),
                source,
            };
            mount.mount(place).map_err(failed)?;
        }
        self.users.entry(name.clone()).or_default().insert(user.to_owned());
        Ok(())
    }

    /// Ends all uses of a container, and unmounts what nobody else uses.
    pub(super) fn end(&mut self, user: &str, place_of: impl Fn(&VolumeName) -> PathBuf) -> Result<(), VolumeError> {
        let mut unused = Vec::new();
        self.users.retain(|name, users| {
            if users.remove(user) && users.is_empty() {
                unused.push(name.clone());
            }
            !users.is_empty()
        });
        unused.iter().try_for_each(|name| image::unmount(&place_of(name)).map_err(Into::into))
    }
}

/// Takes all mounts of the volumes below `root` away, before somebody removes their folders. Fine where there is none.
pub(crate) fn unmount_all(root: &Path) -> Result<(), VolumeError> {
    let entries = match std::fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(FileFailure::at("list", root)(error).into()),
    };
    entries.flatten().try_for_each(|entry| image::unmount(&entry.path().join(DATA)).map_err(Into::into))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_told_from_what_the_file_system_reads() {
        let check = |text: &str, flags: MountFlags, bind, data: &str| {
            assert_eq!(words(text), Words { flags, bind, data: data.to_owned() }, "{text}");
        };
        check("", MountFlags::empty(), None, "");
        check("size=1m,uid=1000", MountFlags::empty(), None, "size=1m,uid=1000");
        check(
            "ro,nosuid,addr=10.0.0.1,nfsvers=4",
            MountFlags::RDONLY | MountFlags::NOSUID,
            None,
            "addr=10.0.0.1,nfsvers=4",
        );
        check("ro,rw,,bind", MountFlags::empty(), Some(false), "");
        check("rbind,ro", MountFlags::RDONLY, Some(true), "");
    }

    #[test]
    fn a_name_behind_addr_becomes_an_address() {
        assert_eq!(with_address("addr=localhost,soft").unwrap().replace("::1", "127.0.0.1"), "addr=127.0.0.1,soft");
        assert_eq!(with_address("addr=10.1.2.3,soft").unwrap(), "addr=10.1.2.3,soft");
        assert_eq!(with_address("size=1m").unwrap(), "size=1m");
    }

    #[test]
    fn options_that_do_not_fit_are_refused_in_dockers_words() {
        let check = |options: &[(&str, &str)], expected: &str| {
            let options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            assert_eq!(LocalMount::read(&options).unwrap_err().to_string(), expected);
        };
        check(&[("color", "red")], "invalid option: \"color\"");
        check(&[("o", "ro")], "missing required option: \"device\"");
        check(&[("device", "tmpfs")], "missing required option: \"type\"");
        check(&[("size", "1g")], "quota size requested but no quota support");
        assert_eq!(LocalMount::read(&BTreeMap::new()).unwrap(), None);
    }
}
