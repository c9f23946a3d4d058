//! `docker cp` out of a container: what lies at a path, as an archive.

use std::io::Write;

use bytes::Bytes;
use rustix::fs::FileType;
use tokio::sync::mpsc;

use super::CopyError;
use super::pack::{Packing, pack, pack_one};
use super::place::Place;
use super::view::FileView;
use super::walk::Base;
use crate::body::BodyWriter;

impl FileView {
    /// Writes what lies at a path as an archive, whose names begin with the last part of the path. Whoever receives sets
    /// the pace, and ends it by not receiving. Blocks.
    pub fn copy_out(&self, path: &str, sender: mpsc::Sender<Bytes>) -> Result<(), CopyError> {
        let place = Place::read(path);
        let (opened, stat) = place.open(self).map_err(|error| CopyError::at("copy", path.as_bytes(), error))?;
        let failed = CopyError::io("archive", path.as_ref());
        let mut writer = BodyWriter::new(sender);
        let mut work = || -> std::io::Result<()> {
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                let base = Base::of(&opened)?;
                // What is below the root begins with a slash and nothing before it.
                let top = if place.name() == b"/" { Vec::new() } else { place.name().to_vec() };
                pack(&base, &Packing { top: Some(top), is_layer: false }, &mut writer)?;
            } else {
                pack_one(&opened, &stat, place.name(), &mut writer)?;
            }
            writer.flush()
        };
        work().map_err(failed)
    }
}
