//! Futures that are moved between tasks and threads, and dropped anywhere.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::Poll;

use tasktrace::traced;

use crate::support::{DrivenTask, outline, poll, wait_for_ever};

type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;
type Place = Arc<Mutex<Option<Boxed>>>;

#[traced]
async fn moved() {
    inside().await;
}

#[traced]
async fn inside() {
    wait_for_ever().await;
}

/// Polls whatever is in the place.
async fn polls(place: Place) {
    std::future::poll_fn(|cx| {
        let future = place.lock().unwrap().take();
        if let Some(mut future) = future {
            assert!(future.as_mut().poll(cx).is_pending());
            *place.lock().unwrap() = Some(future);
        }
        Poll::<()>::Pending
    })
    .await;
}

fn two_tasks() -> (Place, [DrivenTask<impl Future + use<>>; 2]) {
    let place: Place = Arc::default();
    let tasks = [(); 2].map(|()| DrivenTask::new(polls(place.clone())));
    (place, tasks)
}

const WITH: &str = "polls(moved(inside))";
const WITHOUT: &str = "polls";

#[test]
fn from_task_to_task_and_back() {
    let (place, [mut one, mut two]) = two_tasks();
    *place.lock().unwrap() = Some(Box::pin(moved()));
    for _ in 0..3 {
        one.suspend();
        assert_eq!([one.snapshot(), two.snapshot()], [WITH, WITHOUT]);
        two.suspend();
        assert_eq!([one.snapshot(), two.snapshot()], [WITHOUT, WITH]);
        assert!(two.capture().contains("inside"));
    }
    drop(place.lock().unwrap().take());
    assert_eq!([one.snapshot(), two.snapshot()], [WITHOUT, WITHOUT]);
    one.suspend();
    two.suspend();
}

#[test]
fn dropped_in_another_task_and_on_another_thread() {
    let (place, [mut one, two]) = two_tasks();
    *place.lock().unwrap() = Some(Box::pin(moved()));
    one.suspend();
    let future = place.lock().unwrap().take();
    let mut dropper = DrivenTask::new(async move { drop(future) });
    assert!(dropper.poll().is_ready());
    assert_eq!(one.snapshot(), WITHOUT);

    *place.lock().unwrap() = Some(Box::pin(moved()));
    one.suspend();
    let future = place.lock().unwrap().take();
    std::thread::spawn(move || drop(future)).join().unwrap();
    assert_eq!(one.snapshot(), WITHOUT);
    one.suspend();
    assert_eq!(one.snapshot(), WITHOUT);
    drop(two);
}

#[test]
fn outlives_its_task() {
    let (place, [mut one, mut two]) = two_tasks();
    *place.lock().unwrap() = Some(Box::pin(moved()));
    one.suspend();
    drop(one);
    // The record is used again for this one.
    let mut other = DrivenTask::new(polls(Arc::default()));
    other.suspend();
    assert_eq!(other.snapshot(), WITHOUT);
    two.suspend();
    assert_eq!(two.snapshot(), WITH);
    drop(place.lock().unwrap().take());
    assert_eq!([other.snapshot(), two.snapshot()], [WITHOUT, WITHOUT]);
}

#[test]
fn polled_in_a_task_and_then_spawned() {
    let mut future: Boxed = Box::pin(moved());
    let mut first = DrivenTask::new(async {
        let result = std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
        assert!(result.is_pending());
    });
    assert!(first.poll().is_ready());
    drop(first);
    // Outside of any task it becomes one.
    assert!(poll(future.as_mut()).is_pending());
    let ours = |task: &tasktrace::TraceHandle| {
        task.name().ends_with("topology::moved") && task.snapshot().contains("inside")
    };
    assert!(tasktrace::tasks().any(|task| ours(&task)));
    // And stays one, wherever it is polled.
    let mut second = DrivenTask::new(future);
    second.suspend();
    assert!(tasktrace::tasks().any(|task| ours(&task)));
}

#[test]
fn below_another_parent() {
    #[traced]
    async fn parent(place: Place) {
        polls(place).await;
    }
    let place: Place = Arc::default();
    let mut task = DrivenTask::new({
        let place = place.clone();
        async move { futures::join!(parent(place.clone()), polls(place)) }
    });
    *place.lock().unwrap() = Some(Box::pin(moved()));
    for _ in 0..3 {
        task.suspend();
        // Both poll it, the one without a frame comes last.
        let snapshot = task.snapshot();
        assert!(snapshot.ends_with("(moved(inside) parent)"), "{snapshot}");
    }
}

#[test]
fn what_it_was_in_has_ended() {
    #[traced]
    async fn starts(place: Place) {
        let mut future: Boxed = Box::pin(moved());
        std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await;
        *place.lock().unwrap() = Some(future);
    }
    #[traced]
    async fn takes_its_slot() {
        wait_for_ever().await;
    }
    let place: Place = Arc::default();
    let mut task = DrivenTask::new({
        let place = place.clone();
        async move {
            starts(place).await;
            takes_its_slot().await;
        }
    });
    task.suspend();
    task.suspend();
    let snapshot = task.snapshot();
    assert!(
        snapshot.contains("moved!(inside) takes_its_slot"),
        "{snapshot}"
    );
    drop(place);
}

#[test]
fn polled_again_when_its_task_is_over() {
    let mut moved: Boxed = Box::pin(moved());
    let mut is_over = false;
    let mut task = DrivenTask::new(std::future::poll_fn(move |cx| {
        match std::mem::replace(&mut is_over, true) {
            false => Poll::Ready(()),
            true => moved.as_mut().poll(cx),
        }
    }));
    assert!(task.poll().is_ready());
    task.suspend();
    drop(task);
    // The record is used again for this one.
    let mut next = DrivenTask::new(wait_for_ever());
    next.suspend();
    assert_eq!(next.snapshot(), "wait_for_ever");
}

