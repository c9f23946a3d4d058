//! Changes to an image's settings, in the words of a Dockerfile: what `docker import --change` gives.

mod words;

use std::path::{Component, Path, PathBuf};

use image::{Healthcheck, RunConfig};
use serde_json::json;

use crate::moment;
use words::{rest_of_line, split};

/// Docker's bound on one change, which is a line of a Dockerfile.
const LINE_LIMIT: usize = 64 << 10;
/// What runs commands that are written as text.
const SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// Why a change cannot be made, for whoever asked for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct InvalidChange(String);

impl InvalidChange {
    fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// Makes changes, one after the other. Empty lines and comments change nothing.
pub(crate) fn apply<'a>(
    mut config: RunConfig,
    changes: impl Iterator<Item = &'a str>,
) -> Result<RunConfig, InvalidChange> {
    for line in changes.flat_map(str::lines).map(str::trim) {
        if line.len() > LINE_LIMIT {
            return Err(InvalidChange::new(format!("a change is longer than {LINE_LIMIT} bytes")));
        }
        if !line.is_empty() && !line.starts_with('#') {
            let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            change(&mut config, &word.to_ascii_uppercase(), rest.trim())?;
        }
    }
    Ok(config)
}

fn change(config: &mut RunConfig, instruction: &str, rest: &str) -> Result<(), InvalidChange> {
    let needs = |words: Vec<String>| {
        if words.is_empty() {
            Err(InvalidChange::new(format!("{instruction} requires at least one argument")))
        } else {
            Ok(words)
        }
    };
    let one = |words: Vec<String>| match <[String; 1]>::try_from(words) {
        Ok([word]) => Ok(word),
        Err(_) => Err(InvalidChange::new(format!("{instruction} requires exactly one argument"))),
    };
    match instruction {
        "CMD" => config.cmd = command(rest),
        "ENTRYPOINT" => config.entrypoint = command(rest),
        "ENV" => {
            for (name, value) in pairs(instruction, rest, &config.env)? {
                let assignment = format!("{name}={value}");
                let existing = config.env.iter_mut().find(|known| known.split('=').next() == Some(name.as_str()));
                match existing {
                    Some(known) => *known = assignment,
                    None => config.env.push(assignment),
                }
            }
        }
        "LABEL" => config.labels.extend(pairs(instruction, rest, &config.env)?),
        "EXPOSE" => {
            for word in needs(split(rest, &config.env)?)? {
                config.exposed_ports.extend(ports(&word)?.into_iter().map(|port| (port, json!({}))));
            }
        }
        "VOLUME" => {
            let folders = needs(list(rest).map_or_else(|| split(rest, &config.env), Ok)?)?;
            if folders.iter().any(|folder| folder.trim().is_empty()) {
                return Err(InvalidChange::new("VOLUME specified can not be an empty string"));
            }
            config.volumes.extend(folders.into_iter().map(|folder| (folder, json!({}))));
        }
        "USER" => config.user = one(split(rest, &config.env)?)?,
        "WORKDIR" => config.working_dir = folder(&config.working_dir, &one(split(rest, &config.env)?)?),
        "STOPSIGNAL" => config.stop_signal = signal(one(split(rest, &config.env)?)?)?,
        "HEALTHCHECK" => config.healthcheck = Some(healthcheck(rest)?),
        "ONBUILD" => config.on_build.push(trigger(rest)?),
        other => {
            let other: String = other.to_ascii_lowercase().chars().take(80).collect();
            return Err(InvalidChange::new(format!("{other} is not a valid change command")));
        }
    }
    Ok(())
}

/// A JSON list of texts; what is none is something else.
fn list(text: &str) -> Option<Vec<String>> {
    text.starts_with('[').then(|| serde_json::from_str(text).ok()).flatten()
}

/// A program with its arguments, or text for a shell.
fn command(text: &str) -> Option<Vec<String>> {
    if let Some(words) = list(text) {
        return Some(words);
    }
    (!text.is_empty()).then(|| SHELL.iter().map(ToString::to_string).chain([text.to_owned()]).collect())
}

