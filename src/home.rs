//! Where swarmup keeps what it knows, and which cluster a command means.
//!
//! ```text
//! $SWARMUP_HOME (~/.swarmup; under sudo, of the user behind it)
//!   clusters/<name>/   one folder a cluster; it can be moved to another workstation
//!   drivers/<name>/    what a driver keeps for itself
//!   cache/             agents unpacked from the bundle, by hash
//! ```

use std::io;
use std::path::{Path, PathBuf};

use crate::cluster::{InvalidSpec, check_name};
use crate::journal::file::JOURNAL_FILE;
use crate::journal::lock::LOCK_FILE;
use crate::platform;

/// The environment variable that names another home.
pub const HOME_VARIABLE: &str = "SWARMUP_HOME";
/// The environment variable that names the cluster.
pub const CLUSTER_VARIABLE: &str = "SWARMUP_CLUSTER";

/// Why a cluster cannot be found.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// The user has no home folder.
    #[error("there is no home folder to keep clusters in")]
    NoHome,
    /// The disk refused.
    #[error("failed to {action} `{}`", path.display())]
    Disk {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is no cluster at all.
    #[error("there is no cluster")]
    NoCluster,
    /// There is no cluster of that name.
    #[error("there is no cluster `{name}`")]
    NoSuchCluster {
        /// The name.
        name: String,
        /// The ones that there are.
        known: Vec<String>,
    },
    /// There are several, and none was named.
    #[error("there are {} clusters, and none was named", known.len())]
    Ambiguous {
        /// The ones that there are.
        known: Vec<String>,
    },
    /// The name can be no cluster's.
    #[error(transparent)]
    Name(#[from] InvalidSpec),
}

impl HomeError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoHome => Some(format!("set {HOME_VARIABLE} to a folder")),
            Self::Disk { .. } => None,
            Self::NoCluster => Some("make one with `swarmup create`".to_owned()),
            Self::NoSuchCluster { known, .. } if known.is_empty() => {
                Some("there is none at all; make one with `swarmup create`".to_owned())
            }
            Self::NoSuchCluster { known, .. } => Some(format!("the clusters are: {}", known.join(", "))),
            Self::Ambiguous { known } => {
                Some(format!("name one by argument, -c or {CLUSTER_VARIABLE}: {}", known.join(", ")))
            }
            Self::Name(invalid) => Some(invalid.hint()),
        }
    }
}

/// The folder of all that swarmup knows.
#[derive(Debug, Clone)]
pub struct Home {
    root: PathBuf,
}

impl Home {
    /// The home named by the environment, else the user's own. Creates nothing.
    pub fn locate() -> Result<Self, HomeError> {
        if let Some(root) = std::env::var_os(HOME_VARIABLE).filter(|root| !root.is_empty()) {
            return Ok(Self { root: PathBuf::from(root) });
        }
        let user = platform::caller_home().or_else(|| etcetera::home_dir().ok()).ok_or(HomeError::NoHome)?;
        Ok(Self { root: user.join(".swarmup") })
    }

    /// A home in a given folder.
    pub fn at(root: PathBuf) -> Self {
        Self { root }
    }

    /// Where a driver keeps what it must find again; the driver creates it.
    pub fn driver_folder(&self, driver: &str) -> PathBuf {
        self.root.join("drivers").join(driver)
    }

    /// Where unpacked agents are kept.
    pub fn cache_folder(&self) -> PathBuf {
        self.root.join("cache")
    }

    /// The folder of a cluster, which need not exist.
    pub fn cluster_folder(&self, name: &str) -> PathBuf {
        self.root.join("clusters").join(name)
    }

    /// Makes the folder of a cluster.
    pub fn create_cluster_folder(&self, name: &str) -> Result<PathBuf, HomeError> {
        let path = self.cluster_folder(name);
        let disk = |source| HomeError::Disk { action: "create", path: path.clone(), source };
        platform::create_private_dir(&path).map_err(disk)?;
        Ok(path)
    }

    /// Removes the folder of a cluster with all that is in it, the journal last but for the lock.
    ///
    /// Whatever was set aside goes too: the cluster it told of is gone.
    pub fn remove_cluster_folder(&self, name: &str) -> Result<(), HomeError> {
        let path = self.cluster_folder(name);
        let disk = |source| HomeError::Disk { action: "remove", path: path.clone(), source };
        remove_contents(&path)
            .and_then(|()| std::fs::remove_dir_all(&path))
            .or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(disk(error)) })
    }

    /// The names of all clusters that have a journal, sorted.
    pub fn clusters(&self) -> Result<Vec<String>, HomeError> {
        let folder = self.root.join("clusters");
        let disk = |source| HomeError::Disk { action: "read", path: folder.clone(), source };
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(disk(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(disk)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if check_name(&name).is_ok() && entry.path().join(JOURNAL_FILE).exists() {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// The cluster that a command means: the one named, else the only one.
    pub fn choose(&self, named: Option<&str>) -> Result<String, HomeError> {
        let mut known = self.clusters()?;
        match named {
            Some(name) => {
                check_name(name)?;
                if known.iter().any(|cluster| cluster == name) {
                    return Ok(name.to_owned());
                }
                Err(HomeError::NoSuchCluster { name: name.to_owned(), known })
            }
            None if known.len() > 1 => Err(HomeError::Ambiguous { known }),
            None => known.pop().ok_or(HomeError::NoCluster),
        }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

/// Removes all that a cluster's folder holds but its lock; the journal last, for without it nobody finds the rest.
fn remove_contents(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let stays = path.file_name().is_some_and(|name| name == JOURNAL_FILE || name == LOCK_FILE);
        if !stays {
            if path.is_dir() { std::fs::remove_dir_all(path)? } else { std::fs::remove_file(path)? }
        }
    }
    match std::fs::remove_file(folder.join(JOURNAL_FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home_with(clusters: &[&str]) -> (tempfile::TempDir, Home) {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().to_owned());
        for cluster in clusters {
            let folder = home.create_cluster_folder(cluster).unwrap();
            std::fs::write(folder.join(JOURNAL_FILE), "{}").unwrap();
        }
        (folder, home)
    }

    #[test]
    fn the_only_cluster_needs_no_name() {
        let (_folder, home) = home_with(&["lab"]);

        assert_eq!(home.choose(None).unwrap(), "lab");
    }

    #[test]
    fn several_clusters_need_a_name() {
        let (_folder, home) = home_with(&["lab", "class"]);

        let error = home.choose(None).unwrap_err();

        assert!(error.hint().unwrap().ends_with("class, lab"), "{error:?}");
        assert_eq!(home.choose(Some("lab")).unwrap(), "lab");
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_list() {
        let (_folder, home) = home_with(&["lab"]);

        let error = home.choose(Some("lob")).unwrap_err();

        assert_eq!(error.to_string(), "there is no cluster `lob`");
        assert_eq!(error.hint().unwrap(), "the clusters are: lab");
    }

    #[test]
    fn a_name_never_leaves_the_home() {
        let (_folder, home) = home_with(&["lab"]);

        assert!(matches!(home.choose(Some("../lab")), Err(HomeError::Name(_))));
    }
}
