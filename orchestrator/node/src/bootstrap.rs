//! Takes a bootstrap file over: checks it, makes it the node's state on disk, and only then unlinks it.
//!
//! The order is what makes it safe to crash at any point: state, nonce, unlink. A file that is refused is never
//! lost: it is kept aside as `bootstrap.json.rejected-<n>`, and the node says why.

use std::collections::BTreeSet;
use std::fs;
use std::io::{ErrorKind, Read};
use std::net::{IpAddr, UdpSocket};
use std::path::{Path, PathBuf};

use model::{Availability, BOOTSTRAP_FORMAT, Bootstrap, Role, RosterEntry};

use crate::disk::{Disk, DiskError, NewNode, NodeFile};
use crate::genesis::GenesisFile;

/// No bootstrap file is longer: a thousand members are 200 KiB.
const MAX_BYTES: u64 = 4 << 20;

/// Why a bootstrap file is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BootstrapRefused {
    #[error("it cannot be parsed (it may be cut short): {0}")]
    Unparsable(String),
    #[error("its format {found} is not {BOOTSTRAP_FORMAT}")]
    UnknownFormat { found: u32 },
    #[error("it was used before")]
    Used,
    #[error("this node is already part of a swarm")]
    AlreadyMember,
    #[error("it is for the host `{wanted}`, this one is `{found}`")]
    OtherHost { wanted: String, found: String },
    #[error("it is for a host with the address {0}, which this one does not have")]
    OtherAddress(IpAddr),
    #[error("it contradicts itself: {0}")]
    Inconsistent(String),
}

/// What became of a bootstrap file.
#[derive(Debug)]
pub(crate) enum TakenOver {
    /// There was none.
    Nothing,
    /// It is the node's state now.
    Taken,
    /// It is refused and kept aside; in words for the user.
    Refused(String),
}

/// Takes over the file of a run directory, if there is one.
///
/// # Errors
/// State could not be read or written; the file is where it was, and the next start tries again.
pub(crate) fn take_over(disk: &Disk, run_dir: &Path, hostname: &str) -> Result<TakenOver, DiskError> {
    let path = run_dir.join("bootstrap.json");
    let Some(text) = read(&path)? else {
        return Ok(TakenOver::Nothing);
    };
    let present = disk.node()?;
    let refused = match check(&text, present.as_ref(), &disk.nonces()?, hostname, is_local) {
        Ok(Checked::New(bootstrap)) => {
            keep(disk, *bootstrap)?;
            remove(&path)?;
            return Ok(TakenOver::Taken);
        }
        Ok(Checked::Finish(nonce)) => {
            disk.keep_nonce(&nonce)?;
            remove(&path)?;
            return Ok(TakenOver::Taken);
        }
        Err(refused) => refused,
    };
    let aside = set_aside(&path)?;
    Ok(TakenOver::Refused(format!("the bootstrap file is refused: {refused}; it is kept as `{}`", aside.display())))
}

/// A file that passed.
#[derive(Debug)]
enum Checked {
    /// It makes this host a node.
    New(Box<Bootstrap>),
    /// It did already; a crash came before it was unlinked.
    Finish(String),
}

/// The rules. Pure but for the question whether an address is one of the host's.
fn check(
    text: &str,
    present: Option<&NodeFile>,
    nonces: &BTreeSet<String>,
    hostname: &str,
    is_local: impl Fn(IpAddr) -> bool,
) -> Result<Checked, BootstrapRefused> {
    let unparsable = |error: serde_json::Error| BootstrapRefused::Unparsable(without_content(&error));
    let format: FormatOnly = serde_json::from_str(text).map_err(unparsable)?;
    if format.format != BOOTSTRAP_FORMAT {
        return Err(BootstrapRefused::UnknownFormat { found: format.format });
    }
    let bootstrap: Bootstrap = serde_json::from_str(text).map_err(unparsable)?;
    if let Some(present) = present {
        return if present.nonce.as_deref() == Some(bootstrap.nonce.as_str()) && !nonces.contains(&bootstrap.nonce) {
            Ok(Checked::Finish(bootstrap.nonce))
        } else if nonces.contains(&bootstrap.nonce) {
            Err(BootstrapRefused::Used)
        } else {
            Err(BootstrapRefused::AlreadyMember)
        };
    }
    if nonces.contains(&bootstrap.nonce) {
        return Err(BootstrapRefused::Used);
    }
    if bootstrap.host.hostname != hostname {
        return Err(BootstrapRefused::OtherHost {
            wanted: bootstrap.host.hostname.clone(),
            found: hostname.to_owned(),
        });
    }
    let addr = bootstrap.host.advertise_addr.ip();
    if !is_local(addr) {
        return Err(BootstrapRefused::OtherAddress(addr));
    }
    check_identity(&bootstrap)?;
    Ok(Checked::New(Box::new(bootstrap)))
}

