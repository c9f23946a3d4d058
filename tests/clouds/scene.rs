//! A cloud with its books, and the workstation of somebody who uses it: what the same tests of every provider need.

use std::time::Duration;

use tests::cloud::{Azure, Cloud, Ec2, Gcp};

use crate::books::Books;

/// A cloud with its books.
pub(crate) struct Scene {
    /// They end before the cloud whose hosts follow them.
    pub(crate) books: Box<dyn Books>,
    pub(crate) cloud: Cloud,
    /// The provider, and the options that it needs here, by which machines have private addresses only.
    pub(crate) options: String,
    pub(crate) calls: Calls,
}

/// The names of a provider's calls that matter most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Calls {
    /// Makes machines.
    pub(crate) machines: &'static str,
    /// The first of those that does so, from 1.
    pub(crate) first: u32,
    /// Destroys machines.
    pub(crate) destroy: &'static str,
}

impl Scene {
    /// A cloud at AWS.
    pub(crate) fn aws() -> Self {
        let (cloud, ec2, options) = Ec2::start();
        // The first launch is a dry run.
        let calls = Calls { machines: "RunInstances", first: 2, destroy: "TerminateInstances" };
        Self { books: Box::new(ec2), cloud, options, calls }
    }

    /// A cloud at Azure.
    pub(crate) fn azure() -> Self {
        let settings = fake_azure::Settings { boot: Duration::from_millis(100), ..fake_azure::Settings::default() };
        let (cloud, azure, options) = Azure::start(settings);
        let calls = Calls { machines: "PUT virtualMachines", first: 1, destroy: "DELETE resourceGroups" };
        Self { books: Box::new(azure), cloud, options, calls }
    }

    /// A cloud at Azure with a network that several clusters share: in networks of their own they would have the same
    /// addresses, which hosts cannot have.
    pub(crate) fn azure_with_network() -> Self {
        let (cloud, azure, options) = Azure::start(fake_azure::Settings::default());
        let subnet = azure.fake().make_network("shared", "10.77.1.0/24");
        let calls = Calls { machines: "PUT virtualMachines", first: 1, destroy: "DELETE resourceGroups" };
        Self { books: Box::new(azure), cloud, options: format!("{options} --network {subnet}"), calls }
    }

    /// A cloud at Google.
    pub(crate) fn gcp() -> Self {
        let settings = fake_gcp::Settings { boot: Duration::from_millis(100), ..fake_gcp::Settings::default() };
        let (cloud, gcp, options) = Gcp::start(settings);
        let calls = Calls { machines: "instances.bulkInsert", first: 1, destroy: "instances.delete" };
        Self { books: Box::new(gcp), cloud, options, calls }
    }

    /// The options by which machines have public addresses too.
    pub(crate) fn public(&self) -> String {
        self.options.replace(" --private-address", "")
    }

    /// The changes that were granted so far.
    pub(crate) fn changes(&self) -> usize {
        self.books.calls().iter().filter(|call| call.is_change && call.is_granted).count()
    }

    /// What is left once those that vanish by themselves have gone.
    #[track_caller]
    pub(crate) fn assert_left(&self, expected: &[String]) {
        assert_eq!(self.books.left(), expected);
    }
}
