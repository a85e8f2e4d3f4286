//! Tests a service with a backend that does not use the library `tasktrace`.

use std::future::poll_fn;
use std::io::{self, Write};
use std::pin::pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Waker};
use std::thread;
use std::time::{Duration, Instant};

use http_body::Body as _;
use tasktrace_http::{
    Backend, Builder, Caller, CaptureMode, DataRequest, Document, Format, GatherError,
    SampleWeight, Subject, TasksService,
};
use tower_service::Service;

/// Longer than any step takes.
const LONG: Duration = Duration::from_secs(30);

/// Answers with a description of each request.
struct Describing;

impl Backend for Describing {
    fn gather(&self, request: DataRequest) -> Result<Box<dyn Document>, GatherError> {
        let caller = request.caller.get::<&str>().copied();
        match request.subject {
            Subject::Task { number: 13, .. } => panic!("the backend panics at this task"),
            Subject::Task { number: 404, .. } => Err(GatherError::NotFound("no such task".into())),
            subject => Ok(Box::new(Description(format!(
                "{subject:?} within {:?} for {caller:?}",
                request.budget
            )))),
        }
    }

    fn check(&self, subject: Subject) -> Result<(), GatherError> {
        match subject {
            Subject::Task { number: 404, .. } => Err(GatherError::NotFound("no such task".into())),
            _ => Ok(()),
        }
    }

    fn caller(&self) -> Caller {
        Caller::new("a test")
    }
}

struct Description(String);

impl Document for Description {
    fn write(&self, format: Format, out: &mut dyn Write) -> io::Result<()> {
        match format {
            Format::Flamegraph(_) => Err(io::ErrorKind::Unsupported.into()),
            format => write!(out, "{format:?} of {}", self.0),
        }
    }
}

/// Returns the status and the body of a response.
async fn send(service: &mut TasksService, method: &str, path: &str) -> (u16, String) {
    let request = http::Request::builder().method(method).uri(path);
    let request = request.header("Host", "localhost").body(()).unwrap();
    let response = service.call(request).await.unwrap();
    let status = response.status().as_u16();
    let mut body = pin!(response.into_body());
    let mut text = Vec::new();
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        text.extend(frame.unwrap().into_data().unwrap());
    }
    (status, String::from_utf8(text).unwrap())
}

#[tokio::test]
async fn requests_reach_the_backend_with_subject_format_budget_and_caller() {
    let budget = Duration::from_millis(70);
    let mut service = Builder::new(Describing).budget(budget).service();
    let mut get = async |path: &str| send(&mut service, "GET", path).await;
    let (mode, every) = (CaptureMode::Snapshot, None);
    let length = Duration::from_secs(1);
    for (path, subject, format) in [
        ("/", Subject::Tasks(CaptureMode::Capture), Format::Text),
        ("/dump.json?capture=0", Subject::Tasks(mode), Format::Json),
        (
            "/tasks/7.txt?capture=0",
            Subject::Task { number: 7, mode },
            Format::Text,
        ),
        ("/process.json", Subject::Process, Format::Process),
        (
            "/profile.folded?seconds=1",
            Subject::Profile {
                length,
                mode,
                every,
            },
            Format::Folded(SampleWeight::Waited),
        ),
        ("/debug/pprof/heap", Subject::Nothing, Format::GoEmpty),
    ] {
        let expected = format!("{format:?} of {subject:?} within 70ms for Some(\"a test\")");
        assert_eq!(get(path).await, (200, expected), "{path}");
    }
}

#[tokio::test]
async fn errors_of_the_backend_have_a_status() {
    let mut service = Builder::new(Describing).service();
    let mut send = async |method, path| send(&mut service, method, path).await;
    assert_eq!(
        send("GET", "/tasks/404").await,
        (404, "no such task\n".into())
    );
    assert_eq!(send("HEAD", "/tasks/404").await.0, 404);
    assert_eq!(send("HEAD", "/tasks/7").await, (200, String::new()));
    assert_eq!(send("GET", "/dump.svg").await.0, 406);
    assert_eq!(send("GET", "/tasks/13").await.0, 500);
    assert_eq!(send("GET", "/tasks/7").await.0, 200);
}

/// Gathers until it is cancelled.
struct Endless {
    begun: Sender<()>,
    ended: Sender<()>,
}

impl Backend for Endless {
    fn gather(&self, request: DataRequest) -> Result<Box<dyn Document>, GatherError> {
        self.begun.send(()).unwrap();
        let deadline = Instant::now() + LONG;
        while !request.cancellation.is_cancelled() {
            assert!(Instant::now() < deadline, "it is not cancelled");
            thread::yield_now();
        }
        self.ended.send(()).unwrap();
        Err(GatherError::Cancelled)
    }
}

fn endless() -> (TasksService, Receiver<()>, Receiver<()>) {
    let ((begun, begins), (ended, ends)) = (channel(), channel());
    (
        Builder::new(Endless { begun, ended }).service(),
        begins,
        ends,
    )
}