/// `NAME=value` any number of times, or once `NAME value`.
fn pairs(instruction: &str, text: &str, env: &[String]) -> Result<Vec<(String, String)>, InvalidChange> {
    let first = text.split_whitespace().next().unwrap_or_default();
    if first.is_empty() {
        return Err(InvalidChange::new(format!("{instruction} requires at least one argument")));
    }
    let pairs = if first.contains('=') {
        let words = split(text, env)?;
        let pair = |word: &String| word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        let pairs: Option<Vec<_>> = words.iter().map(pair).collect();
        pairs.ok_or_else(|| InvalidChange::new(format!("Syntax error - can't find = in {text:?}")))?
    } else {
        let value = text[first.len()..].trim();
        if value.is_empty() {
            return Err(InvalidChange::new(format!("{instruction} must have two arguments")));
        }
        vec![(first.to_owned(), rest_of_line(value, env)?)]
    };
    if pairs.iter().any(|(name, _)| name.is_empty()) {
        return Err(InvalidChange::new(format!("{instruction} names can not be blank")));
    }
    Ok(pairs)
}

/// `80`, `80/udp`, `8000-8002`.
fn ports(text: &str) -> Result<Vec<String>, InvalidChange> {
    let invalid = || InvalidChange::new(format!("invalid containerPort: {text}"));
    let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    let (low, high) = range.split_once('-').unwrap_or((range, range));
    let (low, high): (u16, u16) = (low.parse().map_err(|_| invalid())?, high.parse().map_err(|_| invalid())?);
    if low > high || !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(invalid());
    }
    Ok((low..=high).map(|port| format!("{port}/{protocol}")).collect())
}

