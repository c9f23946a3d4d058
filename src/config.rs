//! From `swarmup.yaml`, flags and environment to one validated [`ClusterSpec`].
//!
//! What is said nearest counts: a flag over the environment, the environment over the file, the file over what the
//! cluster is already, that over the default. A provider's options stand in the file under the provider's name, so
//! that one file can serve several providers:
//!
//! ```yaml
//! name: lab
//! provider: generic
//! managers: 3
//! workers: 2
//! generic:
//!   host: [root@192.0.2.1, root@192.0.2.2]
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use driver::{OptionSpec, OptionValue, Options};
use serde::Deserialize;

use crate::cluster::{ClusterSpec, DEFAULT_MANAGERS, DEFAULT_NAME, DEFAULT_WORKERS, InvalidSpec};
use crate::ingress::{Ingress, InvalidIngress};
use crate::providers::{self, Provider, UnknownProvider};

/// The largest `swarmup.yaml` that is read.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Why the wishes of file, flags and environment make no cluster.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("failed to read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("`{}` is not a valid cluster file: {reason}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
    /// No driver has that name.
    #[error(transparent)]
    Provider(#[from] UnknownProvider),
    /// The provider has no such option.
    #[error("provider `{provider}` has no option `{option}`")]
    UnknownOption {
        /// The provider.
        provider: String,
        /// The option.
        option: String,
        /// The options that it has.
        known: Vec<&'static str>,
    },
    /// An option that holds one value was given several.
    #[error("option `{option}` takes one value")]
    NotRepeatable {
        /// The option.
        option: String,
    },
    /// Something cannot be let in.
    #[error(transparent)]
    Ingress(#[from] InvalidIngress),
    /// The whole makes no cluster.
    #[error(transparent)]
    Spec(#[from] InvalidSpec),
}

impl ConfigError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Read { .. } | Self::Parse { .. } | Self::NotRepeatable { .. } => None,
            Self::Provider(unknown) => Some(unknown.hint()),
            Self::UnknownOption { known, .. } if known.is_empty() => Some("it has no options at all".to_owned()),
            Self::UnknownOption { known, .. } => Some(format!("its options are: {}", known.join(", "))),
            Self::Ingress(invalid) => Some(invalid.hint()),
            Self::Spec(invalid) => Some(invalid.hint()),
        }
    }
}

/// What was asked for in one place; what is absent was not said there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wishes {
    /// The cluster's name.
    pub name: Option<String>,
    /// The provider.
    pub provider: Option<String>,
    /// How many managers.
    pub managers: Option<u32>,
    /// How many workers.
    pub workers: Option<u32>,
    /// Whether an even number of managers is meant.
    pub allow_even_managers: Option<bool>,
    /// The prefixes that the operator comes from.
    pub ssh_from: Option<Vec<String>>,
    /// The ports that everybody may reach.
    pub open: Option<Vec<String>>,
    /// Whether the members send each other ESP.
    pub encrypted_networks: Option<bool>,
    /// Options by provider; flags, which belong to whichever provider is chosen, stand under the empty name.
    pub options: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

/// `swarmup.yaml` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct File {
    name: Option<String>,
    provider: Option<String>,
    managers: Option<u32>,
    workers: Option<u32>,
    allow_even_managers: Option<bool>,
    ssh_from: Option<Values>,
    open: Option<Values>,
    encrypted_networks: Option<bool>,
    /// Sections of providers; any other key is refused in [`read_file`].
    #[serde(flatten)]
    sections: BTreeMap<String, BTreeMap<String, Values>>,
}

/// One value or a list; scalars of any kind are taken as they are written.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Values {
    Many(Vec<Scalar>),
    One(Scalar),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Scalar {
    Truth(bool),
    Number(i64),
    Text(String),
}

impl Values {
    fn into_texts(self) -> Vec<String> {
        match self {
            Self::One(value) => vec![value.into_text()],
            Self::Many(values) => values.into_iter().map(Scalar::into_text).collect(),
        }
    }
}

impl Scalar {
    fn into_text(self) -> String {
        match self {
            Self::Truth(truth) => truth.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text,
        }
    }
}

/// Reads YAML as Docker reads it: `no` is a text, `0755` is octal, `22:22` is a text.
pub fn parse_yaml<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, serde_saphyr::Error> {
    serde_saphyr::from_str_with_options(
        text,
        serde_saphyr::options! { strict_booleans: true, legacy_octal_numbers: true },
    )
}

