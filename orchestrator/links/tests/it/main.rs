//! The kernel's answers, with real packets between network namespaces of the tests' own.

#![cfg(target_os = "linux")]
#![expect(clippy::tests_outside_test_module, clippy::unwrap_used, reason = "all of this is tests")]

mod cgroup;
mod neighbor;
mod nft;
mod route;
