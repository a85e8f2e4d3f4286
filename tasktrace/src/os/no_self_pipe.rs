//! Replaces the self-pipe on systems without signals, where all calls fail.

use std::convert::Infallible;
use std::io;

use super::SignalError;

#[derive(Debug)]
pub(crate) struct SignalReceiver(Infallible);

impl SignalReceiver {
    pub(crate) fn open() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn is_open() -> bool {
        false
    }

    pub(crate) fn wait(&mut self) -> io::Result<Vec<i32>> {
        match self.0 {}
    }
}

pub(crate) fn check(_signal: i32) -> Result<(), SignalError> {
    Err(SignalError::Unsupported)
}

pub(crate) fn register(_signal: i32) -> Result<(), SignalError> {
    Err(SignalError::Unsupported)
}

pub(crate) fn ends(_signal: i32) -> bool {
    false
}

pub(crate) fn end(_signal: i32) {}
