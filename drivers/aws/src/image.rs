//! The image that machines start from.

use aws_sdk_ec2::types::Image as Described;
use driver::DriverError;

use crate::api::{Api, Call};
use crate::failure;
use crate::rates::DESCRIBE_IMAGES;
use crate::settings::Settings;
use crate::size::{ec2_name, ubuntu_name};
use crate::tags::filter;

/// Canonical's account, which publishes Ubuntu.
const CANONICAL: &str = "099720109477";

/// An image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) id: String,
    /// The device that the disk is mapped to.
    pub(crate) root_device: String,
}

/// The refusals that say that there is no such image.
const NO_IMAGE: &[&str] = &["InvalidAMIID.NotFound", "InvalidAMIID.Malformed", "InvalidAMIID.Unavailable"];

/// The image that the settings name, else the newest Ubuntu 24.04; one call.
pub(crate) async fn find(api: &Api, settings: &Settings) -> Result<Image, DriverError> {
    let arch = settings.arch;
    let action = match &settings.image {
        Some(id) => format!("find image `{id}`"),
        None => format!("find the newest Ubuntu 24.04 for {}", arch.name()),
    };
    let answer = api.call(Call::new(DESCRIBE_IMAGES, action.as_str()), || {
        let request = api.client.describe_images();
        if let Some(id) = &settings.image {
            return request.image_ids(id).send();
        }
        let name = format!("ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-{}-server-*", ubuntu_name(arch));
        request
            .owners(CANONICAL)
            .filters(filter("name", [name]))
            .filters(filter("architecture", [ec2_name(arch).as_str()]))
            .filters(filter("state", ["available"]))
            .send()
    });
    let images = match answer.await {
        Ok(answer) => answer.images.unwrap_or_default(),
        Err(failure) if failure::is_one_of(&failure, NO_IMAGE) => Vec::new(),
        Err(failure) => return Err(failure),
    };
    let newest = images.iter().max_by_key(|image| image.creation_date().unwrap_or_default());
    newest.and_then(usable).ok_or_else(|| DriverError::Unmet {
        what: format!("failed to {action}: there is none in {}", api.region),
        hint: "name an image of this region with --image ami-…".to_owned(),
    })
}

fn usable(image: &Described) -> Option<Image> {
    let root_device = image.root_device_name().unwrap_or("/dev/sda1").to_owned();
    Some(Image { id: image.image_id()?.to_owned(), root_device })
}
