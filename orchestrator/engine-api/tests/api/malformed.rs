//! Malformed requests, by the hundred, for every call: each is answered, and refused with a message and a status of the
//! client's fault, unless it is a good one by chance.

mod archives;
mod bodies;
mod containers;
mod drawing;
mod queries;
mod scene;
mod services;
mod wire;
