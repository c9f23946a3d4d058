//! Mounts as `-v` writes them: `source:target[:options]`.

use std::path::PathBuf;

use super::{MountKind, MountPoint, clean, propagation};
use crate::settings::InvalidSettings;
use crate::volume::VolumeName;

/// Reads one. A source that is no absolute path is a volume's name; a target alone is a volume without a name.
pub(super) fn parse(text: &str, driver: &str) -> Result<MountPoint, InvalidSettings> {
    let invalid = || InvalidSettings::new(format!("invalid volume specification: '{text}'"));
    let parts: Vec<&str> = text.split(':').collect();
    if parts.iter().any(|part| part.is_empty()) {
        return Err(invalid());
    }
    let mut mount = match parts[..] {
        [target] => {
            let mut mount = MountPoint::new(MountKind::Volume, target)?;
            mount.fills = true;
            mount
        }
        [source, target] | [source, target, _] if source.starts_with('/') => {
            let mut mount = MountPoint::new(MountKind::Bind, target)?;
            mount.source = PathBuf::from(clean(source));
            mount.makes_source = true;
            mount
        }
        [name, target] | [name, target, _] => {
            let mut mount = MountPoint::new(MountKind::Volume, target)?;
            let name: VolumeName = name
                .parse()
                .map_err(|error: crate::volume::InvalidVolumeName| InvalidSettings::new(error.to_string()))?;
            mount.name = Some(name.into());
            mount.fills = true;
            mount
        }
        _ => return Err(invalid()),
    };
    if mount.kind == MountKind::Volume {
        driver.clone_into(&mut mount.volume.driver);
    }
    if let [_, _, options] = parts[..] {
        options_of(&mut mount, options)?;
    }
    Ok(mount)
}

fn options_of(mount: &mut MountPoint, options: &str) -> Result<(), InvalidSettings> {
    options.clone_into(&mut mount.mode);
    for option in options.split(',') {
        match option {
            "ro" => mount.read_only = true,
            // Writing is the default; labels are SELinux's, and consistency is another system's.
            "rw" | "z" | "Z" | "consistent" | "cached" | "delegated" => {}
            "nocopy" | "volume-nocopy" if mount.kind == MountKind::Volume => mount.fills = false,
            word => match propagation(word) {
                Some(propagation) if mount.kind == MountKind::Bind && !word.is_empty() => {
                    mount.propagation = propagation;
                }
                Some(_) | None => return Err(InvalidSettings::new(format!("invalid mode: {options}"))),
            },
        }
    }
    Ok(())
}
