//! This process's own terminal and standard streams, lent to a command on a host.

#[cfg(unix)]
mod unix;
#[cfg(not(unix))]
mod windows;

use tokio::io::{AsyncWriteExt as _, Stderr, Stdout};

#[cfg(unix)]
pub(crate) use unix::{StandardInput, window_changes};
#[cfg(not(unix))]
pub(crate) use windows::{StandardInput, window_changes};

use crate::process::Event;

/// How many pieces of keyboard input wait for the host: few, so that a slow host slows the reader down.
pub(crate) const INPUT_PIECES: usize = 4;

/// The terminal in raw mode; it is what it was before when this is dropped.
pub(crate) struct RawMode {
    is_raw: bool,
}

impl RawMode {
    /// Hands every key over as it is, Ctrl-C included; nothing where there is no terminal.
    pub(crate) fn enter() -> Self {
        Self { is_raw: crossterm::terminal::enable_raw_mode().is_ok() }
    }

    /// Leaves the terminal alone.
    pub(crate) fn none() -> Self {
        Self { is_raw: false }
    }

    /// Gives the terminal back.
    pub(crate) fn leave(self) {
        drop(self);
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        if self.is_raw {
            // Where the terminal is gone there is nothing to give back.
            let _ = crossterm::terminal::disable_raw_mode();
        }
    }
}

/// Columns and rows of the terminal; the classic size where there is none.
pub(crate) fn terminal_size() -> (u32, u32) {
    let (columns, rows) = crossterm::terminal::size().unwrap_or((80, 24));
    (u32::from(columns), u32::from(rows))
}

/// Where a command's output goes.
pub(crate) struct StandardOutputs {
    stdout: Stdout,
    stderr: Stderr,
}

impl StandardOutputs {
    pub(crate) fn open() -> Self {
        Self { stdout: tokio::io::stdout(), stderr: tokio::io::stderr() }
    }

    /// Writes at once; a reader that went away (`| head`) is none of the command's business.
    pub(crate) async fn write(&mut self, event: &Event) {
        match event {
            Event::Stdout(bytes) => {
                let _ = self.stdout.write_all(bytes).await;
                let _ = self.stdout.flush().await;
            }
            Event::Stderr(bytes) => {
                let _ = self.stderr.write_all(bytes).await;
                let _ = self.stderr.flush().await;
            }
            Event::Ended(_) => {}
        }
    }
}
