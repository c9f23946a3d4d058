//! `swarmup scp`: copies files to and from nodes.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use reach::CopyOptions;

use super::failure::UsageError;
use super::open::Viewed;
use super::{Exit, Global};

/// Copies files to and from nodes.
#[derive(Debug, Args)]
pub(super) struct Scp {
    /// From where: PATH, or NODE:PATH
    source: String,
    /// To where: PATH, or NODE:PATH
    target: String,
    /// Copy folders too
    #[arg(short, long)]
    recursive: bool,
    /// Read and write as root on the node
    #[arg(long)]
    root: bool,
}

/// One side of a copy.
#[derive(Debug, PartialEq, Eq)]
enum Side {
    Here(PathBuf),
    There { node: String, path: String },
}

impl Scp {
    /// Runs the command.
    pub(super) async fn run(self, global: &Global) -> Result<Exit> {
        let options = CopyOptions { is_recursive: self.recursive, is_as_root: self.root };
        let (node, direction) = match (side(&self.source), side(&self.target)) {
            (Side::Here(local), Side::There { node, path }) => (node, (local, path, true)),
            (Side::There { node, path }, Side::Here(local)) => (node, (local, path, false)),
            (Side::Here(_), Side::Here(_)) => {
                return Err(
                    UsageError::new("both sides are on this workstation", "write one of them as NODE:PATH").into()
                );
            }
            (Side::There { .. }, Side::There { .. }) => {
                return Err(UsageError::new("both sides are on nodes", "copy by way of this workstation").into());
            }
        };
        let session = Viewed::open(global, None)?.session(&node, global).await?;
        let (local, remote, is_sent) = direction;
        if is_sent {
            session.send(&local, &remote, options).await?;
        } else {
            session.fetch(&remote, &local, options).await?;
        }
        session.close().await;
        Ok(Exit::Done)
    }
}

/// As `scp` has it: what comes before the first colon is a node, unless a slash comes earlier.
fn side(text: &str) -> Side {
    match text.split_once(':') {
        Some((node, path)) if !node.is_empty() && !node.contains('/') && !is_drive(node, path) => {
            Side::There { node: node.to_owned(), path: if path.is_empty() { "." } else { path }.to_owned() }
        }
        _ => Side::Here(Path::new(text).to_owned()),
    }
}

/// Whether `C:\…` is meant; node names have more than one letter.
fn is_drive(node: &str, path: &str) -> bool {
    node.len() == 1 && path.starts_with('\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_are_told_apart_as_scp_does() {
        let there = |node: &str, path: &str| Side::There { node: node.to_owned(), path: path.to_owned() };
        let check = |text: &str, expected: Side| assert_eq!(side(text), expected, "{text}");
        check("a.txt", Side::Here("a.txt".into()));
        check("./a:b", Side::Here("./a:b".into()));
        check("C:\\x", Side::Here("C:\\x".into()));
        check("node-1:/tmp/x", there("node-1", "/tmp/x"));
        check("node-1:", there("node-1", "."));
    }
}
