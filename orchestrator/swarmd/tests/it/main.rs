//! The process as hosts see it: the real binary, real processes, namespaces as machines. Needs root.

#[cfg(test)]
mod bare;
#[cfg(test)]
mod guard;
#[cfg(test)]
mod host;
#[cfg(test)]
mod machine;
#[cfg(test)]
mod service;
#[cfg(test)]
mod wait;
