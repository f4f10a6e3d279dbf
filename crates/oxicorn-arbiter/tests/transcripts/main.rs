//! Stories of a server, told as what happens and what is done about it.

mod changes;
mod ends;
mod losses;
mod starts;
mod story;
