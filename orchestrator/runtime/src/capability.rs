//! Which privileges a container's processes hold.

use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, remove_capability_from_bounding_set,
    set_capabilities,
};

use crate::RuntimeError;

/// What Docker leaves to a container that asks for nothing.
const DEFAULT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::AUDIT_WRITE);

/// The last capability that this program knows: `CAP_CHECKPOINT_RESTORE`.
const LAST: u32 = 40;

/// Every capability that this program knows.
pub(crate) fn all() -> CapabilitySet {
    CapabilitySet::from_bits_retain((1 << (LAST + 1)) - 1)
}

/// The capabilities of a container: the default ones, with some added and some taken away. `ALL` in `add` starts from
/// all, `ALL` in `drop` from those that were added by name.
pub(crate) fn resolve(add: &[String], drop: &[String], privileged: bool) -> Result<CapabilitySet, RuntimeError> {
    if privileged {
        return Ok(all());
    }
    let (add_all, added) = named(add)?;
    let (drop_all, dropped) = named(drop)?;
    let base = match (add_all, drop_all) {
        (true, _) => all(),
        (false, true) => CapabilitySet::empty(),
        (false, false) => DEFAULT,
    };
    if drop_all {
        return Ok(base | added);
    }
    Ok((base | added) - dropped)
}

/// Leaves this process and its children no more than `wanted`: of it, a process that is not root gets nothing at once
/// and can gain at most that much by executing a program with the right marks.
///
/// `keep_admin` leaves what installing a filter of system calls needs; [`finish`] takes that away.
pub(crate) fn reduce(wanted: CapabilitySet) -> rustix::io::Result<()> {
    for number in 0..=LAST {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        if !wanted.contains(capability) {
            match remove_capability_from_bounding_set(capability) {
                // This kernel does not know it.
                Ok(()) | Err(rustix::io::Errno::INVAL) => {}
                Err(error) => return Err(error),
            }
        }
    }
    match clear_ambient_capability_set() {
        Ok(()) | Err(rustix::io::Errno::INVAL) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Gives up what this process still holds beyond `wanted`; all of it where it is not root, as executing a program as
/// that user would.
pub(crate) fn finish(wanted: CapabilitySet, is_root: bool) -> rustix::io::Result<()> {
    let held = capabilities(None)?.permitted;
    let kept = if is_root { wanted & held } else { CapabilitySet::empty() };
    set_capabilities(None, CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() })
}

/// The words of a list, and whether `ALL` is among them.
fn named(words: &[String]) -> Result<(bool, CapabilitySet), RuntimeError> {
    let mut is_all = false;
    let mut set = CapabilitySet::empty();
    for word in words {
        let upper = word.to_ascii_uppercase();
        let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
        if name == "ALL" {
            is_all = true;
            continue;
        }
        let Some(capability) = CapabilitySet::from_name(name) else {
            return Err(RuntimeError::Invalid { reason: format!("invalid capability: \"{word}\"") });
        };
        set |= capability;
    }
    Ok((is_all, set))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(add: &[&str], drop: &[&str], expected: CapabilitySet) {
        let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        assert_eq!(resolve(&owned(add), &owned(drop), false).unwrap(), expected, "+{add:?} -{drop:?}");
    }

    #[test]
    fn capabilities_are_added_and_taken_away_as_docker_does() {
        check(&[], &[], DEFAULT);
        check(&["net_admin"], &["CAP_MKNOD"], (DEFAULT | CapabilitySet::NET_ADMIN) - CapabilitySet::MKNOD);
        check(&["ALL"], &["SYS_ADMIN"], all() - CapabilitySet::SYS_ADMIN);
        check(&["CHOWN"], &["ALL"], CapabilitySet::CHOWN);
        check(&[], &["all"], CapabilitySet::empty());
    }

    #[test]
    fn a_word_that_is_no_capability_is_refused() {
        let refused = resolve(&["FLY".to_owned()], &[], false).unwrap_err();

        assert_eq!(refused.to_string(), "invalid capability: \"FLY\"");
    }
}
