//! A command on a channel of an SSH connection.

use std::io;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt as _;
use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{self, Instant};

use super::pace::Pace;
use super::{Ssh, broken};
use crate::process::{self, Event, Events, Input, LINGER, Process};
use crate::stdio::{RawMode, StandardInput, StandardOutputs, terminal_size, window_changes};
use crate::{ReachError, quote};

/// SSH's number for standard error among extended data.
const STDERR: u32 = 1;
/// How long sshd may take to free the place of a command that has ended.
const PLACE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait before asking for a place again.
const PLACE_PAUSE: Duration = Duration::from_millis(20);
/// The terminal that the remote side is told of where the environment does not name one.
const DEFAULT_TERMINAL: &str = "xterm";

/// Starts a script of `sh` on a channel of its own.
pub(super) async fn start(ssh: &Ssh, script: &str) -> Result<Process, ReachError> {
    let (channel, permit) = open(ssh).await?;
    // The user's login shell may be any; `sh` reads the script.
    let line = format!("exec sh -c {}", quote(script));
    channel.exec(true, line).await.map_err(|error| broken(&ssh.peer, error))?;
    Ok(process_on(ssh, channel, permit))
}

/// Runs a line or a login shell with this process's own standard streams, and a terminal where asked.
pub(super) async fn interact(ssh: &Ssh, script: Option<&str>, has_terminal: bool) -> Result<i32, ReachError> {
    let failed = |error| broken(&ssh.peer, error);
    let (channel, permit) = open(ssh).await?;
    let raw_mode = if has_terminal {
        let (columns, rows) = terminal_size();
        let terminal = std::env::var("TERM").unwrap_or_else(|_| DEFAULT_TERMINAL.to_owned());
        channel.request_pty(false, &terminal, columns, rows, 0, 0, &[]).await.map_err(failed)?;
        RawMode::enter()
    } else {
        RawMode::none()
    };
    match script {
        Some(script) => channel.exec(true, script).await.map_err(failed)?,
        None => channel.request_shell(true).await.map_err(failed)?,
    }
    let Process { mut events, mut input } = process_on(ssh, channel, permit);

    let mut keyboard = StandardInput::open();
    let mut screen = StandardOutputs::open();
    let mut changes = window_changes(has_terminal);
    let status = {
        let feeding = process::feed(input.as_mut(), &mut keyboard);
        tokio::pin!(feeding);
        let mut is_fed = false;
        loop {
            let event = tokio::select! {
                fed = &mut feeding, if !is_fed => {
                    fed?;
                    is_fed = true;
                    continue;
                }
                () = changes.next() => {
                    let (columns, rows) = terminal_size();
                    events.resize(columns, rows).await;
                    continue;
                }
                event = events.next() => event?,
            };
            match event {
                Event::Ended(status) => break status,
                Event::Stdout(_) | Event::Stderr(_) => screen.write(&event).await,
            }
        }
    };
    keyboard.close().await;
    raw_mode.leave();
    Ok(status)
}

async fn open(ssh: &Ssh) -> Result<(Channel<Msg>, OwnedSemaphorePermit), ReachError> {
    let permit = ssh
        .channels
        .clone()
        .acquire_owned()
        .await
        .expect("the semaphore lives as long as the connection, never closed");
    // sshd frees the place of a command a moment after that command has ended.
    let deadline = Instant::now() + PLACE_TIMEOUT;
    let channel = loop {
        match ssh.handle.channel_open_session().await {
            Err(russh::Error::ChannelOpenFailure(_)) if Instant::now() < deadline => time::sleep(PLACE_PAUSE).await,
            opened => break opened.map_err(|error| broken(&ssh.peer, error))?,
        }
    };
    Ok((channel, permit))
}

fn process_on(ssh: &Ssh, channel: Channel<Msg>, permit: OwnedSemaphorePermit) -> Process {
    let (reader, writer) = channel.split();
    let writer = std::sync::Arc::new(writer);
    let (pace, windows) = Pace::new();
    let events = ChannelEvents {
        peer: ssh.peer.clone(),
        reader,
        writer: std::sync::Arc::clone(&writer),
        status: None,
        until: None,
        is_closed: false,
        windows,
        _permit: permit,
    };
    Process { events: Box::new(events), input: Box::new(ChannelInput { peer: ssh.peer.clone(), writer, pace }) }
}

