//! What a registry wants to see before it answers: `WWW-Authenticate`.

/// One way to prove who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User name and password, with every request.
    Basic,
    /// A token, from another server.
    Bearer {
        /// That server.
        realm: String,
        /// What the registry is called there.
        service: Option<String>,
    },
}

impl Challenge {
    /// The strongest of those in the headers that is understood.
    pub(super) fn strongest<'a>(headers: impl Iterator<Item = &'a str>) -> Option<Self> {
        let challenges: Vec<_> = headers.filter_map(Self::parse).collect();
        challenges.iter().find(|challenge| **challenge != Self::Basic).or(challenges.first()).cloned()
    }

    fn parse(header: &str) -> Option<Self> {
        let (scheme, parameters) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let parameters = parameters_of(parameters);
        let value = |name: &str| parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        Some(Self::Bearer { realm: value("realm")?, service: value("service") })
    }
}

/// `name="value",name=value`; quoted values may have commas and escaped quotes in them.
fn parameters_of(text: &str) -> Vec<(String, String)> {
    let mut parameters = Vec::new();
    let mut letters = text.chars().peekable();
    loop {
        let name: String = std::iter::from_fn(|| letters.next_if(|letter| *letter != '=')).collect();
        if letters.next().is_none() {
            return parameters;
        }
        let mut value = String::new();
        if letters.next_if_eq(&'"').is_some() {
            while let Some(letter) = letters.next().filter(|letter| *letter != '"') {
                value.push(if letter == '\\' { letters.next().unwrap_or('\\') } else { letter });
            }
        } else {
            value.extend(std::iter::from_fn(|| letters.next_if(|letter| *letter != ',')));
        }
        let name = name.trim_matches(|letter: char| letter == ',' || letter.is_whitespace()).to_ascii_lowercase();
        parameters.push((name, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read_as_registries_write_them() {
        let bearer = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#;
        let expected = Challenge::Bearer {
            realm: "https://auth.docker.io/token".to_owned(),
            service: Some("registry.docker.io".to_owned()),
        };

        assert_eq!(Challenge::strongest([bearer].into_iter()), Some(expected.clone()));
        assert_eq!(Challenge::strongest([r#"Basic realm="x""#, bearer].into_iter()), Some(expected));
        assert_eq!(Challenge::strongest(["basic"].into_iter()), Some(Challenge::Basic));
        assert_eq!(Challenge::strongest(["Negotiate", "Bearer service=x"].into_iter()), None);
        for odd in ["Bearer ", "Bearer =", "Bearer realm", "Bearer realm=\"", "Bearer \"=\"", ""] {
            drop(Challenge::strongest([odd].into_iter()));
        }
    }
}
