//! Runs `tasktrace top`: shows the tasks of a process live.
//!
//! * [`state`]: the data that is shown; [`keys`]: changes the state; [`view`]: draws the screen.
//! * [`feed`]: the thread that fetches; [`signals`]: the signals that end the program.

mod feed;
mod keys;
mod signals;
mod state;
mod view;

use std::io::{self, IsTerminal};
use std::sync::mpsc::{self, Sender, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, KeyEventKind};

use crate::args;
use crate::document::View;
use crate::failure::Failure;
use crate::output::{Output, Paint, TextFormat};
use crate::source::Source;
use feed::FeedRequest;
use keys::Action;
use state::TopState;
use view::Theme;

/// The longest wait for a key before the events of other threads are handled.
const TICK: Duration = Duration::from_millis(50);

/// An event of another thread.
pub(crate) enum Event {
    View(Result<View, String>),
    Task(u64, Result<String, String>),
    #[cfg_attr(not(unix), allow(dead_code, reason = "there are no signals"))]
    Signal(i32),
}

pub(crate) fn run(args: args::Top, json: bool, paint: Paint) -> Result<(), Failure> {
    let source = Source::new(&args.target)?;
    if json {
        return documents(&source, &args);
    }
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(Failure::Usage(
            "top needs a terminal: use `tasktrace ps PID` to print the tasks once, or `tasktrace top --json` for \
             one document a line"
                .to_owned(),
        ));
    }
    // An error is reported before the screen is taken over.
    source.view(true)?;

    let theme = Theme {
        colours: paint.is_on(),
    };
    let state = TopState::new(args.sort, args.filter, args.snapshot, args.interval);
    let (events, received) = mpsc::channel();
    signals::start(events.clone())?;
    // The terminal is restored even after a panic.
    let mut terminal = ratatui::try_init()?;
    let ended = watch(&mut terminal, source, state, theme, (events, received));
    let restored = ratatui::try_restore();
    let signal = ended?;
    restored?;
    match signal {
        // Shells report this exit code for a program that a signal ended.
        Some(signal) => std::process::exit(128 + signal),
        None => Ok(()),
    }
}

/// Prints documents, one on each line.
fn documents(source: &Source, args: &args::Top) -> Result<(), Failure> {
    let mut left = args.count;
    while left != Some(0) {
        let value: serde_json::Value = source.document(args.snapshot)?;
        Output::Stdout.write_foreign(format!("{value}\n").as_bytes(), TextFormat::Json)?;
        left = left.map(|left| left - 1);
        if left != Some(0) {
            thread::sleep(args.interval);
        }
    }
    Ok(())
}

type Events = (Sender<Event>, mpsc::Receiver<Event>);

/// Shows the tasks until a key or a signal ends the program. Returns the signal.
fn watch(
    terminal: &mut DefaultTerminal,
    source: Source,
    mut state: TopState,
    theme: Theme,
    (events, received): Events,
) -> Result<Option<i32>, Failure> {
    let (changes, changed) = mpsc::channel();
    feed::start(source, feed_request(&state), changed, events)?;
    let mut drawn: Option<Instant> = None;
    loop {
        let mut is_new = drawn.is_none_or(|drawn| drawn.elapsed() >= Duration::from_secs(1));
        loop {
            match received.try_recv() {
                Ok(Event::View(view)) => state.receive(view, Instant::now()),
                Ok(Event::Task(task, text)) => state.receive_task(task, text),
                Ok(Event::Signal(signal)) => return Ok(Some(signal)),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
            is_new = true;
        }
        if is_new {
            terminal.draw(|frame| view::draw(frame, &state, theme, Instant::now()))?;
            drawn = Some(Instant::now());
        }
        let mut wait = TICK;
        while event::poll(wait)? {
            wait = Duration::ZERO;
            drawn = None;
            let event::Event::Key(key) = event::read()? else {
                continue;
            };
            if key.kind == KeyEventKind::Release {
                continue;
            }
            let before = (state.interval, state.is_paused);
            let page = view::page(terminal.size()?.height);
            match keys::press(&mut state, key, page) {
                Action::Quit => return Ok(None),
                Action::Nothing if before == (state.interval, state.is_paused) => {}
                // If the thread has panicked, the send fails, and the screen shows that the data is old.
                Action::Ask | Action::Nothing => drop(changes.send(feed_request(&state))),
            }
        }
    }
}

fn feed_request(state: &TopState) -> FeedRequest {
    FeedRequest {
        snapshot: state.snapshot,
        interval: state.interval,
        task: state.open.as_ref().map(|open| open.task),
        is_paused: state.is_paused,
    }
}
