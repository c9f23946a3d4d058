//! The agent's binary that a cluster's machines run, kept beside them so that they start when its source is gone.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use driver::DriverError;

use super::failure::{Failed, at};

/// Puts a binary in place, by a link where both are on one file system. Machines that run keep the one they have.
pub(super) fn put_in_place(source: &Path, target: &Path) -> Result<(), DriverError> {
    if !source.is_file() {
        return Err(DriverError::Unmet {
            what: format!("there is no agent at `{}`", source.display()),
            hint: "name one with --agent PATH, or use a swarmup with a bundled agent".to_owned(),
        });
    }
    let draft = target.with_extension("new");
    // A draft of a process that was killed is of no use.
    if draft.exists() {
        fs::remove_file(&draft).failed(at("remove", &draft))?;
    }
    if fs::hard_link(source, &draft).is_err() {
        fs::copy(source, &draft).failed(at("copy", source))?;
        fs::set_permissions(&draft, fs::Permissions::from_mode(0o755)).failed(at("make executable", &draft))?;
    }
    fs::rename(&draft, target).failed(at("put in place", target))?;
    // Renaming one link of a file over another one of the same file does nothing.
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).failed(at("remove", &draft)),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binary_is_put_in_place_again_and_again() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second, target) = (folder.path().join("a"), folder.path().join("b"), folder.path().join("agent"));
        fs::write(&first, "1").unwrap();
        fs::write(&second, "2").unwrap();

        put_in_place(&first, &target).unwrap();
        put_in_place(&first, &target).unwrap();
        put_in_place(&second, &target).unwrap();

        assert_eq!(fs::read_to_string(&target).unwrap(), "2");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_binary_that_is_missing_is_named() {
        let refused = put_in_place(Path::new("/no/such"), Path::new("/no/target")).unwrap_err();

        assert!(matches!(refused, DriverError::Unmet { .. }) && refused.to_string().contains("/no/such"));
    }
}
