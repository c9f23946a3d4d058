//! `docker history`: the steps that made an image, the last one first.

use jiff::Timestamp;

use crate::{Digest, Image, ImageStore};

/// One step, as Docker shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryLine {
    /// The image after this step, where it is here.
    pub id: Option<Digest>,
    /// When.
    pub created: Option<Timestamp>,
    /// The command.
    pub created_by: String,
    /// The names of the image after this step.
    pub tags: Vec<String>,
    /// The bytes that it added.
    pub bytes: u64,
    /// What was said.
    pub comment: String,
}

impl ImageStore {
    /// The steps that made an image, the last one first. A configuration that tells no steps has none.
    pub fn history(&self, image: &Image) -> Vec<HistoryLine> {
        let mut layers = image.layer_bytes.iter();
        let mut lines: Vec<HistoryLine> = Vec::new();
        for step in &image.config.history {
            let bytes = if step.empty_layer { 0 } else { layers.next().copied().unwrap_or(0) };
            lines.push(HistoryLine {
                id: None,
                created: step.created,
                created_by: step.created_by.clone(),
                tags: Vec::new(),
                bytes,
                comment: step.comment.clone(),
            });
        }
        lines.reverse();
        // The images that this one was made from here know how many of the steps were theirs.
        let mut next = Some(image.clone());
        while let Some(image) = next {
            if let Some(at) = lines.len().checked_sub(image.config.history.len())
                && let Some(line) = lines.get_mut(at)
            {
                line.id = Some(image.id);
                line.tags = image.repo_tags;
            }
            next = image.parent.and_then(|parent| self.find(&parent.to_string()).ok());
        }
        lines
    }
}
