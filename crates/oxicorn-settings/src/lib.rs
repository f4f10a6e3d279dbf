//! The settings: one table, and everything that is made from it.
//!
//! The life of a setting: an entry of the [`table`] says what it is; [`Arguments`] reads the
//! command line by it, [`Layers`] puts file, environment and command line in order, and each value
//! is parsed once into the typed [`Settings`], with its [`Origin`]. [`render`] prints the help, the
//! reference and the settings in force.
//!
//! ```
//! use oxicorn_settings::{Arguments, Layers};
//!
//! let environment = [("WEB_CONCURRENCY".to_owned(), "3".to_owned())];
//! let argv = ["-b", ":5000", "shop:app"].map(str::to_owned);
//! let arguments = Arguments::parse(&argv, &environment)?;
//! let layers =
//!     Layers { environment: &environment, arguments: Some(&arguments), ..Layers::default() };
//! let settings = layers.resolve()?;
//! assert_eq!(settings.workers, 3);
//! assert_eq!(settings.bind[0].to_string(), "0.0.0.0:5000");
//! assert_eq!(settings.wsgi_app.as_deref(), Some("shop:app"));
//! # Ok::<(), oxicorn_settings::SettingError>(())
//! ```
//!
//! Pure: files, environment and argv are handed in.
#![forbid(unsafe_code)]

mod bind;
mod cli;
mod error;
mod layers;
mod nearest;
mod network;
pub mod proxy;
pub mod render;
mod setting;
mod settings;
pub mod table;
mod value;

pub use bind::BindAddress;
pub use cli::{Action, Arguments, Shell};
pub use error::SettingError;
pub use layers::{Entry, Environment, Layers, Origin, Warning};
pub use network::{Network, Networks};
pub use proxy::ProxyGroup;
pub use setting::{Kind, Section, Setting, Support};
pub use settings::{Chosen, HeaderMap, HttpProtocol, Settings};
pub use value::{Raw, Unfit, Value, WorkerClass};
