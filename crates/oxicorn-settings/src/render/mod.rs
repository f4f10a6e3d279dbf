//! What is printed from the table: the help, the manual page, the reference,
//! completions for shells, and the settings in force.

mod completions;
mod help;
mod listing;
mod man;
mod markdown;

pub use completions::completions;
pub use help::help;
pub use listing::listing;
pub use man::man;
pub use markdown::markdown;
