//! Runs a command where a cloud is at hand whose machines are hosts: to look at by hand, and to measure.
//!
//! usage: `with_cloud aws|azure|gcp COMMAND [ARGUMENT…]`
//!
//! The command finds the cloud in its environment, `SWARMUP_HOME` in a folder of its own, and in `CLOUD_OPTIONS` the
//! options with which `swarmup create` uses it; `CLOUD_LATENCY` and `CLOUD_BOOT` are the seconds that each call, and
//! each machine's start, shall take. Needs root. Everything is gone when the command ends.
//!
//! `CLOUD_BUCKETS` says how many calls are let through: `open` (the usual), `published` by the provider, or the number
//! that each of the published buckets has left at the beginning. The command finds in `CLOUD_RATES` what the buckets begin
//! with and what comes back each second, and in `CLOUD_LOG` the file, or the address, of what was called.

use std::any::Any;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tests::cloud::{Azure, Buckets, Cloud, Ec2, Gcp, OPERATOR, Rates};

/// More than any measurement takes.
const CORES: u32 = 1000;

/// A cloud that is at hand.
struct Started {
    cloud: Cloud,
    _books: Box<dyn Any>,
    options: String,
    rates: Rates,
    log: String,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(buckets) = Buckets::read(&std::env::var("CLOUD_BUCKETS").unwrap_or_else(|_| "open".to_owned())) else {
        return usage();
    };
    let Ok(log) = tempfile::NamedTempFile::new() else { return ExitCode::FAILURE };
    let started = match arguments.next().as_deref() {
        Some("aws") => aws(buckets),
        Some("azure") => azure(buckets, log.path()),
        Some("gcp") => gcp(buckets, log.path()),
        _ => return usage(),
    };
    let Some(program) = arguments.next() else { return usage() };
    let mut command = started.cloud.operator(program);
    started.cloud.prepare(&mut command);
    command.args(arguments).env("CLOUD_OPTIONS", format!("{} --ssh-from {OPERATOR}", started.options));
    let rates = started.rates.iter().map(|(name, rate)| ((*name).to_owned(), json!(rate))).collect::<Map<_, _>>();
    command.env("CLOUD_RATES", Value::from(rates).to_string()).env("CLOUD_LOG", &started.log);
    for name in ["TERM", "LANG"] {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    match command.status() {
        Ok(status) => status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from),
        Err(_) => ExitCode::FAILURE,
    }
}

fn aws(buckets: Buckets) -> Started {
    let (cloud, ec2, options) = Ec2::start();
    ec2.control(
        "_set",
        &format!(r#"{{"forward": {}, "pending": {}}}"#, seconds("CLOUD_LATENCY"), seconds("CLOUD_BOOT")),
    );
    ec2.limit(buckets);
    let (rates, log) = (buckets.at_the_beginning(&Ec2::PUBLISHED), ec2.log_url());
    Started { cloud, _books: Box::new(ec2), options, rates, log }
}

fn azure(buckets: Buckets, log: &Path) -> Started {
    let published = fake_azure::Rates::PUBLISHED;
    let (cloud, azure, options) = Azure::start(fake_azure::Settings {
        latency: duration("CLOUD_LATENCY"),
        boot: duration("CLOUD_BOOT"),
        cores: CORES,
        rates: buckets.enforce(published),
        calls_left: buckets.left(),
        log_file: Some(log.to_owned()),
        ..fake_azure::Settings::default()
    });
    let rates = buckets.at_the_beginning(&published.by_name());
    Started { cloud, _books: Box::new(azure), options, rates, log: log.display().to_string() }
}

fn gcp(buckets: Buckets, log: &Path) -> Started {
    let published = fake_gcp::Rates::PUBLISHED;
    let (cloud, gcp, options) = Gcp::start(fake_gcp::Settings {
        latency: duration("CLOUD_LATENCY"),
        boot: duration("CLOUD_BOOT"),
        quotas: [("CPUS".to_owned(), CORES)].into(),
        rates: buckets.enforce(published),
        calls_left: buckets.left(),
        log: Some(log.to_owned()),
        ..fake_gcp::Settings::default()
    });
    let rates = buckets.at_the_beginning(&published.by_name());
    Started { cloud, _books: Box::new(gcp), options, rates, log: log.display().to_string() }
}

fn seconds(variable: &str) -> f64 {
    std::env::var(variable).ok().and_then(|value| value.parse().ok()).unwrap_or_default()
}

fn duration(variable: &str) -> Duration {
    Duration::try_from_secs_f64(seconds(variable)).unwrap_or_default()
}

fn usage() -> ExitCode {
    tests::isolated::announce("usage: with_cloud aws|azure|gcp COMMAND [ARGUMENT...]");
    ExitCode::from(2)
}
