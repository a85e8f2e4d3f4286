//! Tests that a watchdog with the feature `tracing` reports events by default. The test has a process of its own,
//! because the subscriber serves the whole process.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::pending;
use std::sync::mpsc::{self, Sender};
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

struct SeenEvent {
    level: Level,
    fields: BTreeMap<String, String>,
}

/// A subscriber layer that passes on the events of the watchdog.
struct WatchdogLayer(Sender<SeenEvent>);

impl<S: Subscriber> Layer<S> for WatchdogLayer {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        if event.metadata().target() != "tasktrace::watchdog" {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let level = *event.metadata().level();
        let _ = self.0.send(SeenEvent {
            level,
            fields: fields.0,
        });
    }
}

#[derive(Default)]
struct Fields(BTreeMap<String, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }
}

async fn never_polled() {
    pending::<()>().await;
}

#[test]
fn a_finding_and_its_end_are_tracing_events() {
    let (events, received) = mpsc::channel();
    let subscriber = Registry::default().with(WatchdogLayer(events));
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let _watchdog = tasktrace::watchdog()
        .every(Duration::from_millis(10))
        .starved_after(Duration::from_millis(50))
        .start();
    let (future, handle) = tasktrace::traced(never_polled());
    let next = || {
        let seen: SeenEvent = received.recv_timeout(Duration::from_secs(120)).unwrap();
        let field = |name: &str| seen.fields.get(name).cloned().unwrap_or_default();
        assert_eq!(field("task.id"), handle.id().to_string());
        assert_eq!(field("task.name"), "watchdog_tracing::never_polled");
        assert_eq!(field("kind"), "starved");
        assert!(field("duration").ends_with("ms") || field("duration").ends_with('s'));
        (seen.level, field("message"))
    };
    let (level, message) = next();
    assert_eq!(level, Level::WARN);
    let verdict = format!(
        "task {} watchdog_tracing::never_polled was created ",
        handle.id()
    );
    assert!(message.starts_with(&verdict), "{message}");
    assert!(
        message.contains("\n  ╼ watchdog_tracing::never_polled"),
        "{message}"
    );
    drop(future);
    let (level, message) = next();
    assert_eq!(level, Level::INFO);
    assert!(
        message.contains(" no longer waits to be polled, after "),
        "{message}"
    );
}
