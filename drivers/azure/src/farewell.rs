//! What a machine runs to end its cluster: it deletes the resource group by the identity of the managers.
//!
//! In Python, which cloud-init is written in and so every image has; curl is not in all of them. The metadata service lends
//! the token, so that there is no secret in it. Where the machine has no such identity, as workers have none, nothing is
//! changed. The group is named rather than asked for: a machine can delete no other by mistake.

use driver::Mark;

use crate::names::{Group, IDENTITIES, IDENTITY};

/// The program; its arguments are the endpoint, the group, and the identity within the group.
const PROGRAM: &str = include_str!("farewell.py");
/// How long it may take at most, whatever hangs (seconds).
const LIMIT: u32 = 900;

/// The commands, for `sh`.
pub(crate) fn script(endpoint: &str, mark: &Mark) -> String {
    let group = Group::of_cluster("", &mark.name, &mark.cluster).name;
    let identity = format!("{IDENTITIES}/{IDENTITY}");
    let arguments = [endpoint, &group, &identity].map(quoted).join(" ");
    format!("timeout {LIMIT} python3 - {arguments} <<'END_OF_PROGRAM'\n{PROGRAM}END_OF_PROGRAM")
}

/// A word as `sh` reads it.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use driver::ClusterId;
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn the_commands_name_the_group_and_are_nothing_but_arguments_and_the_program() {
        let mark = Mark {
            cluster: ClusterId("lab-0123456789".to_owned()),
            name: "lab".to_owned(),
            owner: "me@here".to_owned(),
            created_at: Timestamp::UNIX_EPOCH,
            expires: None,
        };

        let script = script("https://management.example'; reboot; '", &mark);

        let first = script.lines().next().unwrap();
        let expected = r"'https://management.example'\''; reboot; '\''' 'swarmup-lab-lab0123456' 'Microsoft.ManagedIdentity/userAssignedIdentities/swarmup-managers' <<";
        assert!(first.contains(expected), "{first}");
        assert!(script.ends_with("\nEND_OF_PROGRAM"));
        assert!(script.len() < 4096, "{} bytes", script.len());
    }
}
