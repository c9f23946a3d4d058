//! The fake by itself, for use by hand: prints the environment in which a program finds it, and serves until it is ended.

use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use fake_azure::{FakeAzure, Settings};

/// A fake of Azure Resource Manager on loopback.
#[derive(Debug, Parser)]
struct Arguments {
    /// The port; any that is free where none is given.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Milliseconds that every answer takes.
    #[arg(long, default_value_t = 0)]
    latency: u64,
    /// Milliseconds that a machine boots.
    #[arg(long, default_value_t = 2000)]
    boot: u64,
    /// Milliseconds that a network is being made.
    #[arg(long, default_value_t = 500)]
    network: u64,
    /// Milliseconds until a new machine's addresses can be seen.
    #[arg(long, default_value_t = 500)]
    addresses: u64,
    /// Seconds that `Retry-After` asks for beside an operation.
    #[arg(long, default_value_t = 1)]
    retry_after: u64,
    /// The file to which every request is written.
    #[arg(long)]
    log: Option<std::path::PathBuf>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let fake = FakeAzure::start(Settings {
        port: arguments.port,
        latency: Duration::from_millis(arguments.latency),
        boot: Duration::from_millis(arguments.boot),
        network_provisioning: Duration::from_millis(arguments.network),
        addresses_after: Duration::from_millis(arguments.addresses),
        retry_after_seconds: arguments.retry_after,
        log_file: arguments.log,
        ..Settings::default()
    })
    .context("failed to start the fake")?;
    for (name, value) in fake.environment() {
        #[expect(clippy::print_stdout, reason = "the answer of this program, to be read by a shell")]
        {
            println!("export {name}={value}");
        }
    }
    tokio::signal::ctrl_c().await.context("failed to wait for an interrupt")
}
