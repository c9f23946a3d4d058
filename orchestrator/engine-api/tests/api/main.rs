//! The Engine API as its clients see it: raw HTTP, the stock `docker` CLI, Debian's CLI, the Python SDK, and TLS.
//!
//! Behind it stands a swarm in memory that keeps versions, roles and refusals; everything else is the real thing.

#[cfg(test)]
mod busybox;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod cli_logs;
#[cfg(test)]
mod cli_services;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod containers;
#[cfg(test)]
mod containers_by_client;
#[cfg(test)]
mod debian_registry;
#[cfg(test)]
mod events;
#[cfg(test)]
mod images;
#[cfg(test)]
mod images_by_client;
#[cfg(test)]
mod images_of_registry;
#[cfg(test)]
mod lease;
#[cfg(test)]
mod local_networks;
#[cfg(test)]
mod logs;
#[cfg(test)]
mod malformed;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod networks;
#[cfg(test)]
mod nodes;
#[cfg(test)]
mod protocol;
#[cfg(test)]
mod sdk;
#[cfg(test)]
mod served;
#[cfg(test)]
mod services;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod swarm;
#[cfg(test)]
mod tasks;
#[cfg(test)]
mod terminal;
#[cfg(test)]
mod test_image;
#[cfg(test)]
mod tls;
