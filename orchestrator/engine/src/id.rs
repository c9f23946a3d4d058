//! Names that the engine draws itself: ids of 64 hexadecimal digits, and two words for containers that were given none.

use std::fmt::Write as _;

use rand::RngExt;

/// Describes how something is.
const ADJECTIVES: [&str; 48] = [
    "amber", "ample", "apt", "autumn", "balmy", "blithe", "bold", "brisk", "calm", "candid", "clear", "cosy", "crisp",
    "deft", "dewy", "early", "fair", "fleet", "fond", "frank", "gentle", "glad", "golden", "hale", "hardy", "hushed",
    "jolly", "keen", "kindly", "light", "lively", "lucid", "mellow", "merry", "mild", "nimble", "noble", "placid",
    "plucky", "quiet", "ready", "sage", "sober", "spry", "steady", "sunny", "tidy", "warm",
];
/// People who found things out.
const SURNAMES: [&str; 48] = [
    "abel",
    "avogadro",
    "banneker",
    "bernoulli",
    "bolyai",
    "boole",
    "cauchy",
    "celsius",
    "coulomb",
    "daguerre",
    "daimler",
    "dedekind",
    "diesel",
    "dirichlet",
    "eiffel",
    "euler",
    "fabre",
    "faraday",
    "fizeau",
    "foucault",
    "fourier",
    "fraunhofer",
    "fresnel",
    "gauss",
    "gibbs",
    "hadamard",
    "halley",
    "hamilton",
    "humboldt",
    "huygens",
    "jacobi",
    "joule",
    "kirchhoff",
    "kovalevsky",
    "lagrange",
    "laplace",
    "leibniz",
    "linnaeus",
    "mercator",
    "moebius",
    "napier",
    "ohm",
    "oersted",
    "poincare",
    "riemann",
    "somerville",
    "torricelli",
    "watt",
];

/// Draws 256 bits, as hexadecimal digits.
pub(crate) fn hex_id(rng: &mut (impl rand::Rng + ?Sized)) -> String {
    let mut bytes = [0_u8; 32];
    rng.fill_bytes(&mut bytes);
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Draws a name for a container; after several tries (`attempt` from 0) with a number, so that there is always one left.
pub(crate) fn container_name(rng: &mut (impl rand::Rng + ?Sized), attempt: u32) -> String {
    let adjective = ADJECTIVES[rng.random_range(0..ADJECTIVES.len())];
    let surname = SURNAMES[rng.random_range(0..SURNAMES.len())];
    if attempt < 3 {
        return format!("{adjective}_{surname}");
    }
    format!("{adjective}_{surname}{}", rng.random_range(0..u32::MAX))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn ids_have_64_hexadecimal_digits_and_differ() {
        let mut rng = StdRng::seed_from_u64(1);

        let (one, two) = (hex_id(&mut rng), hex_id(&mut rng));

        assert!(one.len() == 64 && one.bytes().all(|byte| byte.is_ascii_hexdigit()), "{one}");
        assert_ne!(one, two);
    }

    #[test]
    fn generated_names_are_two_words_and_get_numbers_when_words_run_out() {
        let mut rng = StdRng::seed_from_u64(1);

        let (plain, numbered) = (container_name(&mut rng, 0), container_name(&mut rng, 3));

        assert!(plain.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{plain}");
        assert!(numbered.bytes().last().is_some_and(|byte| byte.is_ascii_digit()), "{numbered}");
    }
}
