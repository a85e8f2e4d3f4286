//! Tests that no task header and no frame is left behind. The test has a process of its own, because it counts them.

use std::future::Future;
use std::task::Poll;

use tasktrace::__private::live;
use tasktrace::traced;
use tasktrace_tests::by_hand::poll;

#[traced]
async fn short(depth: u32) {
    if depth > 0 {
        Box::pin(short(depth - 1)).await;
    }
    suspends_once().await;
}

async fn suspends_once() {
    let mut first = true;
    std::future::poll_fn(|_| match std::mem::take(&mut first) {
        true => Poll::Pending,
        false => Poll::Ready(()),
    })
    .await;
}

#[test]
fn nothing_is_left_behind() {
    assert_eq!(live(), (0, 0));

    // A million frames, in one task and in many tasks.
    let (task, handle) = tasktrace::traced(async {
        for _ in 0..100_000 {
            short(4).await;
        }
    });
    let mut task = Box::pin(task);
    while poll(task.as_mut()).is_pending() {
        assert!(live().1 <= 5);
    }
    assert_eq!(live(), (1, 0), "the handle keeps the header");
    drop(task);
    assert!(handle.is_finished());
    drop(handle);
    assert_eq!(live(), (0, 0));
    for _ in 0..100_000 {
        let mut task = Box::pin(short(4));
        assert!(poll(task.as_mut()).is_pending());
        assert_eq!(live(), (1, 4), "the outermost function is the task");
    }
    assert_eq!(live(), (0, 0), "dropping a suspended task frees its frames");

    // Many tasks at once, on several threads, dropped on other threads.
    let threads: Vec<_> = (0..4)
        .map(|_| {
            std::thread::spawn(|| {
                let mut tasks: Vec<_> = (0..1000).map(|_| Box::pin(short(4))).collect();
                for task in &mut tasks {
                    assert!(poll(task.as_mut()).is_pending());
                }
                tasks
            })
        })
        .collect();
    let tasks: Vec<_> = threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .collect();
    assert_eq!(live(), (4000, 16_000));
    for tasks in tasks {
        std::thread::spawn(move || drop(tasks)).join().unwrap();
    }
    assert_eq!(live(), (0, 0));

    // A leaked frame stays with its task, and is freed with the task.
    let (task, handle) = tasktrace::traced(async {
        let mut leaked = Box::pin(short(1));
        assert!(
            std::future::poll_fn(|cx| Poll::Ready(leaked.as_mut().poll(cx)))
                .await
                .is_pending()
        );
        std::mem::forget(leaked);
        suspends_once().await;
    });
    let mut task = Box::pin(task);
    assert!(poll(task.as_mut()).is_pending());
    assert_eq!(live(), (1, 2));
    assert!(poll(task.as_mut()).is_ready());
    assert_eq!(live().1, 0);
    drop((task, handle));
    assert_eq!(live(), (0, 0));

    // A finished task is polled again.
    let (task, handle) = tasktrace::traced(futures::FutureExt::fuse(async {}));
    let mut task = Box::pin(task);
    assert!(poll(task.as_mut()).is_ready());
    assert!(poll(task.as_mut()).is_pending());
    drop((task, handle));
    assert_eq!(live(), (0, 0));
}
