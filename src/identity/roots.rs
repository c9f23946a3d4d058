//! The roots of the swarm as clients know them: learned anew from the swarm itself, which may have changed its root.

use std::path::Path;

use super::{CA_FILE, IdentityError};
use crate::journal::file;

/// Takes over the roots that the swarm says it has (PEM), so that clients know it by them from now on. Nothing is
/// written where they are known.
pub fn learn_roots(folder: &Path, roots: &str) -> Result<(), IdentityError> {
    let path = folder.join(CA_FILE);
    let is_known = || std::fs::read_to_string(&path).is_ok_and(|known| known == roots);
    if is_known() {
        return Ok(());
    }
    ca::certificate_chain(roots).map_err(IdentityError::Roots)?;
    match file::replace(&path, roots.as_bytes()) {
        // Another command has learned the same in this moment.
        Err(_) if is_known() => Ok(()),
        outcome => Ok(outcome?),
    }
}

#[cfg(test)]
mod tests {
    use ca::Authority;
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn clients_learn_the_swarms_new_root_and_nothing_that_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let [old, new] = [(); 2].map(|()| Authority::generate("swarm-ca", Timestamp::now()).unwrap());
        let before = old.certificate_pem().to_owned();
        std::fs::write(folder.path().join(CA_FILE), &before).unwrap();
        let known = || std::fs::read_to_string(folder.path().join(CA_FILE)).unwrap();

        let refused = learn_roots(folder.path(), "no certificate").unwrap_err();
        assert_eq!((refused.to_string().as_str(), known()), ("the swarm's roots cannot be read", before.clone()));
        learn_roots(folder.path(), &format!("{}{before}", new.certificate_pem())).unwrap();
        assert_eq!(known(), format!("{}{before}", new.certificate_pem()));
        learn_roots(folder.path(), new.certificate_pem()).unwrap();

        assert_eq!(known(), new.certificate_pem());
    }
}
