//! Sockets, memory and time of one core: the home of the runtime and of nearly all `unsafe`.

pub mod bell;
pub mod buffer;
pub mod clock;
pub mod deadline;
pub mod driver;
pub mod handover;
pub mod listener;
pub mod memory;
pub mod pooled;
pub mod process;
pub mod splice;
pub mod stream;
pub mod task;
pub mod tls;

pub use buffer::Buffer;
pub use stream::Stream;
pub use tls::Tls;