/// Reads a cluster file.
pub fn read_file(path: &Path) -> Result<Wishes, ConfigError> {
    let read = |source| ConfigError::Read { path: path.to_owned(), source };
    let size = std::fs::metadata(path).map_err(read)?.len();
    if size > MAX_FILE_BYTES {
        let reason = format!("{size} bytes are more than the {MAX_FILE_BYTES} that are read");
        return Err(ConfigError::Parse { path: path.to_owned(), reason });
    }
    let text = std::fs::read_to_string(path).map_err(read)?;
    parse_file(&text).map_err(|reason| ConfigError::Parse { path: path.to_owned(), reason })
}

fn parse_file(text: &str) -> Result<Wishes, String> {
    let file: File = parse_yaml(text).map_err(|error| error.to_string())?;
    let mut options = BTreeMap::new();
    for (section, values) in file.sections {
        if !providers::names().any(|name| name == section) {
            let known = [
                "name",
                "provider",
                "managers",
                "workers",
                "allow-even-managers",
                "ssh-from",
                "open",
                "encrypted-networks",
            ];
            let known = known.into_iter().chain(providers::names()).collect::<Vec<_>>().join(", ");
            return Err(format!("unknown key `{section}`; the keys are {known}"));
        }
        let values = values.into_iter().map(|(name, values)| (name, values.into_texts()));
        options.insert(section, values.collect());
    }
    Ok(Wishes {
        name: file.name,
        provider: file.provider,
        managers: file.managers,
        workers: file.workers,
        allow_even_managers: file.allow_even_managers,
        ssh_from: file.ssh_from.map(Values::into_texts),
        open: file.open.map(Values::into_texts),
        encrypted_networks: file.encrypted_networks,
        options,
    })
}

/// Settles on one spec. `current` is what the cluster is already, where it exists.
pub fn resolve(
    flags: &Wishes,
    file: &Wishes,
    environment: &dyn Fn(&str) -> Option<String>,
    current: Option<&ClusterSpec>,
) -> Result<ClusterSpec, ConfigError> {
    let provider = flags
        .provider
        .as_deref()
        .or(file.provider.as_deref())
        .or(current.map(|spec| spec.provider.as_str()))
        .unwrap_or(providers::DEFAULT);
    let provider = providers::find(provider)?;
    let current_options = current.filter(|spec| spec.provider == provider.name).map(|spec| &spec.options);
    let spec = ClusterSpec {
        name: chosen_name(flags, file),
        provider: provider.name.to_owned(),
        managers: flags.managers.or(file.managers).or(current.map(|spec| spec.managers)).unwrap_or(DEFAULT_MANAGERS),
        workers: flags.workers.or(file.workers).or(current.map(|spec| spec.workers)).unwrap_or(DEFAULT_WORKERS),
        allow_even_managers: flags
            .allow_even_managers
            .or(file.allow_even_managers)
            .or(current.map(|spec| spec.allow_even_managers))
            .unwrap_or(false),
        ingress: Ingress::resolve(flags, file, current.map(|spec| &spec.ingress))?,
        options: resolve_options(provider, flags, file, environment, current_options)?,
    };
    Ok(spec.validate()?)
}

/// The name that flags and file agree on, or the default.
pub fn chosen_name(flags: &Wishes, file: &Wishes) -> String {
    flags.name.clone().or_else(|| file.name.clone()).unwrap_or_else(|| DEFAULT_NAME.to_owned())
}

