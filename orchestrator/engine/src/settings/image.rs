//! What an image says of its containers, where their settings say nothing.

use model::HealthConfig;

use super::InvalidSettings;
use crate::config::ContainerConfig;

/// A container's settings in full: its own first, the image's where they are silent.
pub(crate) fn with_image(
    mut config: ContainerConfig,
    image: &image::RunConfig,
) -> Result<ContainerConfig, InvalidSettings> {
    let fill = |own: &mut String, default: &str| {
        if own.is_empty() {
            default.clone_into(own);
        }
    };
    fill(&mut config.user, &image.user);
    fill(&mut config.working_dir, &image.working_dir);
    fill(&mut config.stop_signal, &image.stop_signal);
    config.stop_timeout = config.stop_timeout.or(image.stop_timeout);
    add_env(&mut config.env, &image.env);
    for (name, value) in &image.labels {
        config.labels.entry(name.clone()).or_insert_with(|| value.clone());
    }
    for port in image.exposed_ports.keys() {
        config.exposed_ports.entry(port.clone()).or_default();
    }
    for folder in image.volumes.keys() {
        config.volumes.entry(folder.clone()).or_default();
    }
    command(&mut config, image)?;
    config.healthcheck = healthcheck(config.healthcheck.take(), image.healthcheck.as_ref());
    Ok(config)
}

/// Adds the variables that the container does not name itself.
fn add_env(own: &mut Vec<String>, image: &[String]) {
    let name = |variable: &str| variable.split_once('=').map_or(variable, |(name, _)| name).to_owned();
    let named: Vec<String> = own.iter().map(|variable| name(variable)).collect();
    own.extend(image.iter().filter(|variable| !named.contains(&name(variable))).cloned());
}

/// An entry point of its own makes the image's command void, for that belongs to the image's entry point.
fn command(config: &mut ContainerConfig, image: &image::RunConfig) -> Result<(), InvalidSettings> {
    let is_empty = |words: &Option<Vec<String>>| words.as_ref().is_none_or(Vec::is_empty);
    if is_empty(&config.entrypoint) {
        if is_empty(&config.cmd) {
            config.cmd.clone_from(&image.cmd);
        }
        if config.entrypoint.is_none() {
            config.entrypoint.clone_from(&image.entrypoint);
        }
    }
    // One empty word is how clients ask for no entry point.
    if config.entrypoint.as_deref().is_some_and(|words| words.len() == 1 && words[0].is_empty()) {
        config.entrypoint = None;
    }
    if is_empty(&config.entrypoint) && is_empty(&config.cmd) {
        return Err(InvalidSettings::new("no command specified"));
    }
    Ok(())
}

fn healthcheck(own: Option<HealthConfig>, image: Option<&image::Healthcheck>) -> Option<HealthConfig> {
    let Some(image) = image else { return own };
    let Some(own) = own else {
        return Some(HealthConfig {
            test: image.test.clone(),
            interval: image.interval,
            timeout: image.timeout,
            start_period: image.start_period,
            start_interval: image.start_interval,
            retries: image.retries,
        });
    };
    let or = |own: i64, image: i64| if own == 0 { image } else { own };
    Some(HealthConfig {
        interval: or(own.interval, image.interval),
        timeout: or(own.timeout, image.timeout),
        start_period: or(own.start_period, image.start_period),
        start_interval: or(own.start_interval, image.start_interval),
        retries: or(own.retries, image.retries),
        test: if own.test.is_empty() { image.test.clone() } else { own.test },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Option<Vec<String>> {
        (text != "-").then(|| text.split(' ').filter(|word| *word != ".").map(str::to_owned).collect())
    }

    /// `-` is absent, `.` is an empty list.
    fn check(own: (&str, &str), image: (&str, &str), expected: Result<(&str, &str), &str>) {
        let config = ContainerConfig { entrypoint: words(own.0), cmd: words(own.1), ..ContainerConfig::default() };
        let image = image::RunConfig { entrypoint: words(image.0), cmd: words(image.1), ..image::RunConfig::default() };

        let merged = with_image(config, &image).map(|config| (config.entrypoint, config.cmd));

        let expected = expected.map(|(entrypoint, cmd)| (words(entrypoint), words(cmd)));
        assert_eq!(merged.map_err(|error| error.to_string()), expected.map_err(str::to_owned), "{own:?}");
    }

    #[test]
    fn entry_point_and_command_are_the_containers_or_the_images() {
        check(("-", "-"), ("-", "sh"), Ok(("-", "sh")));
        check(("-", "-"), ("init", "sh"), Ok(("init", "sh")));
        check(("-", "ls /"), ("init", "sh"), Ok(("init", "ls /")));
        check(("run", "-"), ("init", "sh"), Ok(("run", "-")));
        check(("run", "now"), ("init", "sh"), Ok(("run", "now")));
        check(("", "ls"), ("init", "sh"), Ok(("-", "ls")));
        check((".", "-"), ("init", "sh"), Ok((".", "sh")));
        check(("-", "-"), ("-", "-"), Err("no command specified"));
        check(("", "-"), ("init", "sh"), Err("no command specified"));
    }

    #[test]
    fn variables_and_labels_of_the_image_fill_what_is_not_named() {
        let config = ContainerConfig {
            env: vec!["A=own".to_owned(), "B".to_owned()],
            cmd: words("sh"),
            labels: [("a".to_owned(), "own".to_owned())].into(),
            ..ContainerConfig::default()
        };
        let image = image::RunConfig {
            env: vec!["A=image".to_owned(), "B=image".to_owned(), "C=image".to_owned()],
            labels: [("a".to_owned(), "image".to_owned()), ("b".to_owned(), "image".to_owned())].into(),
            user: "web".to_owned(),
            volumes: [("/data".to_owned(), serde_json::Value::Null)].into(),
            ..image::RunConfig::default()
        };

        let merged = with_image(config, &image).expect("it has a command");

        assert_eq!(merged.env, ["A=own", "B", "C=image"]);
        assert_eq!((merged.labels["a"].as_str(), merged.labels["b"].as_str()), ("own", "image"));
        assert_eq!(merged.user, "web");
        assert!(merged.volumes.contains_key("/data"));
    }

    #[test]
    fn a_healthcheck_takes_from_the_image_what_it_leaves_open() {
        let own = HealthConfig { interval: 7, ..HealthConfig::default() };
        let image = image::Healthcheck { test: vec!["CMD".to_owned()], interval: 1, retries: 2, ..Default::default() };

        let merged = healthcheck(Some(own), Some(&image)).expect("there is one");

        assert_eq!((merged.interval, merged.retries, merged.test), (7, 2, vec!["CMD".to_owned()]));
        assert_eq!(healthcheck(None, None), None);
    }
}
