//! The command line, run as a user would, over the fake driver.
