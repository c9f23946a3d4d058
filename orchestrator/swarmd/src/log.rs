//! Sets logging up: text for people or JSON for machines, on standard error or into bounded files.

use std::io;
use std::path::Path;
use std::sync::Mutex;

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::arguments::LogFormat;
use crate::rotation::RotatingFile;

/// The environment variable that filters the log (`info`, `raft=debug,info`).
const FILTER_VARIABLE: &str = "SWARMD_LOG";
/// What is logged where nobody says otherwise. openraft tells each of its steps, which nobody but its authors reads.
const DEFAULT_FILTER: &str = "info,openraft=warn";
/// A log file larger than this is put aside.
const LARGEST_FILE: u64 = 10 << 20;
/// So many files that were put aside are kept.
const KEPT_FILES: u32 = 3;

/// Logs to standard error, where the journal or a terminal reads it.
pub(crate) fn to_stderr(format: LogFormat) -> anyhow::Result<()> {
    start(format, io::stderr)
}

/// Logs into a file of bounded size.
pub(crate) fn to_file(path: &Path, format: LogFormat) -> anyhow::Result<()> {
    let file = RotatingFile::open(path, LARGEST_FILE, KEPT_FILES)
        .with_context(|| format!("failed to open the log `{}`", path.display()))?;
    start(format, Mutex::new(file))?;
    // Standard error leads nowhere then, so a panic must find its way into the file.
    std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "panicked")));
    Ok(())
}

fn start<W>(format: LogFormat, writer: W) -> anyhow::Result<()>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let filter = match std::env::var(FILTER_VARIABLE) {
        Ok(text) => EnvFilter::try_new(&text).with_context(|| format!("{FILTER_VARIABLE} is no filter: `{text}`"))?,
        Err(_) => EnvFilter::new(DEFAULT_FILTER),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(false);
    // A log that cannot be written must not bring the agent down with it.
    let started = match format {
        LogFormat::Text => builder.log_internal_errors(false).try_init(),
        LogFormat::Json => builder.log_internal_errors(false).json().try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("failed to start logging: {error}"))
}
