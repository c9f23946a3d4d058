//! What a container may do: the words of `--security-opt`.

use runtime::Profile;

use super::InvalidSettings;
use crate::config::HostConfig;

/// What `SecurityOpt` asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Security {
    pub(crate) no_new_privileges: bool,
    pub(crate) seccomp: Profile,
    /// Whether nothing of `/proc` and `/sys` is hidden.
    pub(crate) shows_system_paths: bool,
}

/// Reads the options. `AppArmor` and `SELinux` are not this node's: what would only take them away is let pass.
pub(crate) fn security(host: &HostConfig) -> Result<Security, InvalidSettings> {
    let mut security = Security::default();
    for option in host.security_opt.iter().flatten() {
        // An old way to write them has a colon.
        let (name, value) = option.split_once(['=', ':']).unwrap_or((option, ""));
        match (name, value) {
            ("no-new-privileges", "" | "true") => security.no_new_privileges = true,
            ("no-new-privileges", "false") => security.no_new_privileges = false,
            ("seccomp", "unconfined") => security.seccomp = Profile::Unconfined,
            ("seccomp", "builtin") => security.seccomp = Profile::Default,
            ("seccomp", profile) => security.seccomp = Profile::Custom(profile.to_owned()),
            ("systempaths", "unconfined") => security.shows_system_paths = true,
            ("apparmor", "unconfined" | "docker-default") | ("label", _) => {}
            _ => return Err(InvalidSettings::new(format!("invalid --security-opt 2: \"{option}\""))),
        }
    }
    if host.privileged && matches!(security.seccomp, Profile::Default) {
        security.seccomp = Profile::Unconfined;
    }
    Ok(security)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(options: &[&str]) -> Result<Security, String> {
        let options = options.iter().map(|&option| option.to_owned()).collect();
        let host = HostConfig { security_opt: Some(options), ..HostConfig::default() };
        security(&host).map_err(|error| error.to_string())
    }

    #[test]
    fn options_are_read_in_both_spellings() {
        let found = read(&["no-new-privileges", "seccomp:unconfined", "label=disable"]).expect("they are known");

        let expected = Security { no_new_privileges: true, seccomp: Profile::Unconfined, shows_system_paths: false };
        assert_eq!(found, expected);
        let profile = read(&[r#"seccomp={"defaultAction":"SCMP_ACT_ALLOW"}"#]).expect("a profile is handed on");
        assert_eq!(profile.seccomp, Profile::Custom(r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#.to_owned()));
    }

    #[test]
    fn an_option_that_cannot_be_kept_is_refused() {
        assert_eq!(read(&["apparmor=mine"]).unwrap_err(), "invalid --security-opt 2: \"apparmor=mine\"");
        assert_eq!(read(&["what"]).unwrap_err(), "invalid --security-opt 2: \"what\"");
    }
}
