//! Where there are no unix sockets.

use std::convert::Infallible;
use std::path::Path;

use super::AttachError;

/// What there is none of on this system.
#[derive(Debug)]
pub struct Attached(Infallible);

impl Attached {
    /// Where the socket is.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self.0 {}
    }
}

pub(super) fn attach() -> Result<Attached, AttachError> {
    Err(AttachError::Unsupported)
}
