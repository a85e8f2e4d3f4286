//! Fetches the state of the process on a thread, so that the screen does not wait.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use super::Event;
use crate::failure::Failure;
use crate::fetch;
use crate::memory;
use crate::server::Server;
use crate::source::Source;

/// The data that the screen needs.
#[derive(Clone, Debug)]
pub(crate) struct FeedRequest {
    pub(crate) snapshot: bool,
    pub(crate) interval: Duration,
    /// The task that is open.
    pub(crate) task: Option<u64>,
    pub(crate) is_paused: bool,
}

/// Starts the thread. It fetches at once, then at each interval, and at once after a change of the request. It ends
/// when the receiver is dropped.
pub(crate) fn start(
    source: Source,
    feed_request: FeedRequest,
    changes: Receiver<FeedRequest>,
    events: Sender<Event>,
) -> Result<(), Failure> {
    let feed = move || {
        let mut feed_request = feed_request;
        loop {
            if !feed_request.is_paused || feed_request.task.is_some() {
                for event in ask(&source, &feed_request) {
                    if events.send(event).is_err() {
                        return;
                    }
                }
            }
            match changes.recv_timeout(feed_request.interval) {
                Ok(change) => feed_request = change,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            while let Ok(change) = changes.try_recv() {
                feed_request = change;
            }
        }
    };
    let thread = thread::Builder::new().name("feed".to_owned()).spawn(feed);
    thread
        .map(drop)
        .map_err(|error| Failure::Other(format!("the system refused the request: {error}")))
}

fn ask(source: &Source, feed_request: &FeedRequest) -> Vec<Event> {
    let memory = match source {
        Source::Server(server) => return ask_server(source, server, feed_request),
        Source::Memory(memory) => memory,
    };
    let report = memory.read();
    let mut events = Vec::new();
    if let Some(task) = feed_request.task {
        let text = match &report {
            Ok(report) => memory::task_text(report, task),
            Err(failure) => Err(failure.to_string()),
        };
        events.push(Event::Task(task, text));
    }
    if !feed_request.is_paused {
        let view = report.map(|report| memory::view(&report));
        events.push(Event::View(view.map_err(|failure| failure.to_string())));
    }
    events
}

fn ask_server(source: &Source, server: &Server, feed_request: &FeedRequest) -> Vec<Event> {
    let mut events = Vec::new();
    // The open task is fetched first, because it fills the screen.
    if let Some(task) = feed_request.task {
        let capture = u8::from(!feed_request.snapshot);
        let bytes = fetch::get(server, &format!("/tasks/{task}.txt?capture={capture}"));
        let text = bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        events.push(Event::Task(
            task,
            text.map_err(|failure| failure.to_string()),
        ));
    }
    if !feed_request.is_paused {
        let view = source.view(feed_request.snapshot);
        events.push(Event::View(view.map_err(|failure| failure.to_string())));
    }
    events
}