/// A folder, seen from the one before.
fn folder(before: &str, text: &str) -> String {
    let mut folder = PathBuf::from("/");
    for part in Path::new(before).join(text).components() {
        match part {
            Component::Normal(name) => folder.push(name),
            Component::ParentDir => {
                folder.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    folder.display().to_string()
}

fn signal(text: String) -> Result<String, InvalidChange> {
    let is_number = text.parse::<u8>().is_ok_and(|number| (1..=64).contains(&number));
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let is_name = name.starts_with(|letter: char| letter.is_ascii_uppercase())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-'));
    if is_number || is_name { Ok(text) } else { Err(InvalidChange::new(format!("invalid signal: {text}"))) }
}

/// `NONE`, or options and `CMD`.
fn healthcheck(text: &str) -> Result<Healthcheck, InvalidChange> {
    let mut check = Healthcheck::default();
    let mut rest = text;
    while let Some(option) = rest.strip_prefix("--") {
        let (option, tail) = option.split_once(char::is_whitespace).unwrap_or((option, ""));
        rest = tail.trim_start();
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let invalid = || InvalidChange::new(format!("invalid value of --{name}: {value:?}"));
        let nanoseconds = || -> Result<i64, InvalidChange> {
            let duration = moment::duration(value).and_then(|duration| i64::try_from(duration.as_nanos()).ok());
            duration.filter(|nanoseconds| *nanoseconds >= 0).ok_or_else(invalid)
        };
        match name {
            "interval" => check.interval = nanoseconds()?,
            "timeout" => check.timeout = nanoseconds()?,
            "start-period" => check.start_period = nanoseconds()?,
            "start-interval" => check.start_interval = nanoseconds()?,
            "retries" => check.retries = value.parse().ok().filter(|count| *count >= 0).ok_or_else(invalid)?,
            _ => return Err(InvalidChange::new(format!("unknown flag: --{name}"))),
        }
    }
    let (kind, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    check.test = match (kind.to_ascii_uppercase().as_str(), rest.trim()) {
        ("NONE", "") => vec!["NONE".to_owned()],
        ("NONE", _) => return Err(InvalidChange::new("HEALTHCHECK NONE takes no arguments")),
        ("CMD", "") => return Err(InvalidChange::new("Missing command after HEALTHCHECK CMD")),
        ("CMD", command) => match list(command) {
            Some(words) => ["CMD".to_owned()].into_iter().chain(words).collect(),
            None => vec!["CMD-SHELL".to_owned(), command.to_owned()],
        },
        _ => return Err(InvalidChange::new(format!("Unknown type {kind:?} in HEALTHCHECK (try CMD)"))),
    };
    Ok(check)
}

fn trigger(text: &str) -> Result<String, InvalidChange> {
    let word = text.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
    match word.as_str() {
        "" => Err(InvalidChange::new("ONBUILD requires at least one argument")),
        "ONBUILD" => Err(InvalidChange::new("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")),
        "MAINTAINER" | "FROM" => Err(InvalidChange::new(format!("{word} isn't allowed as an ONBUILD trigger"))),
        _ => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn changed(lines: &[&str]) -> Result<RunConfig, String> {
        apply(RunConfig::default(), lines.iter().copied()).map_err(|error| error.to_string())
    }

    #[test]
    fn every_instruction_changes_what_it_names() {
        let config = changed(&[
            "CMD [\"/bin/app\", \"-v\"]",
            "entrypoint exec sh",
            "ENV PATH=/bin A=\"1 2\" B='$A'",
            "ENV PATH $PATH:/sbin",
            "LABEL a.b=c \"d e\"=f",
            "EXPOSE 80 8000-8001/UDP",
            "VOLUME [\"/data\"]\n# nothing\n\nVOLUME /more /again",
            "USER nobody:nogroup",
            "WORKDIR /srv",
            "WORKDIR ../app/.",
            "STOPSIGNAL SIGRTMIN+3",
            "HEALTHCHECK --interval=1m30s --retries=2 CMD curl -f x",
            "ONBUILD RUN make",
        ])
        .unwrap();

        assert_eq!(config.cmd.unwrap(), ["/bin/app", "-v"]);
        assert_eq!(config.entrypoint.unwrap(), ["/bin/sh", "-c", "exec sh"]);
        assert_eq!(config.env, ["PATH=/bin:/sbin", "A=1 2", "B=$A"]);
        let labels = [("a.b", "c"), ("d e", "f")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(config.labels, BTreeMap::from(labels));
        assert_eq!(config.exposed_ports.keys().collect::<Vec<_>>(), ["80/tcp", "8000/udp", "8001/udp"]);
        assert_eq!(config.volumes.keys().collect::<Vec<_>>(), ["/again", "/data", "/more"]);
        assert_eq!((config.user.as_str(), config.working_dir.as_str()), ("nobody:nogroup", "/app"));
        assert_eq!(config.stop_signal, "SIGRTMIN+3");
        let check = config.healthcheck.unwrap();
        assert_eq!((check.interval, check.retries), (90_000_000_000, 2));
        assert_eq!(check.test, ["CMD-SHELL", "curl -f x"]);
        assert_eq!(config.on_build, ["RUN make"]);
    }

    #[test]
    fn what_is_no_change_is_refused() {
        for (line, message) in [
            ("RUN make", "run is not a valid change command"),
            ("ENV", "ENV requires at least one argument"),
            ("ENV A", "ENV must have two arguments"),
            ("ENV A=1 B", "Syntax error - can't find = in \"A=1 B\""),
            ("LABEL =x", "LABEL names can not be blank"),
            ("EXPOSE 70000", "invalid containerPort: 70000"),
            ("EXPOSE 9-8", "invalid containerPort: 9-8"),
            ("USER a b", "USER requires exactly one argument"),
            ("VOLUME [\" \"]", "VOLUME specified can not be an empty string"),
            ("STOPSIGNAL 99", "invalid signal: 99"),
            ("HEALTHCHECK curl", "Unknown type \"curl\" in HEALTHCHECK (try CMD)"),
            ("HEALTHCHECK --interval=x CMD a", "invalid value of --interval: \"x\""),
            ("ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger"),
            ("USER \"a", "unexpected end of statement while looking for matching double-quote"),
        ] {
            assert_eq!(changed(&[line]), Err(message.to_owned()), "{line}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(
            word in "(cmd|env|label|expose|volume|user|workdir|stopsignal|healthcheck|onbuild)",
            text in "[-a$\\{\\}\"'\\\\=\\[\\], /0-9:]{0,24}|\\PC{0,24}",
        ) {
            let _ = changed(&[&format!("{word} {text}")]);
        }
    }
}
