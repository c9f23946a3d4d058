//! Who keeps a container's output, and how much of it.

use std::path::Path;

use runtime::LogSettings;

use super::InvalidSettings;
use crate::config::LogConfig;

/// Where output is kept; `None` where it is not. `json-file` and `local` are the same here.
pub(crate) fn log_settings(log: &LogConfig, folder: &Path) -> Result<Option<LogSettings>, InvalidSettings> {
    match log.kind.as_str() {
        "none" => return Ok(None),
        "" | "json-file" | "local" => {}
        driver => {
            let words = "logger: no log driver named";
            return Err(InvalidSettings::new(format!("{words} '{driver}' is registered")));
        }
    }
    let mut settings = LogSettings::new(folder);
    for (option, value) in &log.config {
        match option.as_str() {
            "max-size" => settings.max_size = size(value).ok_or_else(|| invalid(option, value))?,
            "max-file" => {
                let files = value.parse().ok().filter(|files| *files > 0);
                settings.max_files = files.ok_or_else(|| invalid(option, value))?;
            }
            // What is added to each line, and how it is handed on and packed: nothing that a reader here would miss.
            "compress" | "env" | "env-regex" | "labels" | "labels-regex" | "tag" | "mode" | "max-buffer-size" => {}
            _ => {
                let kind = if log.kind.is_empty() { "json-file" } else { &log.kind };
                return Err(InvalidSettings::new(format!("unknown log opt '{option}' for {kind} log driver")));
            }
        }
    }
    Ok(Some(settings))
}

fn invalid(option: &str, value: &str) -> InvalidSettings {
    InvalidSettings::new(format!("invalid value for log opt {option}: {value}"))
}

/// Reads `10m`: bytes, or thousands of them by Docker's letters. Never nothing.
fn size(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let lower = lower.strip_suffix('b').unwrap_or(&lower);
    let (digits, factor) = match lower.as_bytes().last()? {
        b'k' => (&lower[..lower.len() - 1], 1_000),
        b'm' => (&lower[..lower.len() - 1], 1_000_000),
        b'g' => (&lower[..lower.len() - 1], 1_000_000_000),
        _ => (lower, 1),
    };
    digits.parse::<u64>().ok()?.checked_mul(factor).filter(|bytes| *bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: &str, options: &[(&str, &str)], expected: Result<Option<(u64, u32)>, &str>) {
        let config = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let log = LogConfig { kind: kind.to_owned(), config };

        let found = log_settings(&log, Path::new("/x")).map(|log| log.map(|log| (log.max_size, log.max_files)));

        assert_eq!(found.map_err(|error| error.to_string()), expected.map_err(str::to_owned));
    }

    #[test]
    fn output_is_kept_in_bounded_files_or_not_at_all() {
        check("", &[], Ok(Some((10_000_000, 5))));
        check("json-file", &[("max-size", "20k"), ("max-file", "3")], Ok(Some((20_000, 3))));
        check("none", &[], Ok(None));
        check("syslog", &[], Err("logger: no log driver named 'syslog' is registered"));
        check("json-file", &[("max-size", "0")], Err("invalid value for log opt max-size: 0"));
        check("json-file", &[("max-file", "x")], Err("invalid value for log opt max-file: x"));
        check("", &[("color", "red")], Err("unknown log opt 'color' for json-file log driver"));
    }
}
