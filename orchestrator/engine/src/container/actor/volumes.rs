//! What is noted and told of a container's volumes when it begins to use them, and when it no longer does.

use std::collections::BTreeMap;

use super::Actor;
use crate::document::blocking;
use crate::event::EventKind;
use crate::settings::MountKind;

impl Actor {
    /// Notes that it uses its volumes, which an earlier engine has mounted for it.
    pub(super) async fn hold_volumes(&self) {
        let (record, volumes) = (self.cell.record(), self.shared.volumes.clone());
        let work = move || {
            for (name, _) in record.volumes() {
                if let Err(error) = volumes.begin_use(&name, &record.id) {
                    tracing::warn!(container = %record.id, %error, "a volume that a container uses is not mounted here");
                }
            }
        };
        blocking(work).await;
    }

    /// Tells that its volumes are in use.
    pub(super) fn tell_mounts(&self) {
        for mount in self.cell.record().mounts.iter().filter(|mount| mount.kind == MountKind::Volume) {
            let more = [
                ("destination", mount.destination.clone()),
                ("propagation", String::new()),
                ("read/write", (!mount.read_only).to_string()),
            ];
            self.tell_volume("mount", mount.name.as_deref(), more);
        }
    }

    /// Tells that it does not use its volumes any more.
    pub(super) fn tell_unmounts(&self) {
        for mount in self.cell.record().mounts.iter().filter(|mount| mount.kind == MountKind::Volume) {
            self.tell_volume("unmount", mount.name.as_deref(), []);
        }
    }

    fn tell_volume<const N: usize>(&self, action: &str, name: Option<&str>, more: [(&str, String); N]) {
        let mut attributes =
            BTreeMap::from([("container".to_owned(), self.cell.id.clone()), ("driver".to_owned(), "local".to_owned())]);
        attributes.extend(more.map(|(name, value)| (name.to_owned(), value)));
        self.shared.events.tell(EventKind::Volume, action, name.unwrap_or_default(), attributes);
    }
}
