//! A volume that is made by hand, with a name or without.

use super::Containers;
use crate::settings::VolumeRequest;
use crate::volume::{ANONYMOUS_LABEL, Volume, VolumeError, VolumeName};

impl Containers {
    /// Makes a volume under this name, unless there is one; what that one is stays. Without a name it is given one, and the
    /// label that says so.
    pub async fn create_volume(&self, name: &str, mut request: VolumeRequest) -> Result<Volume, VolumeError> {
        let name = if name.is_empty() {
            request.labels.insert(ANONYMOUS_LABEL.to_owned(), String::new());
            self.shared.draw(VolumeName::generate)
        } else {
            name.parse()?
        };
        self.shared.volumes.create(name, request).await
    }
}
