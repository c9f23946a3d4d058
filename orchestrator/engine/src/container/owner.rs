//! Whose files are that belong to a container's user: by the lists of users and groups that the container itself has.

use image::{CopyError, FileView};

/// How long those lists may be, in bytes.
const LIST_LIMIT: u64 = 1 << 20;

/// A user or a group that the container does not know.
#[derive(Debug, thiserror::Error)]
pub enum NoSuchOwner {
    /// The user.
    #[error("unable to find user {0}: no matching entries in passwd file")]
    User(String),
    /// The group.
    #[error("unable to find group {0}: no matching entries in group file")]
    Group(String),
    /// The lists cannot be read.
    #[error(transparent)]
    Unreadable(#[from] CopyError),
}

/// The numbers of `user[:group]`, by name or number; a user's own group where none is named. Blocks.
pub(super) fn of(view: &FileView, text: &str) -> Result<(u32, u32), NoSuchOwner> {
    let read = |path| view.read(path, LIST_LIMIT).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    numbers(&read("/etc/passwd")?, &read("/etc/group")?, text)
}

fn numbers(users: &str, groups: &str, text: &str) -> Result<(u32, u32), NoSuchOwner> {
    let (user, group) = text.split_once(':').unwrap_or((text, ""));
    let known = find(users, user);
    let uid = match (&known, user.parse()) {
        (Some(fields), _) => fields[0],
        (None, Ok(number)) => number,
        (None, Err(_)) => return Err(NoSuchOwner::User(user.to_owned())),
    };
    let gid = match (find(groups, group), group.parse()) {
        _ if group.is_empty() => known.map_or(0, |fields| fields[1]),
        (Some(fields), _) => fields[0],
        (None, Ok(number)) => number,
        (None, Err(_)) => return Err(NoSuchOwner::Group(group.to_owned())),
    };
    Ok((uid, gid))
}

/// The numbers behind a name, or of the line that begins with this number; the second is 0 where there is none.
fn find(list: &str, wanted: &str) -> Option<[u32; 2]> {
    list.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let first: u32 = fields.nth(1)?.parse().ok()?;
        let second = fields.next().and_then(|field| field.parse().ok()).unwrap_or(0);
        (name == wanted || wanted.parse() == Ok(first)).then_some([first, second])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_groups_are_found_by_name_and_number() {
        let check = |text: &str, expected: Result<(u32, u32), &str>| {
            let found = numbers("root:x:0:0::/:\nweb:x:33:44::/:\n", "root:x:0:\nstaff:x:50:web\n", text);
            assert_eq!(found.map_err(|error| error.to_string()), expected.map_err(str::to_owned), "{text}");
        };
        check("web", Ok((33, 44)));
        check("33", Ok((33, 44)));
        check("1000", Ok((1000, 0)));
        check("web:staff", Ok((33, 50)));
        check("web:7", Ok((33, 7)));
        check("nobody", Err("unable to find user nobody: no matching entries in passwd file"));
        check("web:none", Err("unable to find group none: no matching entries in group file"));
    }
}