/// Only the format, so that a file of another one is told as such.
#[derive(serde::Deserialize)]
struct FormatOnly {
    format: u32,
}

/// Where parsing failed, without a word of the content, which holds keys.
fn without_content(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Eof => "it ends too early",
        serde_json::error::Category::Data => "a field is missing or wrong",
        serde_json::error::Category::Io | serde_json::error::Category::Syntax => "it is not JSON",
    };
    format!("{what}, at line {} column {}", error.line(), error.column())
}

/// Certificate, roster and role must tell the same story.
fn check_identity(bootstrap: &Bootstrap) -> Result<(), BootstrapRefused> {
    let inconsistent = |what: &str| Err(BootstrapRefused::Inconsistent(what.to_owned()));
    let certificate = match ca::CertificateInfo::from_pem(&bootstrap.certificate) {
        Ok(certificate) => certificate,
        Err(error) => return Err(BootstrapRefused::Inconsistent(error.to_string())),
    };
    if certificate.node_id != bootstrap.node_id
        || certificate.role != bootstrap.role
        || certificate.cluster_id != bootstrap.cluster_id
    {
        return inconsistent("its certificate is of another node, role or swarm");
    }
    let is_same = |entry: &&RosterEntry| entry.node_id == bootstrap.node_id;
    let Some(entry) = bootstrap.roster.iter().find(is_same) else {
        return inconsistent("its node is not on the roster");
    };
    if entry.role != bootstrap.role || entry.addr != bootstrap.host.advertise_addr {
        return inconsistent("the roster has another role or address for its node");
    }
    if bootstrap.role == Role::Manager && (entry.raft_id.is_none() || bootstrap.seed.is_none()) {
        return inconsistent("it is for a manager, but has no raft id or no seed");
    }
    Ok(())
}

/// Makes the file the node's state. `node.json` is last: with it the node is a member.
fn keep(disk: &Disk, bootstrap: Bootstrap) -> Result<(), DiskError> {
    let raft_id = bootstrap
        .roster
        .iter()
        .find(|entry| entry.node_id == bootstrap.node_id)
        .and_then(|entry| entry.raft_id.filter(|_| bootstrap.role == Role::Manager));
    let genesis = GenesisFile {
        cluster_id: bootstrap.cluster_id.clone(),
        gossip_key: bootstrap.gossip_key,
        roster: bootstrap.roster,
        seed: bootstrap.seed,
        availability: Availability::Active,
    };
    let managers = genesis.managers();
    // What a former membership, or a crash while leaving it, may have left behind.
    disk.wipe()?;
    disk.keep_genesis(&genesis)?;
    disk.keep_identity(&rpc::Identity { certificate_pem: bootstrap.certificate, key: bootstrap.key })?;
    let node = NewNode {
        node_id: bootstrap.node_id,
        cluster_id: bootstrap.cluster_id,
        roots: bootstrap.roots,
        listen: bootstrap.host.advertise_addr,
        advertise: bootstrap.host.advertise_addr,
        data_path: None,
        managers,
        remotes: Vec::new(),
        raft_id,
        is_first_key: true,
        nonce: Some(bootstrap.nonce.clone()),
    };
    disk.keep_node(&node.into())?;
    disk.keep_nonce(&bootstrap.nonce)
}

