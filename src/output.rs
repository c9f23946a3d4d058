//! All that a user sees. The only code that prints.
//!
//! Standard output carries the answer: a table, JSON, or ids. Standard error carries progress, warnings and errors.
//! Colour repeats meaning and never holds it.

mod bytes;
pub mod printer;
pub mod progress;
pub mod report;
pub mod table;

pub use bytes::bytes_for_people;
pub use printer::{Format, Printer};
pub use progress::Progress;
pub use table::Table;
