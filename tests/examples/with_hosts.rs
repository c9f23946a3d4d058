//! Runs a program on a network with hosts to log in to: `with_hosts COUNT PROGRAM [ARGUMENT…]`.
//!
//! The program finds the hosts' addresses (with commas between) in `HOSTS` and the key that logs in to them as root in
//! `HOSTS_KEY`. The hosts are gone when it ends; its exit code is passed on.

use std::process::ExitCode;

use anyhow::Context as _;
use tests::Hosts;

fn main() -> anyhow::Result<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    let count = arguments.next().context("usage: with_hosts COUNT PROGRAM [ARGUMENT…]")?;
    let program = arguments.next().context("usage: with_hosts COUNT PROGRAM [ARGUMENT…]")?;
    let hosts = Hosts::start(count.parse().context("the count is no number")?)?;
    let addresses: Vec<String> = hosts.all().iter().map(|host| host.address().to_string()).collect();
    let status = hosts
        .operator(&program)
        .args(arguments)
        .env("HOSTS", addresses.join(","))
        .env("HOSTS_KEY", hosts.key_file())
        .status()
        .with_context(|| format!("failed to run `{program}`"))?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}
