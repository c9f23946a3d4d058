//! Runs a command where a cloud is at hand whose machines are hosts: to look at by hand, and to measure.
//!
//! usage: `with_cloud aws|azure|gcp COMMAND [ARGUMENT…]`
//!
//! The command finds the cloud in its environment, `SWARMUP_HOME` in a folder of its own, and in `CLOUD_OPTIONS` the
//! options with which `swarmup create` uses it; `CLOUD_LATENCY` and `CLOUD_BOOT` are the seconds that each call, and
//! each machine's start, shall take. Needs root. Everything is gone when the command ends.

use std::any::Any;
use std::process::ExitCode;
use std::time::Duration;

use tests::cloud::{Azure, Cloud, Ec2, Gcp, OPERATOR};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (cloud, _books, options): (Cloud, Box<dyn Any>, String) = match arguments.next().as_deref() {
        Some("aws") => {
            let (cloud, ec2, options) = Ec2::start();
            ec2.control(
                "_set",
                &format!(r#"{{"forward": {}, "pending": {}}}"#, seconds("CLOUD_LATENCY"), seconds("CLOUD_BOOT")),
            );
            (cloud, Box::new(ec2), options)
        }
        Some("azure") => {
            let (latency, boot) = (duration("CLOUD_LATENCY"), duration("CLOUD_BOOT"));
            let (cloud, azure, options) =
                Azure::start(fake_azure::Settings { latency, boot, ..fake_azure::Settings::default() });
            (cloud, Box::new(azure), options)
        }
        Some("gcp") => {
            let (latency, boot) = (duration("CLOUD_LATENCY"), duration("CLOUD_BOOT"));
            let (cloud, gcp, options) =
                Gcp::start(fake_gcp::Settings { latency, boot, ..fake_gcp::Settings::default() });
            (cloud, Box::new(gcp), options)
        }
        _ => return usage(),
    };
    let Some(program) = arguments.next() else { return usage() };
    let mut command = cloud.operator(program);
    cloud.prepare(&mut command);
    command.args(arguments).env("CLOUD_OPTIONS", format!("{options} --ssh-from {OPERATOR}"));
    for name in ["TERM", "LANG"] {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    match command.status() {
        Ok(status) => status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from),
        Err(_) => ExitCode::FAILURE,
    }
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
