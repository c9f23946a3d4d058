//! The command line, run as a user would, over the fake driver: exit code, standard output and standard error.
//!
//! Every test has a home of its own. Ids, times and paths are filtered out of the snapshots.

#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod expiry;
#[cfg(test)]
mod failure;
#[cfg(test)]
mod interruption;
#[cfg(test)]
mod lease;
#[cfg(test)]
mod life;
#[cfg(test)]
mod sandbox;
