//! Which version of the agent may follow which. Pure.
//!
//! Members of one version and of the next minor one work together, and the later one reads what the earlier one keeps on
//! its disk. Neither holds the other way round, nor over two minor versions: those steps are refused unless the user says
//! that versions count for nothing. Two builds of one version may follow each other.

/// Why an agent may not follow another.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It is an earlier version.
    #[error("it runs agent {running}, and {new} need not understand what that keeps on its disk")]
    Earlier {
        /// The version that runs.
        running: String,
        /// The version at hand.
        new: String,
    },
    /// There are versions between that were not installed.
    #[error("it runs agent {running}, which need not work together with {new}")]
    TooFar {
        /// The version that runs.
        running: String,
        /// The version at hand.
        new: String,
    },
}

impl Unfit {
    /// What the user can do about it.
    pub(super) fn hint(&self) -> String {
        match self {
            Self::Earlier { running, .. } => {
                format!("use the swarmup of version {running} or a later one; --force goes back all the same")
            }
            Self::TooFar { .. } => {
                "go by way of the minor versions between, with the swarmup of each; --force skips them".to_owned()
            }
        }
    }
}

/// Refuses a version that may not follow another. A node that does not say what it runs may run anything.
pub(super) fn check(running: &str, new: &str) -> Result<(), Unfit> {
    let (Some(before), Some(after)) = (parse(running), parse(new)) else { return Ok(()) };
    let (running, new) = (running.to_owned(), new.to_owned());
    if after < before {
        return Err(Unfit::Earlier { running, new });
    }
    let ((major, minor, _), (next_major, next_minor, _)) = (before, after);
    if next_major != major || next_minor > minor + 1 {
        return Err(Unfit::TooFar { running, new });
    }
    Ok(())
}

/// `1.2.3`, whatever follows after a `-` or `+`.
fn parse(version: &str) -> Option<(u32, u32, u32)> {
    let numbers = version.split(['-', '+']).next()?;
    let mut parts = numbers.split('.').map(|part| part.parse::<u32>().ok());
    let parsed = (parts.next()??, parts.next()??, parts.next()??);
    parts.next().is_none().then_some(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_followed_by_itself_and_by_the_next_minor_one() {
        let check = |running: &str, new: &str, expected: &str| {
            let found = match super::check(running, new) {
                Ok(()) => "may follow",
                Err(Unfit::Earlier { .. }) => "is earlier",
                Err(Unfit::TooFar { .. }) => "is too far",
            };
            assert_eq!(found, expected, "{new} after {running}");
        };

        check("0.1.0", "0.1.0", "may follow");
        check("0.1.0", "0.1.7", "may follow");
        check("0.1.7", "0.2.0", "may follow");
        check("0.1.7-rc.1", "0.2.0+build", "may follow");
        check("0.1.1", "0.1.0", "is earlier");
        check("1.0.0", "0.9.9", "is earlier");
        check("0.1.0", "0.3.0", "is too far");
        check("0.9.0", "1.0.0", "is too far");
        check("", "0.1.0", "may follow");
        check("in memory only", "0.1.0", "may follow");
    }
}