#[test]
fn data_that_no_client_waits_for_is_cancelled() {
    let (mut service, begins, ends) = endless();
    let mut request = || {
        let request = http::Request::get("http://localhost/dump.txt").body(());
        Box::pin(service.call(request.unwrap()))
    };
    let (mut one, mut other) = (request(), request());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(one.as_mut().poll(&mut cx).is_pending());
    assert!(other.as_mut().poll(&mut cx).is_pending());
    begins.recv_timeout(LONG).unwrap();
    drop(one);
    assert!(ends.try_recv().is_err(), "the other waits");
    drop(other);
    ends.recv_timeout(LONG).unwrap();
}

/// Returns documents that panic when they are dropped.
struct PanickingDrops;

impl Backend for PanickingDrops {
    fn gather(&self, _: DataRequest) -> Result<Box<dyn Document>, GatherError> {
        Ok(Box::new(PanicsWhenDropped))
    }
}

struct PanicsWhenDropped;

impl Document for PanicsWhenDropped {
    fn write(&self, _: Format, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "data")
    }
}

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic!("the document panics when it is dropped");
    }
}

#[tokio::test]
async fn a_document_that_panics_when_dropped_blocks_no_later_request() {
    let mut service = Builder::new(PanickingDrops).service();
    for _ in 0..3 {
        let response = tokio::time::timeout(LONG, send(&mut service, "GET", "/dump.txt")).await;
        assert_eq!(response.expect("a response"), (200, "data".into()));
    }
}

struct PanickingWaker;

impl std::task::Wake for PanickingWaker {
    fn wake(self: std::sync::Arc<Self>) {
        panic!("the waker panics");
    }
}

#[tokio::test]
async fn a_waker_that_panics_fails_no_request_of_others() {
    let (begun, begins) = channel();
    let (go_on, goes_on) = channel();
    let backend = Stepwise(begun, std::sync::Mutex::new(goes_on));
    let mut service = Builder::new(backend).service();
    let mut request = || {
        let request = http::Request::get("http://localhost/dump.txt").body(());
        Box::pin(service.call(request.unwrap()))
    };
    let (mut one, other) = (request(), request());
    let waker = std::sync::Arc::new(PanickingWaker).into();
    assert!(
        one.as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    begins.recv_timeout(LONG).unwrap();
    go_on.send(()).unwrap();
    let response = tokio::time::timeout(LONG, other).await;
    assert_eq!(response.expect("a response").unwrap().status(), 200);
    go_on.send(()).unwrap();
    let later = tokio::time::timeout(LONG, send(&mut service, "GET", "/dump.txt")).await;
    assert_eq!(later.expect("a response").0, 200);
}

/// Tells the test that it gathers, and waits until the test lets it continue.
struct Stepwise(Sender<()>, std::sync::Mutex<Receiver<()>>);

impl Backend for Stepwise {
    fn gather(&self, _: DataRequest) -> Result<Box<dyn Document>, GatherError> {
        self.0.send(()).unwrap();
        self.1.lock().unwrap().recv_timeout(LONG).unwrap();
        Ok(Box::new(Description("data".into())))
    }
}

/// Panics in the methods that are called where a response is requested.
struct PanickingCallers;

impl Backend for PanickingCallers {
    fn gather(&self, _: DataRequest) -> Result<Box<dyn Document>, GatherError> {
        Ok(Box::new(Description("data".into())))
    }

    fn check(&self, _: Subject) -> Result<(), GatherError> {
        panic!("the backend panics at each check");
    }

    fn caller(&self) -> Caller {
        panic!("the backend panics at each caller");
    }
}

#[tokio::test]
async fn panics_in_checks_and_callers_are_responses() {
    let mut service = Builder::new(PanickingCallers).service();
    assert_eq!(send(&mut service, "HEAD", "/tasks/7").await.0, 500);
    assert_eq!(send(&mut service, "GET", "/tasks/7").await.0, 500);
}

/// Panics when the service starts its first thread.
struct PanickingSpawn(std::sync::atomic::AtomicBool);

impl Backend for PanickingSpawn {
    fn gather(&self, _: DataRequest) -> Result<Box<dyn Document>, GatherError> {
        Ok(Box::new(Description("data".into())))
    }

    fn spawn(
        &self,
        name: &str,
        run: Box<dyn FnOnce() + Send + 'static>,
    ) -> io::Result<thread::JoinHandle<()>> {
        let was_called = self.0.swap(true, std::sync::atomic::Ordering::Relaxed);
        assert!(was_called, "the backend panics at the first thread");
        thread::Builder::new().name(name.to_owned()).spawn(run)
    }
}

#[tokio::test]
async fn a_panic_at_the_start_of_a_thread_refuses_its_request_and_no_later_one() {
    let mut service = Builder::new(PanickingSpawn(false.into())).service();
    assert_eq!(send(&mut service, "GET", "/tasks/7").await.0, 503);
    let later = tokio::time::timeout(LONG, send(&mut service, "GET", "/tasks/7")).await;
    assert_eq!(later.expect("a response").0, 200);
}
