//! When a certificate is renewed: at a random point between half and four fifths of its life.

use std::time::Duration;

use jiff::Timestamp;
use rand::{Rng, RngExt};

use crate::CertificateInfo;
use crate::authority::BACKDATE;

/// The part of a certificate's life after which it is renewed, drawn afresh so that a swarm does not renew as one.
const RENEWAL_WINDOW: std::ops::Range<f64> = 0.5..0.8;

/// How long to wait until the certificate is renewed; zero where the moment has passed.
///
/// The life is counted from the signing, which is an hour after `not_before`.
pub fn renewal_delay(certificate: &CertificateInfo, now: Timestamp, rng: &mut (impl Rng + ?Sized)) -> Duration {
    let signed_at = certificate.not_before.saturating_add(BACKDATE).unwrap_or(certificate.not_before);
    let life = certificate.not_after.duration_since(signed_at);
    let Ok(life) = Duration::try_from(life) else {
        return Duration::ZERO;
    };
    let age = Duration::try_from(now.duration_since(signed_at)).unwrap_or(Duration::ZERO);
    life.mul_f64(rng.random_range(RENEWAL_WINDOW)).saturating_sub(age)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::testing::{node_certificate, now};

    const DAY: Duration = Duration::from_hours(24);

    proptest! {
        #[test]
        fn renewal_falls_between_half_and_four_fifths_of_the_life(seed in any::<u64>(), days in 1_u32..90) {
            let info = node_certificate(DAY * days);

            let delay = renewal_delay(&info, now(), &mut StdRng::seed_from_u64(seed));

            prop_assert!(delay >= DAY * days / 2);
            prop_assert!(delay <= DAY * days * 4 / 5);
        }
    }

    #[test]
    fn a_certificate_past_its_window_is_renewed_at_once() {
        let info = node_certificate(DAY);
        let check = |after: Duration| {
            let later = now() + after;
            assert_eq!(renewal_delay(&info, later, &mut StdRng::seed_from_u64(1)), Duration::ZERO, "{after:?}");
        };
        check(DAY * 4 / 5);
        check(DAY);
        check(DAY * 400);
    }

    #[test]
    fn a_clock_that_is_behind_does_not_put_renewal_off_for_ever() {
        let info = node_certificate(DAY);
        let before = now() - DAY * 30;

        assert!(renewal_delay(&info, before, &mut StdRng::seed_from_u64(1)) <= DAY * 4 / 5);
    }
}
