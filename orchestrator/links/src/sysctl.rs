//! Kernel settings below `/proc/sys`, read and written in the caller's network namespace.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::KernelError;
use crate::error::Doing;

/// Whether packets are passed on at all; changing it also changes the setting of every link.
pub const IPV4_FORWARDING: &str = "net/ipv4/ip_forward";

/// Whether packets from and to `127.0.0.0/8` may pass a link that is not the loopback.
pub fn route_localnet(link: &str) -> String {
    format!("net/ipv4/conf/{link}/route_localnet")
}

/// Reads a setting (`net/ipv4/ip_forward`), without the line's end.
pub fn read(name: &str) -> Result<String, KernelError> {
    let value = fs::read_to_string(path(name)).doing(|| format!("read the setting `{name}`"))?;
    Ok(value.trim_end().to_owned())
}

/// Writes a setting, unless it has that value already.
pub fn write(name: &str, value: &str) -> Result<(), KernelError> {
    if read(name)? == value {
        return Ok(());
    }
    fs::write(path(name), value).doing(|| format!("write the setting `{name}`"))
}

/// Everything that turning on forwarding changes: the switch itself and that of each link.
pub fn forwarding() -> Result<BTreeMap<String, String>, KernelError> {
    let mut settings = BTreeMap::from([(IPV4_FORWARDING.to_owned(), read(IPV4_FORWARDING)?)]);
    for link in fs::read_dir(path("net/ipv4/conf")).doing(|| "list the settings of links")?.flatten() {
        for setting in ["forwarding", "accept_redirects"] {
            let name = format!("net/ipv4/conf/{}/{setting}", link.file_name().display());
            // A link may vanish while the list is read.
            if let Ok(value) = read(&name) {
                settings.insert(name, value);
            }
        }
    }
    Ok(settings)
}

/// Puts settings back that [`forwarding`] read. Those of links that are gone are passed over.
pub fn restore(settings: &BTreeMap<String, String>) -> Result<(), KernelError> {
    let (switches, links): (Vec<_>, Vec<_>) = settings.iter().partition(|(name, _)| *name == IPV4_FORWARDING);
    for (name, value) in switches.into_iter().chain(links) {
        if path(name).exists() {
            write(name, value)?;
        }
    }
    Ok(())
}

fn path(name: &str) -> PathBuf {
    Path::new("/proc/sys").join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwarding_is_read_with_the_settings_of_the_loopback_link() {
        let settings = forwarding().unwrap();

        assert!(settings.contains_key(IPV4_FORWARDING));
        assert!(settings.contains_key("net/ipv4/conf/lo/forwarding"));
    }

    #[test]
    fn a_setting_that_does_not_exist_is_named() {
        assert_eq!(read("net/ipv4/no_such").unwrap_err().to_string(), "failed to read the setting `net/ipv4/no_such`");
    }
}