fn read(path: &Path) -> Result<Option<String>, DiskError> {
    let failed = |source| DiskError::Io { action: "read", path: path.to_owned(), source };
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    // What is not UTF-8 is not JSON either, and is refused as such.
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

fn remove(path: &Path) -> Result<(), DiskError> {
    fs::remove_file(path).map_err(|source| DiskError::Io { action: "remove", path: path.to_owned(), source })
}

/// Keeps a refused file under the first free number.
fn set_aside(path: &Path) -> Result<PathBuf, DiskError> {
    let numbered = |number: u32| path.with_extension(format!("json.rejected-{number}"));
    let aside = (1..u32::MAX).map(numbered).find(|aside| !aside.exists()).expect("no directory has so many files");
    fs::rename(path, &aside).map_err(|source| DiskError::Io { action: "set aside", path: path.to_owned(), source })?;
    Ok(aside)
}

/// Whether an address is one of this host's: only those can be bound.
fn is_local(addr: IpAddr) -> bool {
    UdpSocket::bind((addr, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use model::Bootstrap;
    use tempfile::TempDir;

    use super::*;
    use crate::testing::SwarmIdentity;

    /// A host with empty directories, and the bootstrap files of a swarm of two on it.
    fn host() -> (TempDir, Disk, Vec<Bootstrap>) {
        let directory = tempfile::tempdir().unwrap();
        for part in ["data", "run"] {
            fs::create_dir(directory.path().join(part)).unwrap();
        }
        let disk = Disk::new(directory.path().join("data"));
        let addrs = ["127.0.0.1".parse().unwrap(), "127.0.0.2".parse().unwrap()];
        (directory, disk, SwarmIdentity::generate(&addrs, 1).bootstraps)
    }

    fn put(directory: &TempDir, text: &str) {
        fs::write(directory.path().join("run/bootstrap.json"), text).unwrap();
    }

    fn text(bootstrap: &Bootstrap) -> String {
        serde_json::to_string(bootstrap).unwrap()
    }

    fn take(directory: &TempDir, disk: &Disk) -> TakenOver {
        take_over(disk, &directory.path().join("run"), "node-1").unwrap()
    }

    #[track_caller]
    fn assert_refused(directory: &TempDir, disk: &Disk, text: &str, why: &str) {
        put(directory, text);
        let TakenOver::Refused(words) = take(directory, disk) else { panic!("this must be refused: {why}") };
        assert!(words.contains(why), "{words}");
        let run = directory.path().join("run");
        assert!(!run.join("bootstrap.json").exists());
        let kept = fs::read_dir(&run).unwrap().filter_map(Result::ok);
        assert!(kept.into_iter().any(|entry| fs::read_to_string(entry.path()).unwrap() == text));
    }

    #[test]
    fn a_file_is_taken_over_once() {
        let (directory, disk, files) = host();

        assert!(matches!(take(&directory, &disk), TakenOver::Nothing));
        put(&directory, &text(&files[0]));
        assert!(matches!(take(&directory, &disk), TakenOver::Taken));
        let node = disk.node().unwrap().unwrap();
        assert_eq!(node.node_id, files[0].node_id);
        assert!(node.is_first_key);
        assert!(!directory.path().join("run/bootstrap.json").exists());

        assert_refused(&directory, &disk, &text(&files[0]), "it was used before");
        disk.wipe().unwrap();
        assert_refused(&directory, &disk, &text(&files[0]), "it was used before");
        assert!(directory.path().join("run/bootstrap.json.rejected-2").exists());
    }

    #[test]
    fn a_crash_before_the_file_was_unlinked_loses_nothing() {
        let (directory, disk, files) = host();
        let mut bootstrap = files[0].clone();
        bootstrap.nonce = "interrupted".to_owned();
        put(&directory, &text(&bootstrap));
        take(&directory, &disk);
        // As if the process had ended between the state and the nonce.
        fs::remove_file(directory.path().join("data/bootstrap-nonces")).unwrap();
        put(&directory, &text(&bootstrap));

        assert!(matches!(take(&directory, &disk), TakenOver::Taken));
        assert!(disk.nonces().unwrap().contains("interrupted"));
        assert!(!directory.path().join("run/bootstrap.json").exists());
    }

    #[test]
    fn a_file_that_is_not_for_this_host_or_not_whole_is_refused_and_kept_aside() {
        let (directory, disk, files) = host();
        let whole = text(&files[0]);
        let check = |text: &str, why: &str| assert_refused(&directory, &disk, text, why);
        let changed = |change: fn(&mut Bootstrap)| {
            let mut bootstrap = files[0].clone();
            change(&mut bootstrap);
            text(&bootstrap)
        };

        check("", "it ends too early");
        check(&whole[..whole.len() / 2], "it ends too early");
        check("not json", "it is not JSON");
        check("{\"format\":1}", "a field is missing or wrong");
        check(&changed(|bootstrap| bootstrap.format = 2), "its format 2 is not 1");
        check(&text(&files[1]), "it is for the host `node-2`, this one is `node-1`");
        check(
            &changed(|bootstrap| bootstrap.host.advertise_addr = "192.0.2.1:2377".parse().unwrap()),
            "for a host with the address 192.0.2.1",
        );
        check(&changed(|bootstrap| bootstrap.role = model::Role::Worker), "another node, role or swarm");
        check(&changed(|bootstrap| bootstrap.roster.clear()), "not on the roster");
        check(&changed(|bootstrap| bootstrap.seed = None), "no raft id or no seed");
        assert_eq!(disk.node().unwrap(), None);
    }

    #[test]
    fn a_member_refuses_the_file_of_another_swarm() {
        let (directory, disk, files) = host();
        put(&directory, &text(&files[0]));
        take(&directory, &disk);

        let (_other, _, others) = host();

        assert_refused(&directory, &disk, &text(&others[0]), "already part of a swarm");
        assert_eq!(disk.node().unwrap().unwrap().node_id, files[0].node_id);
    }
}
