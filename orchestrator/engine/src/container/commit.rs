//! `docker commit`: an image of what a container has changed.

use std::collections::BTreeMap;

use image::{Commit, Digest, Reference, RunConfig};

use super::actor::Command;
use super::{ContainerError, ContainerStatus, Containers};
use crate::config::ContainerConfig;
use crate::event::EventKind;
use crate::settings::{self, InvalidSettings};

/// What an image that is made of a container is to be.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CommitRequest {
    /// Its name, if it gets one.
    pub name: Option<Reference>,
    /// Who made it.
    pub author: String,
    /// What was said.
    pub comment: String,
    /// How its containers run, where that is not as the container itself does.
    pub config: RunConfig,
    /// Whether the container stands still meanwhile, so that its files belong together.
    pub pauses: bool,
}

impl Containers {
    /// Makes an image of a container's changes; its id. A caller that goes away has made it all the same.
    pub async fn commit(&self, name: &str, request: CommitRequest) -> Result<Digest, ContainerError> {
        let (containers, id) = (self.clone(), self.cell(name)?.id.clone());
        self.owned(async move { containers.commit_now(&id, request).await }).await
    }

    async fn commit_now(&self, id: &str, request: CommitRequest) -> Result<Digest, ContainerError> {
        let cell = self.cell(id)?;
        let files = self.files(&cell).await?;
        let config = run_config(&files.record.config, &request.config)?;
        let is_paused = request.pauses
            && cell.state().status == ContainerStatus::Running
            && cell.ask(|reply| Command::Pause(true, reply)).await.is_ok();
        let commit = Commit {
            base: files.record.image,
            name: request.name.clone(),
            config,
            author: request.author,
            comment: request.comment.clone(),
            created_by: files.record.config.cmd.clone().unwrap_or_default().join(" "),
        };
        let outcome = self.shared.images.commit(&files.root, commit).await;
        drop(files);
        if is_paused && let Err(error) = cell.ask(|reply| Command::Pause(false, reply)).await {
            // It was ended or removed by force meanwhile.
            tracing::info!(container = %cell.id, %error, "a container that stood still for an image does not go on");
        }
        let image = outcome?;
        self.tell_commit(&cell, image, request.name.as_ref(), &request.comment);
        Ok(image)
    }

    fn tell_commit(&self, cell: &super::cell::Cell, image: Digest, name: Option<&Reference>, comment: &str) {
        let name = name.map(Reference::familiar);
        if let Some(name) = &name {
            let found = self.shared.images.find(&image.to_string());
            let mut attributes: BTreeMap<String, String> =
                found.map(|image| image.config.config.labels.clone()).unwrap_or_default();
            attributes.insert("name".to_owned(), name.clone());
            self.shared.events.tell(EventKind::Image, "tag", &image.to_string(), attributes);
        }
        let mut attributes = cell.record().attributes();
        attributes.insert("comment".to_owned(), comment.to_owned());
        attributes.insert("imageID".to_owned(), image.to_string());
        attributes.insert("imageRef".to_owned(), name.unwrap_or_default());
        self.shared.events.tell(EventKind::Container, "commit", &cell.id, attributes);
    }
}

/// How containers of the image run: as was asked for, and as the container itself does where nothing was.
fn run_config(container: &ContainerConfig, asked: &RunConfig) -> Result<RunConfig, ContainerError> {
    // Both are Docker's `Config`, of which images have a part.
    let malformed = |error: serde_json::Error| ContainerError::Invalid(InvalidSettings::new(error.to_string()));
    let asked: ContainerConfig = serde_json::to_value(asked).and_then(serde_json::from_value).map_err(malformed)?;
    let container: RunConfig = serde_json::to_value(container).and_then(serde_json::from_value).map_err(malformed)?;
    let whole = settings::with_image(asked, &container)?;
    serde_json::to_value(whole).and_then(serde_json::from_value).map_err(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_runs_as_its_container_but_for_what_is_asked() {
        let words = |text: &str| Some(text.split(' ').map(str::to_owned).collect::<Vec<_>>());
        let container = ContainerConfig {
            cmd: words("sleep 1"),
            env: vec!["A=1".to_owned(), "B=2".to_owned()],
            user: "web".to_owned(),
            image: "base".to_owned(),
            hostname: "host".to_owned(),
            volumes: [("/data".to_owned(), serde_json::Map::new())].into(),
            ..ContainerConfig::default()
        };
        let asked = RunConfig { cmd: words("true"), env: vec!["B=3".to_owned()], ..RunConfig::default() };

        let config = run_config(&container, &asked).unwrap();

        assert_eq!((config.cmd, config.user.as_str()), (words("true"), "web"));
        assert_eq!(config.env, ["B=3", "A=1"]);
        assert_eq!(config.volumes.keys().collect::<Vec<_>>(), ["/data"]);
    }
}
