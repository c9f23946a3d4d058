//! Which user and groups a program runs as, by the lists of the container's own root.

use crate::RuntimeError;
use crate::beneath::Root;

/// How much of a list of users or groups is read, in bytes.
const LIST_LIMIT: u64 = 1 << 20;

/// A user as the kernel knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The user's number.
    pub(crate) uid: u32,
    /// The number of its first group.
    pub(crate) gid: u32,
    /// Its further groups.
    pub(crate) groups: Vec<u32>,
    /// Its home.
    pub(crate) home: String,
}

/// One line of `/etc/passwd`.
struct User<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

/// One line of `/etc/group`.
struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

/// Finds a user (`user`, `user:group`, names or numbers; root if absent) with its groups and some more.
///
/// A number needs no line in a list; a name does.
pub(crate) fn resolve(root: &Root, user: Option<&str>, more: &[String]) -> Result<Identity, RuntimeError> {
    let users = root.read("etc/passwd", LIST_LIMIT)?.unwrap_or_default();
    let groups = root.read("etc/group", LIST_LIMIT)?.unwrap_or_default();
    identify(&users, &groups, user.unwrap_or_default(), more)
}

fn identify(users: &str, groups: &str, wanted: &str, more: &[String]) -> Result<Identity, RuntimeError> {
    let (user, group) = match wanted.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (wanted, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let number = user.parse::<u32>().ok();
    let known = parse_users(users).find(|line| line.name == user || Some(line.uid) == number);
    let mut identity = match (&known, number) {
        (Some(line), _) => Identity { uid: line.uid, gid: line.gid, groups: Vec::new(), home: line.home.to_owned() },
        (None, Some(uid)) => Identity { uid, gid: 0, groups: Vec::new(), home: "/".to_owned() },
        (None, None) => {
            return Err(invalid(format!("unable to find user {user}: no matching entries in passwd file")));
        }
    };
    if let Some(group) = group {
        identity.gid = group_number(groups, group)?;
    } else {
        let name = known.map_or("", |line| line.name);
        let member = |line: &Group<'_>| !name.is_empty() && line.members.split(',').any(|member| member == name);
        identity.groups = parse_groups(groups).filter(member).map(|line| line.gid).collect();
    }
    for group in more {
        identity.groups.push(group_number(groups, group)?);
    }
    identity.groups.sort_unstable();
    identity.groups.dedup();
    if identity.home.is_empty() {
        "/".clone_into(&mut identity.home);
    }
    Ok(identity)
}

fn group_number(groups: &str, wanted: &str) -> Result<u32, RuntimeError> {
    let by_name = parse_groups(groups).find(|line| line.name == wanted).map(|line| line.gid);
    by_name
        .or_else(|| wanted.parse().ok())
        .ok_or_else(|| invalid(format!("unable to find group {wanted}: no matching entries in group file")))
}

fn parse_users(list: &str) -> impl Iterator<Item = User<'_>> {
    list.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty() && !name.starts_with('#'))?;
        let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
        Some(User { name, uid, gid, home: fields.nth(1).unwrap_or_default() })
    })
}

fn parse_groups(list: &str) -> impl Iterator<Item = Group<'_>> {
    list.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty() && !name.starts_with('#'))?;
        Some(Group { name, gid: fields.nth(1)?.parse().ok()?, members: fields.next().unwrap_or_default() })
    })
}

fn invalid(reason: String) -> RuntimeError {
    RuntimeError::Invalid { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str = "root:x:0:0:root:/root:/bin/sh\n# note\nbroken\nweb:x:33:44::/srv/web:/bin/false\n";
    const GROUPS: &str = "root:x:0:\nweb:x:44:\nlogs:x:50:other,web\nmore:x:51:web\nwebby:x:52:webx\n";

    fn check(wanted: &str, more: &[&str], uid: u32, gid: u32, groups: &[u32], home: &str) {
        let more: Vec<String> = more.iter().map(|&group| group.to_owned()).collect();
        let expected = Identity { uid, gid, groups: groups.to_vec(), home: home.to_owned() };
        assert_eq!(identify(USERS, GROUPS, wanted, &more).unwrap(), expected, "{wanted:?} {more:?}");
    }

    #[test]
    fn users_and_groups_are_found_by_name_and_by_number() {
        check("", &[], 0, 0, &[], "/root");
        check("web", &[], 33, 44, &[50, 51], "/srv/web");
        check("33", &[], 33, 44, &[50, 51], "/srv/web");
        check("web:logs", &[], 33, 50, &[], "/srv/web");
        check("web:7", &["logs", "9"], 33, 7, &[9, 50], "/srv/web");
        check("1234", &[], 1234, 0, &[], "/");
        check(":logs", &[], 0, 50, &[], "/root");
    }

    #[test]
    fn a_name_that_is_in_no_list_is_refused() {
        let user = identify(USERS, GROUPS, "nobody", &[]).unwrap_err().to_string();
        let group = identify(USERS, GROUPS, "web:none", &[]).unwrap_err().to_string();

        assert_eq!(user, "unable to find user nobody: no matching entries in passwd file");
        assert_eq!(group, "unable to find group none: no matching entries in group file");
    }
}
