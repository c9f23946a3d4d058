//! The secrets of the swarm in memory, and how they change.

use ca::{Authority, UnlockKey};
use jiff::Timestamp;
use model::{CaConfig, RootRotation};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::State;

impl State {
    /// Has an unlock key while the settings want one.
    pub(super) fn draw_unlock_key(&mut self, is_rotated: bool) {
        let seed = self.index;
        let Some(cluster) = &mut self.cluster else { return };
        let present = cluster.state.unlock_key.take().filter(|_| !is_rotated);
        let draw = || UnlockKey::generate(&mut StdRng::seed_from_u64(seed)).to_secret();
        cluster.state.unlock_key =
            cluster.spec.encryption_config.auto_lock_managers.then(|| present.unwrap_or_else(draw));
    }

    /// Begins a change to the root in the settings, or to a new one.
    pub(super) fn change_root(&mut self, settings: &CaConfig) {
        let now = Timestamp::now();
        let root_ca = &mut self.cluster.as_mut().unwrap().state.root_ca;
        let new = if settings.signing_ca_cert.is_empty() {
            Authority::generate("swarm-ca", now).unwrap()
        } else {
            Authority::from_pem(&settings.signing_ca_cert, &settings.signing_ca_key).unwrap()
        };
        let old = Authority::from_pem(root_ca.root().unwrap(), &root_ca.key).unwrap();
        root_ca.rotation = Some(RootRotation {
            certificate: new.certificate_pem().to_owned(),
            key: new.key_pem(),
            cross_signed: old.cross_sign(&new, now).unwrap(),
        });
    }
}
