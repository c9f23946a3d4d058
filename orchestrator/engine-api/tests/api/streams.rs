//! Containers' streams and files, as clients have them: real containers of a real image.

mod archive;
mod attach;
mod exec;
mod files_by_client;
mod lab;
mod sdk;
mod terminals_by_client;
mod usage;
mod volumes;
mod web_socket;
mod wire;