#[test]
fn polled_in_a_drop() {
    struct PollsInDrop(Option<Boxed>);
    impl Drop for PollsInDrop {
        fn drop(&mut self) {
            let mut future = self.0.take().unwrap();
            assert!(poll(future.as_mut()).is_pending());
        }
    }
    // In a poll: a frame, and gone with the future.
    let mut task = DrivenTask::new(async {
        drop(PollsInDrop(Some(Box::pin(moved()))));
        wait_for_ever().await;
    });
    task.suspend();
    assert!(!task.snapshot().contains("moved"), "{}", task.snapshot());
    // When the future of the task is dropped: no task, so it is one of its own.
    let mut task = DrivenTask::new(async {
        let _dropped = PollsInDrop(Some(Box::pin(moved())));
        wait_for_ever().await;
    });
    task.suspend();
    drop(task);
}

#[test]
fn through_a_nested_executor() {
    let mut task = DrivenTask::new(async {
        let result = futures::executor::block_on(async {
            let mut moved = Box::pin(moved());
            std::future::poll_fn(|cx| Poll::Ready(moved.as_mut().poll(cx).is_pending())).await
        });
        assert!(result);
        wait_for_ever().await;
    });
    task.suspend();
    assert!(!task.snapshot().contains("moved"), "{}", task.snapshot());
    let trace = task.capture();
    assert!(!trace.contains("moved"), "{trace}");
}

#[test]
fn dropped_while_its_task_is_being_polled_elsewhere() {
    let place: Place = Arc::new(Mutex::new(Some(Box::pin(moved()) as Boxed)));
    let (tell, told) = mpsc::channel();
    let (let_go, go) = mpsc::channel::<()>();
    let mut task = DrivenTask::new({
        let place = place.clone();
        async move {
            let mut polls = std::pin::pin!(polls(place));
            assert!(futures::poll!(polls.as_mut()).is_pending());
            tell.send(()).unwrap();
            go.recv().unwrap();
            // Adds and removes frames beside it.
            for _ in 0..10 {
                let mut other = std::pin::pin!(inside());
                assert!(futures::poll!(other.as_mut()).is_pending());
            }
            wait_for_ever().await;
        }
    });
    let handle = task.handle.clone();
    let poller = std::thread::spawn(move || {
        task.suspend();
        task
    });
    told.recv().unwrap();
    drop(place.lock().unwrap().take());
    assert!(!handle.snapshot().contains("moved"));
    let_go.send(()).unwrap();
    let task = poller.join().unwrap();
    assert!(!task.snapshot().contains('('), "{}", task.snapshot());
}

/// A task that is polled in others, and then by itself: only the task that polled it last awaits it.
#[test]
fn a_task_that_leaves_the_task_that_polled_it() {
    let (place, [mut one, mut two]) = two_tasks();
    let (task, handle) = tasktrace::traced(moved());
    let mut task: Boxed = Box::pin(task);
    let with = "polls(moved)";
    let awaits = |task: &DrivenTask<_>| {
        let dump = tasktrace::snapshot();
        let task = dump.get(task.handle.id()).expect("it is there");
        task.awaits().contains(&handle.id())
    };
    for _ in 0..3 {
        for other in [&mut one, &mut two] {
            *place.lock().unwrap() = Some(task);
            other.suspend();
            assert!(other.snapshot().starts_with(with), "{}", other.snapshot());
            task = place.lock().unwrap().take().unwrap();
            assert!(awaits(other));
        }
        assert_eq!(one.snapshot(), WITHOUT);
        // By itself.
        assert!(poll(task.as_mut()).is_pending());
        for other in [&mut one, &mut two] {
            assert_eq!(other.snapshot(), WITHOUT);
            assert!(!awaits(other));
            other.suspend();
            assert_eq!(other.snapshot(), WITHOUT, "nor is it held");
        }
        assert_eq!(outline(&handle.snapshot()), "moved(inside)");
        assert!(poll(task.as_mut()).is_pending());
    }
}

/// So it is with many of them, in a set that is polled in a task first, and then outside of any.
#[test]
fn tasks_in_a_set_that_leaves_its_task() {
    use futures::StreamExt;
    use futures::stream::FuturesUnordered;

    let set: FuturesUnordered<_> = (0..4).map(|_| traced_task(wakes_itself())).collect();
    let place: Place = Arc::new(Mutex::new(Some(Box::pin(async move {
        set.for_each(|()| async {}).await;
    }))));
    let mut outer = DrivenTask::new(polls(place.clone()));
    outer.suspend();
    assert!(
        outer.snapshot().contains("wakes_itself"),
        "{}",
        outer.snapshot()
    );
    let mut set = place.lock().unwrap().take().unwrap();
    // A set polls a few of those that wake themselves at a time.
    for _ in 0..4 {
        assert!(poll(set.as_mut()).is_pending());
    }
    assert_eq!(outer.snapshot(), WITHOUT);
    outer.suspend();
    assert_eq!(outer.snapshot(), WITHOUT);
}

fn traced_task<F: Future>(future: F) -> tasktrace::TracedTask<F> {
    tasktrace::traced(future).0
}

/// Is polled whenever what polls it is.
async fn wakes_itself() {
    std::future::poll_fn(|cx| {
        cx.waker().wake_by_ref();
        Poll::<()>::Pending
    })
    .await;
}
