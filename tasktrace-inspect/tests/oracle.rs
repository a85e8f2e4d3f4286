//! Compares what is read from memory with what a capture of the same task prints, function by function.
//!
//! Futures with wakers of their own, such as those in a `FuturesUnordered`, are not compared: a capture does not see them.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tasktrace_inspect::{Options, TaskState, inspect_process};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::{Mutex, Notify, mpsc, oneshot};
use tokio::time::{interval, sleep, timeout};

const HOUR: Duration = Duration::from_secs(3600);

/// A tree: names and lines of the functions of this file, and names of leaves.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Tree {
    name: String,
    line: Option<u64>,
    children: Vec<Tree>,
}

fn tree(name: &str, line: Option<u64>, children: Vec<Tree>) -> Tree {
    let is_own = name.starts_with("oracle::");
    let mut children = children;
    // Children of a set have no order.
    children.sort();
    Tree {
        name: name.to_owned(),
        line: line.filter(|_| is_own),
        children,
    }
}

fn captured(frame: &tasktrace::Frame) -> Tree {
    let children = frame.children().iter().map(captured).collect();
    tree(frame.name(), frame.line().map(u64::from), children)
}

/// Returns the trees below frames that were read. The wrapper of the capture is left out.
fn read(frames: &[tasktrace_inspect::Frame]) -> Vec<Tree> {
    let mut trees = Vec::new();
    for frame in frames {
        match &*frame.name {
            // A capture shows the timer beside what it limits.
            "tokio::time::timeout" => {
                trees.extend(read(&frame.children));
                trees.push(tree(&frame.name, None, Vec::new()));
            }
            name if name.starts_with("tasktrace::") => trees.extend(read(&frame.children)),
            name => trees.push(tree(name, frame.line, read(&frame.children))),
        }
    }
    trees
}

/// Runs a task until it waits, captures it, reads it, and compares. Returns the difference, if there is one.
fn compare(future: impl Future<Output = ()> + Send + 'static) -> Option<String> {
    let (traced, handle) = tasktrace::traced(future);
    let (stop, stopped) = oneshot::channel::<()>();
    let runtime = thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            tokio::spawn(traced);
            let _ = stopped.await;
        });
    });
    let end = Instant::now() + Duration::from_secs(20);
    let disagreement = loop {
        let trace = handle.backtrace_timeout(Duration::from_secs(60)).unwrap();
        let expected: Vec<Tree> = trace.frames().iter().map(captured).collect();
        let report = inspect_process(std::process::id(), &Options::default()).unwrap();
        let mut tasks = report.tasks.iter();
        let task = tasks.find(|task| task.state == TaskState::Suspended);
        let found = task.map(|task| read(&task.frames)).unwrap_or_default();
        if found == expected {
            break None;
        }
        // The task may not have come to where it waits.
        if Instant::now() > end {
            break Some(format!(
                "captured {expected:#?}\nread {found:#?}\n{trace}\n{report}"
            ));
        }
    };
    stop.send(()).unwrap();
    runtime.join().unwrap();
    disagreement
}

async fn nap() {
    sleep(HOUR).await;
}

async fn named(number: u64) -> u64 {
    nap().await;
    number
}

/// Each shape is a function, so that its name and its lines are compared.
macro_rules! shapes {
    ($($name:ident $body:block)*) => {
        $(async fn $name() $body)*

        // One test: each of them reads the whole process.
        #[test]
        fn trees_are_those_of_captures() {
            let differences = [$(compare($name())),*];
            let differences: Vec<String> = differences.into_iter().flatten().collect();
            assert!(differences.is_empty(), "{}", differences.join("\n"));
        }
    };
}

shapes! {
    sleeping {
        sleep(HOUR).await;
    }

    nested {
        named(1).await;
    }

    ticking {
        let mut interval = interval(HOUR);
        interval.tick().await;
        interval.tick().await;
    }

    locking {
        let lock = Mutex::new(0);
        let _held = lock.lock().await;
        let _again = lock.lock().await;
    }

    receiving {
        let (_sender, mut receiver) = mpsc::channel::<u8>(1);
        receiver.recv().await;
    }

    sending {
        let (sender, _receiver) = mpsc::channel::<u8>(1);
        let _ = sender.send(1).await;
        let _ = sender.send(2).await;
    }

    receiving_once {
        let (_sender, receiver) = oneshot::channel::<u8>();
        let _ = receiver.await;
    }

    notified {
        let notify = Notify::new();
        notify.notified().await;
    }

    accepting {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _ = listener.accept().await;
    }

    boxed {
        let future: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(nap());
        future.await;
    }

    timed {
        let _ = timeout(HOUR, named(1)).await;
    }

    joined {
        let handle = Arc::new(Notify::new());
        let _ = tokio::spawn(async move { handle.notified().await }).await;
    }

}
