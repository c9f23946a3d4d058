//! Files inside of a root that is not trusted: no name leads out of it, none makes us wait.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, mkdirat, open, openat2};
use rustix::io::Errno;

use crate::RuntimeError;
use crate::error::Doing;

/// The root file system of a container, as the host sees it.
#[derive(Debug)]
pub(crate) struct Root {
    folder: OwnedFd,
}

impl Root {
    /// Opens a root.
    pub(crate) fn open(path: &Path) -> Result<Self, RuntimeError> {
        let folder = open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .doing(|| format!("open the root file system `{}`", path.display()))?;
        Ok(Self { folder })
    }

    /// Reads a small regular file; `None` where there is none. Symbolic links are followed as if this were `/`.
    pub(crate) fn read(&self, path: &str, limit: u64) -> Result<Option<String>, RuntimeError> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = match openat2(&self.folder, path, flags, Mode::empty(), ResolveFlags::IN_ROOT) {
            Ok(file) => file,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(error) => return Err(error).doing(|| format!("open `{path}` of the root file system")),
        };
        let stat = fstat(&file).doing(|| format!("look at `{path}` of the root file system"))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(RuntimeError::Invalid { reason: format!("`{path}` of the root file system is no file") });
        }
        let mut bytes = Vec::new();
        File::from(file)
            .take(limit)
            .read_to_end(&mut bytes)
            .doing(|| format!("read `{path}` of the root file system"))?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Makes a folder with those above it, where they are missing. Symbolic links are followed as if this were `/`.
    pub(crate) fn create_folder(&self, path: &Path) -> Result<(), RuntimeError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut so_far = std::path::PathBuf::from(".");
        let mut parent = self.folder.as_fd().try_clone_to_owned().doing(|| "copy a descriptor")?;
        for component in path.components() {
            let Component::Normal(name) = component else { continue };
            so_far.push(name);
            let open = || openat2(&self.folder, &so_far, flags, Mode::empty(), ResolveFlags::IN_ROOT);
            parent = match open() {
                Err(Errno::NOENT) => match mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
                    Ok(()) | Err(Errno::EXIST) => open(),
                    Err(error) => Err(error),
                },
                outcome => outcome,
            }
            .doing(|| format!("make the folder `{}` in the root file system", path.display()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_to_a_file_of_the_host_finds_nothing() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("etc")).unwrap();
        symlink("/proc/self/status", folder.path().join("etc/passwd")).unwrap();
        symlink("../../../../../../etc/hostname", folder.path().join("etc/group")).unwrap();
        let root = Root::open(folder.path()).unwrap();

        assert_eq!(root.read("etc/passwd", 1000).unwrap(), None);
        assert_eq!(root.read("etc/group", 1000).unwrap(), None);
    }

    #[test]
    fn a_pipe_in_the_place_of_a_file_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            folder.path().join("passwd"),
            FileType::Fifo,
            Mode::from_raw_mode(0o644),
            0,
        )
        .unwrap();

        let refused = Root::open(folder.path()).unwrap().read("passwd", 1000).unwrap_err();

        assert_eq!(refused.to_string(), "`passwd` of the root file system is no file");
    }

    #[test]
    fn a_folder_is_made_beneath_the_root_though_a_link_points_out() {
        let outside = tempfile::tempdir().unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join(outside.path().strip_prefix("/").unwrap())).unwrap();
        symlink(outside.path(), folder.path().join("out")).unwrap();

        Root::open(folder.path()).unwrap().create_folder(Path::new("/out/a/../b")).unwrap();

        assert!(!outside.path().join("b").exists() && !outside.path().join("a").exists());
        assert!(folder.path().join(outside.path().strip_prefix("/").unwrap()).join("a").exists());
    }
}
