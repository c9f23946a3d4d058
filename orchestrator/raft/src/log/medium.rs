//! A disk for tests, whose power can be cut at any write.

use std::io;
use std::sync::{Arc, Mutex};

use crate::sync::lock;

/// A medium that forgets, at a power cut, what was written since it was last synced.
#[derive(Debug, Clone, Default)]
pub(crate) struct Medium(Arc<Mutex<Sectors>>);

#[derive(Debug, Default)]
struct Sectors {
    written: Vec<u8>,
    synced: Vec<u8>,
    is_off: bool,
    /// Writes and syncs until the power goes off by itself.
    left: Option<usize>,
}

impl Medium {
    /// A medium with these bytes on it.
    pub(crate) fn holding(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(Sectors { written: bytes.clone(), synced: bytes, ..Sectors::default() })))
    }

    /// Cuts the power: nothing is written from now on, and this is what is left.
    pub(crate) fn cut_power(&self) -> Self {
        let mut sectors = lock(&self.0);
        sectors.is_off = true;
        Self::holding(sectors.synced.clone())
    }

    /// Lets the power go off before the next write or sync but `number`.
    pub(crate) fn cut_power_after(&self, number: usize) {
        lock(&self.0).left = Some(number);
    }

    /// Whether the power has gone off.
    pub(crate) fn is_off(&self) -> bool {
        lock(&self.0).is_off
    }

    /// All that was written, synced or not: what is left where the cut spared it.
    pub(crate) fn written(&self) -> Vec<u8> {
        lock(&self.0).written.clone()
    }

    /// What is left where the power is cut now.
    pub(crate) fn synced(&self) -> Vec<u8> {
        lock(&self.0).synced.clone()
    }
}

impl Sectors {
    /// Counts a write or a sync; an error where the power is off.
    fn act(&mut self) -> io::Result<()> {
        match &mut self.left {
            Some(0) => self.is_off = true,
            Some(left) => *left -= 1,
            None => {}
        }
        if self.is_off { Err(io::Error::other("the power is off")) } else { Ok(()) }
    }
}

impl redb::StorageBackend for Medium {
    fn len(&self) -> io::Result<u64> {
        Ok(lock(&self.0).written.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        out.copy_from_slice(&lock(&self.0).written[start..start + out.len()]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut sectors = lock(&self.0);
        sectors.act()?;
        sectors.written.resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut sectors = lock(&self.0);
        sectors.act()?;
        sectors.synced = sectors.written.clone();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut sectors = lock(&self.0);
        sectors.act()?;
        let start = usize::try_from(offset).unwrap();
        sectors.written[start..start + data.len()].copy_from_slice(data);
        Ok(())
    }
}
