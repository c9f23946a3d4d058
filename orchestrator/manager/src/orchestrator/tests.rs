//! Decisions as tables, and the components over a store, with a scheduler and nodes that do what real ones would.

mod chaos;
mod jobs;
mod modes;
mod nodes;
mod objects;
mod reaping;
mod restarting;
mod restarts;
mod scaling;
mod swarm;
mod terms;
mod updates;
mod updating;
mod world;