/// What arrives on a channel.
struct ChannelEvents {
    peer: String,
    reader: ChannelReadHalf,
    writer: std::sync::Arc<ChannelWriteHalf<Msg>>,
    /// The exit code, once it is known; output may still follow.
    status: Option<i32>,
    /// When output that follows the end is waited for no longer.
    until: Option<Instant>,
    /// Whether the host has closed the channel.
    is_closed: bool,
    /// How far the host has opened its window for what the command reads.
    windows: watch::Sender<u32>,
    _permit: OwnedSemaphorePermit,
}

#[async_trait]
impl Events for ChannelEvents {
    async fn next(&mut self) -> Result<Event, ReachError> {
        loop {
            let message = match self.until {
                None => self.reader.wait().await,
                Some(until) => time::timeout_at(until, self.reader.wait()).await.unwrap_or_default(),
            };
            match message {
                Some(ChannelMsg::Data { data }) => return Ok(Event::Stdout(data)),
                Some(ChannelMsg::ExtendedData { data, ext: STDERR }) => return Ok(Event::Stderr(data)),
                Some(ChannelMsg::WindowAdjusted { new_size }) => drop(self.windows.send_replace(new_size)),
                Some(ChannelMsg::ExitStatus { exit_status }) => {
                    self.end_with(i32::try_from(exit_status).unwrap_or(i32::MAX));
                }
                Some(ChannelMsg::ExitSignal { signal_name, .. }) => self.end_with(128 + number_of(&signal_name)),
                Some(ChannelMsg::Failure) => return Err(self.lost("the host refuses to run commands")),
                None | Some(ChannelMsg::Close) => {
                    self.is_closed = message.is_some();
                    return match self.status {
                        Some(status) => Ok(Event::Ended(status)),
                        None => Err(self.lost("the connection ended before the command did")),
                    };
                }
                Some(_) => {}
            }
        }
    }

    async fn resize(&mut self, columns: u32, rows: u32) {
        // A terminal of the old size is better than a broken session.
        let _ = self.writer.window_change(columns, rows, 0, 0).await;
    }
}

impl ChannelEvents {
    fn end_with(&mut self, status: i32) {
        self.status = Some(status);
        self.until = Some(Instant::now() + LINGER);
    }

    fn lost(&self, reason: &str) -> ReachError {
        ReachError::Disconnected { peer: self.peer.clone(), source: Box::new(io::Error::other(reason)) }
    }
}

impl Drop for ChannelEvents {
    /// Ends what still runs: russh itself would leave the channel, and the command, as they are.
    fn drop(&mut self) {
        if !self.is_closed {
            // As far as the connection takes it without waiting; where it takes nothing more it is broken anyway.
            let _ = self.writer.signal(Sig::TERM).now_or_never();
            let _ = self.writer.close().now_or_never();
        }
    }
}

/// What a command on a channel reads.
struct ChannelInput {
    peer: String,
    writer: std::sync::Arc<ChannelWriteHalf<Msg>>,
    pace: Pace,
}

#[async_trait]
impl Input for ChannelInput {
    async fn write(&mut self, piece: Bytes) -> Result<(), ReachError> {
        self.pace.send(piece.len()).await;
        self.writer.data_bytes(piece).await.map_err(|error| broken(&self.peer, error))
    }

    async fn finish(&mut self) -> Result<(), ReachError> {
        self.writer.eof().await.map_err(|error| broken(&self.peer, error))
    }
}

fn number_of(signal: &Sig) -> i32 {
    match signal {
        Sig::HUP => 1,
        Sig::INT => 2,
        Sig::QUIT => 3,
        Sig::ILL => 4,
        Sig::ABRT => 6,
        Sig::FPE => 8,
        Sig::KILL => 9,
        Sig::USR1 => 10,
        Sig::SEGV => 11,
        Sig::PIPE => 13,
        Sig::ALRM => 14,
        Sig::TERM => 15,
        Sig::Custom(_) => 0,
    }
}