/// The options of a provider as far as flags and environment name them, defaults filled in.
pub fn given_options(
    provider: &Provider,
    flags: &Wishes,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Options, ConfigError> {
    resolve_options(provider, flags, &Wishes::default(), environment, None)
}

fn resolve_options(
    provider: &Provider,
    flags: &Wishes,
    file: &Wishes,
    environment: &dyn Fn(&str) -> Option<String>,
    current: Option<&Options>,
) -> Result<Options, ConfigError> {
    let nothing = BTreeMap::new();
    let from_flags = flags.options.get("").unwrap_or(&nothing);
    let from_file = file.options.get(provider.name).unwrap_or(&nothing);
    if let Some(unknown) = from_flags.keys().chain(from_file.keys()).find(|name| provider.option(name).is_none()) {
        return Err(ConfigError::UnknownOption {
            provider: provider.name.to_owned(),
            option: unknown.clone(),
            known: provider.options.iter().map(|option| option.name).collect(),
        });
    }

    let mut resolved = Options::default();
    for option in provider.options {
        let given = from_flags.get(option.name).cloned();
        let given = given.or_else(|| from_environment(option, environment));
        let given = given.or_else(|| from_file.get(option.name).cloned());
        let value = match given {
            Some(values) => Some(option_value(option, values)?),
            None => current
                .and_then(|options| options.0.get(option.name).cloned())
                .or_else(|| option.default.map(|value| default_value(option, value))),
        };
        if let Some(value) = value {
            resolved.0.insert(option.name.to_owned(), value);
        }
    }
    Ok(resolved)
}

fn from_environment(option: &OptionSpec, environment: &dyn Fn(&str) -> Option<String>) -> Option<Vec<String>> {
    let value = environment(option.env?).filter(|value| !value.is_empty())?;
    let is_list = option.is_repeated;
    Some(if is_list { value.split(',').map(|part| part.trim().to_owned()).collect() } else { vec![value] })
}

fn option_value(option: &OptionSpec, mut values: Vec<String>) -> Result<OptionValue, ConfigError> {
    if option.is_repeated {
        return Ok(OptionValue::Many(values));
    }
    match (values.pop(), values.is_empty()) {
        (Some(value), true) => Ok(OptionValue::One(value)),
        _ => Err(ConfigError::NotRepeatable { option: option.name.to_owned() }),
    }
}

fn default_value(option: &OptionSpec, value: &str) -> OptionValue {
    if option.is_repeated { OptionValue::Many(vec![value.to_owned()]) } else { OptionValue::One(value.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_ENVIRONMENT: &dyn Fn(&str) -> Option<String> = &|_| None;

    #[test]
    fn nothing_said_gives_the_default_cluster() {
        let spec = resolve(&Wishes::default(), &Wishes::default(), NO_ENVIRONMENT, None).unwrap();

        assert_eq!((spec.name.as_str(), spec.provider.as_str()), (DEFAULT_NAME, providers::DEFAULT));
        assert_eq!((spec.managers, spec.workers), (3, 2));
    }

    #[test]
    fn a_flag_counts_more_than_the_file_and_the_file_more_than_what_is() {
        let flags = Wishes { managers: Some(5), ..Wishes::default() };
        let file = parse_file("name: lab\nprovider: fake\nmanagers: 1\nworkers: 4\n").unwrap();
        let current = resolve(&Wishes::default(), &Wishes::default(), NO_ENVIRONMENT, None).unwrap();

        let spec = resolve(&flags, &file, NO_ENVIRONMENT, Some(&current)).unwrap();

        assert_eq!((spec.name.as_str(), spec.managers, spec.workers), ("lab", 5, 4));
    }

    #[test]
    fn what_is_not_said_again_stays_as_it_is() {
        let flags = Wishes { provider: Some("fake".to_owned()), managers: Some(1), ..Wishes::default() };
        let current = resolve(&flags, &Wishes::default(), NO_ENVIRONMENT, None).unwrap();

        let again = resolve(&Wishes::default(), &Wishes::default(), NO_ENVIRONMENT, Some(&current)).unwrap();

        assert_eq!(again, current);
    }

    #[test]
    fn an_unknown_key_in_the_file_is_refused_with_the_list() {
        let reason = parse_file("manager: 3\n").unwrap_err();

        assert!(reason.contains("manager"), "{reason}");
    }

    #[test]
    fn an_unknown_section_in_the_file_is_refused_with_the_list() {
        let reason = parse_file("azzure:\n  region: x\n").unwrap_err();

        assert!(reason.starts_with("unknown key `azzure`; the keys are name, provider"), "{reason}");
    }

    #[test]
    fn an_option_that_the_provider_does_not_declare_is_refused() {
        let file = parse_file("provider: fake\nfake:\n  no-such-option: 1\n").unwrap();

        let error = resolve(&Wishes::default(), &file, NO_ENVIRONMENT, None).unwrap_err();

        assert_eq!(error.to_string(), "provider `fake` has no option `no-such-option`");
    }

    #[test]
    fn an_unknown_provider_is_refused_with_the_list() {
        let flags = Wishes { provider: Some("clowd".to_owned()), ..Wishes::default() };

        let error = resolve(&flags, &Wishes::default(), NO_ENVIRONMENT, None).unwrap_err();

        assert_eq!(error.to_string(), "there is no provider `clowd`");
        assert!(error.hint().unwrap().contains("local, generic"), "{error:?}");
    }
}
