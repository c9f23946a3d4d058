//! Serves the fake for use by hand, until it is interrupted.
//!
//! ```text
//!   fake-gcp [--port N] [--log FILE] [--folder DIR] [--operation-ms N] [--boot-ms N] [--latency-ms N]
//! ```
//! It prints the variables under which `swarmup` finds it.

use std::env;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use fake_gcp::{FakeGcp, Settings};

#[tokio::main]
async fn main() -> io::Result<()> {
    let mut settings = Settings::default();
    let mut folder = env::temp_dir();
    let mut arguments = env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| wrong(&format!("{name} needs a value")))?;
        let number = || value.parse::<u64>().map_err(|_| wrong(&format!("{name} needs a number")));
        match name.as_str() {
            "--port" => settings.port = value.parse().map_err(|_| wrong("--port needs a port"))?,
            "--log" => settings.log = Some(PathBuf::from(value)),
            "--folder" => folder = PathBuf::from(value),
            "--operation-ms" => settings.operation = Duration::from_millis(number()?),
            "--boot-ms" => settings.boot = Duration::from_millis(number()?),
            "--latency-ms" => settings.latency = Duration::from_millis(number()?),
            _ => return Err(wrong(&format!("there is no option {name}"))),
        }
    }
    let project = settings.project.clone();
    let fake = FakeGcp::start(settings).await?;
    let credentials = fake.write_credentials(&folder)?;
    let mut output = io::stdout().lock();
    writeln!(output, "export CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE={}", fake.endpoint())?;
    writeln!(output, "export GOOGLE_APPLICATION_CREDENTIALS={}", credentials.display())?;
    writeln!(output, "export GOOGLE_CLOUD_PROJECT={project}")?;
    output.flush()?;
    drop(output);
    tokio::signal::ctrl_c().await
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what.to_owned())
}
