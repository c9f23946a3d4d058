//! Commands on a terminal, as a person has them before them: a size, keys, and a screen that is read to its end.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::process::Stdio;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};

use crate::clients::DockerCli;
use crate::served::PATIENCE;

/// A command on a terminal of its own, of 40 rows and 120 columns at first.
#[derive(Debug)]
pub(crate) struct Terminal {
    child: Child,
    keyboard: OwnedFd,
    /// The same side of the terminal. No pipe, but waited for like one.
    screen: pipe::Receiver,
    /// What is shown and was not looked at.
    shown: Vec<u8>,
}

impl Terminal {
    /// Starts a command of the CLI.
    pub(crate) fn start(docker: &DockerCli, arguments: &[&str]) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap();
        resize(&ours, 40, 120);
        let theirs = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let plain = docker.command(arguments);
        let plain = plain.as_std();
        // The terminal becomes the command's own, so that it hears of new sizes and of the keys that interrupt.
        let mut command = Command::new("/usr/bin/setsid");
        command.arg("--ctty").arg(plain.get_program()).args(plain.get_args()).env_clear();
        command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("TERM", "xterm");
        let side = || Stdio::from(theirs.try_clone().unwrap());
        command.stdin(side()).stdout(side()).stderr(side()).kill_on_drop(true);
        let child = command.spawn().unwrap();
        let flags = fcntl_getfl(&ours).unwrap();
        fcntl_setfl(&ours, flags | OFlags::NONBLOCK).unwrap();
        let screen = pipe::Receiver::from_owned_fd_unchecked(ours.try_clone().unwrap()).unwrap();
        Self { child, keyboard: ours, screen, shown: Vec::new() }
    }

    /// Types.
    pub(crate) fn press(&self, keys: &str) {
        let count = rustix::io::write(&self.keyboard, keys.as_bytes()).unwrap();
        assert_eq!(count, keys.len(), "a terminal takes a line at once");
    }

    /// Gives the terminal another size.
    pub(crate) fn resize(&self, rows: u16, columns: u16) {
        resize(&self.keyboard, rows, columns);
    }

    /// Waits until a text is shown; what came before it. Nothing of it is looked at again.
    pub(crate) async fn see(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = self.shown.windows(text.len()).position(|window| window == text.as_bytes()) {
                let before = self.shown[..at].to_vec();
                self.shown.drain(..at + text.len());
                return String::from_utf8_lossy(&before).into_owned();
            }
            let has_more = tokio::time::timeout(PATIENCE, self.read()).await;
            let has_more = has_more.unwrap_or_else(|_| panic!("{text:?} is not shown: {:?}", self.text()));
            assert!(has_more, "the end before {text:?}: {:?}", self.text());
        }
    }

    /// Waits until the command has ended; how, and what it showed at last.
    pub(crate) async fn end(mut self) -> (Option<i32>, String) {
        let ended = async {
            while self.read().await {}
            self.child.wait().await.unwrap().code()
        };
        let code = tokio::time::timeout(PATIENCE, ended).await;
        (code.unwrap_or_else(|_| panic!("it does not end: {:?}", self.text())), self.text())
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.shown).into_owned()
    }

    /// Takes what is shown next; `false` once nobody holds the terminal any more.
    async fn read(&mut self) -> bool {
        let mut piece = [0; 4096];
        match self.screen.read(&mut piece).await {
            Ok(count) => {
                self.shown.extend_from_slice(&piece[..count]);
                count > 0
            }
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(Errno::IO.raw_os_error()), "{error}");
                false
            }
        }
    }
}

fn resize(terminal: &OwnedFd, rows: u16, columns: u16) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(terminal, size).unwrap();
}
