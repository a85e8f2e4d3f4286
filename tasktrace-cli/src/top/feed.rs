//! The thread that asks the process, so that the screen never waits for it.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use super::Event;
use crate::document;
use crate::failure::Failure;
use crate::fetch;
use crate::server::Server;

/// What is to be asked for.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) snapshot: bool,
    pub(crate) interval: Duration,
    /// The task that has been opened.
    pub(crate) task: Option<u64>,
    pub(crate) is_paused: bool,
}

/// Asks at once, then again and again, and at once when something else is wanted. Ends when nobody
/// wants anything any more.
pub(crate) fn start(
    server: Server,
    wanted: Wanted,
    changes: Receiver<Wanted>,
    events: Sender<Event>,
) -> Result<(), Failure> {
    let feed = move || {
        let mut wanted = wanted;
        loop {
            if !wanted.is_paused || wanted.task.is_some() {
                for event in ask(&server, &wanted) {
                    if events.send(event).is_err() {
                        return;
                    }
                }
            }
            match changes.recv_timeout(wanted.interval) {
                Ok(change) => wanted = change,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            while let Ok(change) = changes.try_recv() {
                wanted = change;
            }
        }
    };
    let thread = thread::Builder::new().name("feed".to_owned()).spawn(feed);
    thread
        .map(drop)
        .map_err(|error| Failure::Other(format!("the system refuses it: {error}")))
}

fn ask(server: &Server, wanted: &Wanted) -> Vec<Event> {
    let mut events = Vec::new();
    // First what is being looked at.
    if let Some(task) = wanted.task {
        let capture = u8::from(!wanted.snapshot);
        let bytes = fetch::get(server, &format!("/tasks/{task}.txt?capture={capture}"));
        let text = bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        events.push(Event::Task(
            task,
            text.map_err(|failure| failure.to_string()),
        ));
    }
    if !wanted.is_paused {
        let bytes = fetch::get(server, &document::view_path(wanted.snapshot));
        let view = bytes.and_then(|bytes| document::read_view(server, &bytes));
        events.push(Event::View(view.map_err(|failure| failure.to_string())));
    }
    events
}
