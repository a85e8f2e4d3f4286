//! Chooses the source of the tasks of a process: the process itself, or its memory.

use serde_json::Value;

use crate::args::Target;
use crate::document::{self, View};
use crate::failure::Failure;
use crate::fetch;
use crate::memory::{self, Memory};
use crate::server::Server;

/// The source of the tasks of a process.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// The process, which is asked.
    Server(Server),
    /// The memory of a process that cannot be asked.
    Memory(Memory),
}

impl Source {
    /// Returns the server that the arguments name, or the memory of the process that they name if that process does not
    /// let other programs attach.
    pub(crate) fn new(target: &Target) -> Result<Self, Failure> {
        match (Server::new(target), target.process()) {
            (Err(Failure::NotInstrumented(refusal)), Some(process)) => {
                Ok(Self::Memory(Memory::new(process, refusal)))
            }
            (server, _) => server.map(Self::Server),
        }
    }

    /// Fetches all tasks in groups.
    pub(crate) fn view(&self, snapshot: bool) -> Result<View, Failure> {
        match self {
            Self::Server(server) => {
                let bytes = fetch::get(server, &document::view_path(snapshot))?;
                document::read_view(server, &bytes)
            }
            Self::Memory(memory) => Ok(memory::view(&memory.read()?)),
        }
    }

    /// Fetches all tasks as JSON, as the process sends them.
    pub(crate) fn json(&self, snapshot: bool) -> Result<Vec<u8>, Failure> {
        match self {
            Self::Server(server) => fetch::get(server, &document::view_path(snapshot)),
            Self::Memory(memory) => memory::json(&memory.read()?),
        }
    }

    /// Fetches all tasks as JSON, and parses it.
    pub(crate) fn document(&self, snapshot: bool) -> Result<Value, Failure> {
        match self {
            Self::Server(server) => document::read(server, &self.json(snapshot)?),
            Self::Memory(memory) => serde_json::to_value(memory.read()?)
                .map_err(|error| Failure::Other(error.to_string())),
        }
    }
}
