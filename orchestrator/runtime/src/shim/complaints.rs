//! Keeps what the library for containers complains of: its errors lose their causes on the way out of a container.

use std::fmt::{Debug, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::Path;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// The file of a state folder that complaints go to.
pub(crate) const COMPLAINTS: &str = "shim.log";
/// How large it becomes, in bytes.
const SIZE_LIMIT: u64 = 64 << 10;
/// How long a complaint is when it is told, in bytes.
const TOLD_LIMIT: usize = 512;

/// A subscriber to errors, for a process that may have been forked: it takes no lock.
struct Complaints {
    file: File,
}

/// From here on this process and its copies write errors to the folder's file.
pub(super) fn keep(folder: &Path) -> std::io::Result<()> {
    let file = OpenOptions::new().append(true).create(true).open(folder.join(COMPLAINTS))?;
    // Set once a process; a second one changes nothing.
    let _ = tracing::subscriber::set_global_default(Complaints { file });
    Ok(())
}

/// How much has been complained of.
pub(super) fn length(folder: &Path) -> u64 {
    std::fs::metadata(folder.join(COMPLAINTS)).map_or(0, |metadata| metadata.len())
}

/// The first complaint since then, which is the innermost cause.
pub(super) fn first_since(folder: &Path, length: u64) -> Option<String> {
    use std::io::{Seek as _, SeekFrom};
    let mut file = File::open(folder.join(COMPLAINTS)).ok()?;
    file.seek(SeekFrom::Start(length)).ok()?;
    let mut text = String::new();
    file.take(SIZE_LIMIT).read_to_string(&mut text).ok()?;
    let mut line = text.lines().next()?.to_owned();
    line.truncate(line.floor_char_boundary(TOLD_LIMIT));
    Some(line)
}

impl Subscriber for Complaints {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::ERROR
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::ERROR)
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let text = format!("{}{}\n", line.message, line.fields).replace('\n', " ");
        if self.file.metadata().is_ok_and(|metadata| metadata.len() < SIZE_LIMIT) {
            // There is nobody to complain to about a complaint.
            let _ = (&self.file).write_all(format!("{}\n", text.trim_end()).as_bytes());
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// An event in words.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            // Text takes every word.
            let _ = write!(self.fields, " {}={value:?}", field.name());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_complaint_since_a_moment_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = OpenOptions::new().append(true).create(true).open(folder.path().join(COMPLAINTS)).unwrap();
        let complaints = Complaints { file };

        tracing::subscriber::with_default(complaints, || {
            tracing::error!("before");
            let since = length(folder.path());
            tracing::info!("no complaint");
            tracing::error!(code = 2, "inner\ncause");
            tracing::error!("outer");

            assert_eq!(first_since(folder.path(), since).as_deref(), Some("inner cause code=2"));
        });
    }
}
