//! What is printed from the table: the help, the reference, and the settings in force.

mod help;
mod listing;
mod markdown;

pub use help::help;
pub use listing::listing;
pub use markdown::markdown;
