//! What becomes of the swarm's root when an operator asks for another one. Pure, but for the drawing of a new key.

use ca::{Authority, CaError};
use jiff::Timestamp;
use model::{RootCa, RootRotation, SwarmError};

use crate::words::invalid;

/// The name of a root that the swarm makes itself (SwarmKit's).
const ROOT_NAME: &str = "swarm-ca";

/// The authority as it is to be: with a change to the root that is given, or to a new one where that is forced.
///
/// A change under way is replaced: who trusts the present root trusts what any of the two has signed. The present
/// root given again ends a change under way, and the nodes go back to it.
///
/// # Errors
/// The root that is given cannot follow the present one.
pub(crate) fn changed(
    current: &RootCa,
    given: Option<&Authority>,
    is_forced: bool,
    now: Timestamp,
) -> Result<RootCa, SwarmError> {
    let Some(given) = given else {
        return if is_forced { begun(current, &new_root(now)?, now) } else { Ok(current.clone()) };
    };
    if current.root() == Some(given.certificate_pem()) {
        return Ok(RootCa { key: given.key_pem(), rotation: None, ..current.clone() });
    }
    if present(current)?.has_key_of(given) {
        return Err(invalid("Cannot update to a cert with an identical key"));
    }
    if current.rotation.as_ref().is_some_and(|rotation| rotation.certificate == given.certificate_pem()) {
        return Ok(current.clone());
    }
    begun(current, given, now)
}

/// A change to another root, from its beginning.
fn begun(current: &RootCa, new: &Authority, now: Timestamp) -> Result<RootCa, SwarmError> {
    let cross_signed = present(current)?.cross_sign(new, now).map_err(|error| failed(&error))?;
    let rotation = RootRotation { certificate: new.certificate_pem().to_owned(), key: new.key_pem(), cross_signed };
    Ok(RootCa { rotation: Some(rotation), ..current.clone() })
}

fn present(current: &RootCa) -> Result<Authority, SwarmError> {
    Authority::from_pem(current.root().unwrap_or_default(), &current.key).map_err(|error| failed(&error))
}

fn new_root(now: Timestamp) -> Result<Authority, SwarmError> {
    Authority::generate(ROOT_NAME, now).map_err(|error| failed(&error))
}

fn failed(error: &CaError) -> SwarmError {
    SwarmError::internal(format!("failed to change the root of the swarm: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    fn root(name: &str) -> Authority {
        Authority::generate(name, now()).unwrap()
    }

    fn settled(root: &Authority) -> RootCa {
        RootCa::new(root.certificate_pem(), root.key_pem())
    }

    #[test]
    fn without_a_wish_nothing_changes_and_by_force_a_new_root_is_made() {
        let current = settled(&root("old"));

        let unchanged = changed(&current, None, false, now()).unwrap();
        let forced = changed(&current, None, true, now()).unwrap();
        let again = changed(&forced, None, true, now()).unwrap();

        assert_eq!(unchanged, current);
        assert_eq!((forced.root(), &forced.key), (current.root(), &current.key));
        let (first, second) = (forced.rotation.unwrap(), again.rotation.unwrap());
        assert_ne!(first.certificate, second.certificate);
        Authority::from_pem(&second.certificate, &second.key).unwrap();
        for link in [first.cross_signed, second.cross_signed] {
            assert_eq!(ca::is_issued_by(&link, current.root().unwrap()), Ok(true));
        }
    }

    #[test]
    fn the_root_that_is_given_follows_and_the_one_before_it_is_forgotten() {
        let (old, first, second) = (root("old"), root("first"), root("second"));
        let current = settled(&old);

        let once = changed(&current, Some(&first), false, now()).unwrap();
        let same = changed(&once, Some(&first), false, now()).unwrap();
        let twice = changed(&once, Some(&second), true, now()).unwrap();

        assert_eq!(once.trusted(), [first.certificate_pem(), old.certificate_pem()]);
        assert_eq!(same, once);
        assert_eq!(twice.trusted(), [second.certificate_pem(), old.certificate_pem()]);
    }

    #[test]
    fn the_present_root_given_again_ends_the_change() {
        let (old, new) = (root("old"), root("new"));
        let changing = changed(&settled(&old), Some(&new), false, now()).unwrap();

        let back = changed(&changing, Some(&old), false, now()).unwrap();

        assert_eq!(back, settled(&old));
    }

    #[test]
    fn a_former_root_may_follow_its_follower() {
        let (old, new) = (root("old"), root("new"));
        let completed = changed(&settled(&old), Some(&new), false, now()).unwrap().completed();

        let back = changed(&completed, Some(&old), false, now()).unwrap().completed();

        assert_eq!(back.trusted(), [old.certificate_pem()]);
    }

    #[test]
    fn another_certificate_of_the_same_key_is_refused() {
        let old = root("old");
        let renewed = old.cross_sign(&old, now()).unwrap();
        let renewed = Authority::from_pem(&renewed, &old.key_pem()).unwrap();

        let refusal = changed(&settled(&old), Some(&renewed), false, now()).unwrap_err();

        assert_eq!(
            refusal.message,
            "rpc error: code = InvalidArgument desc = Cannot update to a cert with an identical key"
        );
    }
}
