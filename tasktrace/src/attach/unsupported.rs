//! Replaces the guard on systems without Unix sockets, where attaching always fails.

use std::convert::Infallible;
use std::path::Path;

use super::AttachError;

/// The guard of [`attach`](crate::attach()), which cannot exist on this system.
#[derive(Debug)]
pub struct Attached(Infallible);

impl Attached {
    /// Returns the path of the socket.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self.0 {}
    }
}

pub(super) fn attach() -> Result<Attached, AttachError> {
    Err(AttachError::Unsupported)
}
