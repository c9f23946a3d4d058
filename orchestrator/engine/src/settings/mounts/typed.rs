//! Mounts as `--mount` and services write them, and `--tmpfs`.

use std::path::PathBuf;

use model::Mount;

use super::{MountKind, MountPoint, TmpfsSettings, VolumeRequest, clean, propagation};
use crate::settings::InvalidSettings;
use crate::volume::VolumeName;

/// Reads a mount with a type.
pub(super) fn parse(mount: &Mount) -> Result<MountPoint, InvalidSettings> {
    let refuse =
        |reason: &str| InvalidSettings::new(format!("invalid mount config for type \"{}\": {reason}", mount.kind));
    if mount.target.is_empty() {
        return Err(refuse("field Target must not be empty"));
    }
    let named = |kind| MountPoint::new(kind, &mount.target).map_err(|error| refuse(&error.to_string()));
    let mut point = match mount.kind.as_str() {
        "bind" => {
            if mount.source.is_empty() {
                return Err(refuse("field Source must not be empty"));
            }
            if !mount.source.starts_with('/') {
                return Err(refuse(&format!("invalid mount path: '{}' mount path must be absolute", mount.source)));
            }
            let mut point = named(MountKind::Bind)?;
            point.source = PathBuf::from(clean(&mount.source));
            bind_options(&mut point, mount).map_err(|reason| refuse(&reason))?;
            point
        }
        "volume" | "" => {
            let mut point = named(MountKind::Volume)?;
            volume_options(&mut point, mount).map_err(|reason| refuse(&reason))?;
            point
        }
        "tmpfs" => {
            if !mount.source.is_empty() {
                return Err(refuse("source must not be specified"));
            }
            let mut point = named(MountKind::Tmpfs)?;
            point.tmpfs = tmpfs_settings(mount).map_err(|reason| refuse(&reason))?;
            point
        }
        kind => return Err(InvalidSettings::new(format!("mount type \"{kind}\" is not offered by this node"))),
    };
    point.read_only = mount.read_only;
    Ok(point)
}

fn bind_options(point: &mut MountPoint, mount: &Mount) -> Result<(), String> {
    if mount.volume_options.is_some() {
        return Err("must not specify VolumeOptions".to_owned());
    }
    let Some(options) = &mount.bind_options else { return Ok(()) };
    point.propagation = propagation(&options.propagation)
        .ok_or_else(|| format!("invalid propagation mode: {}", options.propagation))?;
    point.is_non_recursive = options.non_recursive;
    point.makes_source = options.create_mountpoint;
    Ok(())
}

fn volume_options(point: &mut MountPoint, mount: &Mount) -> Result<(), String> {
    if mount.bind_options.is_some() {
        return Err("must not specify BindOptions".to_owned());
    }
    if !mount.source.is_empty() {
        let name: VolumeName =
            mount.source.parse().map_err(|error: crate::volume::InvalidVolumeName| error.to_string())?;
        point.name = Some(name.into());
    }
    point.fills = true;
    let Some(options) = &mount.volume_options else { return Ok(()) };
    point.fills = !options.no_copy;
    let is_inside = |path: &str| !path.starts_with('/') && path.split('/').all(|part| part != "..");
    if !is_inside(&options.subpath) {
        return Err("subpath must be a relative path within the volume".to_owned());
    }
    options.subpath.clone_into(&mut point.subpath);
    let driver = options.driver_config.clone().unwrap_or_default();
    point.volume = VolumeRequest { driver: driver.name, options: driver.options, labels: options.labels.clone() };
    Ok(())
}

fn tmpfs_settings(mount: &Mount) -> Result<TmpfsSettings, String> {
    let Some(options) = &mount.tmpfs_options else { return Ok(TmpfsSettings::default()) };
    if options.size_bytes < 0 {
        return Err("the size must not be below zero".to_owned());
    }
    let words = options.options.iter().map(|pair| checked_option(&pair.join("="))).collect::<Result<_, _>>()?;
    let size = u64::try_from(options.size_bytes).ok().filter(|size| *size > 0);
    Ok(TmpfsSettings { size, mode: options.mode, options: words })
}

/// Reads `--tmpfs target:options`.
pub(super) fn tmpfs(destination: &str, options: &str) -> Result<MountPoint, InvalidSettings> {
    let mut point = MountPoint::new(MountKind::Tmpfs, destination)?;
    options.clone_into(&mut point.mode);
    let invalid = |option: &str| InvalidSettings::new(format!("invalid tmpfs option [\"{option}\"]"));
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option.split_once('=') {
            Some(("size", size)) => point.tmpfs.size = Some(bytes(size).ok_or_else(|| invalid(option))?),
            Some(("mode", mode)) => {
                point.tmpfs.mode = Some(u32::from_str_radix(mode, 8).map_err(|_| invalid(option))?);
            }
            _ if option == "ro" => point.read_only = true,
            _ if option == "rw" => {}
            _ => point.tmpfs.options.push(checked_option(option).map_err(|_| invalid(option))?),
        }
    }
    Ok(point)
}

/// An option of a tmpfs that Docker lets pass.
fn checked_option(option: &str) -> Result<String, String> {
    const WORDS: [&str; 12] = [
        "exec",
        "noexec",
        "suid",
        "nosuid",
        "dev",
        "nodev",
        "sync",
        "async",
        "atime",
        "noatime",
        "diratime",
        "nodiratime",
    ];
    const PAIRS: [&str; 6] = ["uid", "gid", "nr_blocks", "nr_inodes", "mpol", "mode"];
    let is_known = match option.split_once('=') {
        Some((name, value)) => PAIRS.contains(&name) && !value.is_empty() && !value.contains(','),
        None => WORDS.contains(&option),
    };
    if is_known { Ok(option.to_owned()) } else { Err(format!("invalid option: {option}")) }
}

/// Reads `64m`: bytes, or 1024ths of them by their letters.
fn bytes(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let shift = match lower.as_bytes().last()? {
        b'k' => 10,
        b'm' => 20,
        b'g' => 30,
        _ => 0,
    };
    let digits = if shift == 0 { &lower[..] } else { &lower[..lower.len() - 1] };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}
