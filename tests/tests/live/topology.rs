//! Tests futures that are moved between tasks and threads, and dropped anywhere.

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

/// Polls the future in `place`, if there is one.
async fn polls_place(place: Place) {
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
    let tasks = [(); 2].map(|()| DrivenTask::new(polls_place(place.clone())));
    (place, tasks)
}

const WITH_MOVED: &str = "polls_place(moved(inside))";
const WITHOUT_MOVED: &str = "polls_place";

#[test]
fn a_future_can_move_from_task_to_task_and_back() {
    let (place, [mut one, mut two]) = two_tasks();
    *place.lock().unwrap() = Some(Box::pin(moved()));
    for _ in 0..3 {
        one.suspend();
        assert_eq!(
            [one.snapshot(), two.snapshot()],
            [WITH_MOVED, WITHOUT_MOVED]
        );
        two.suspend();
        assert_eq!(
            [one.snapshot(), two.snapshot()],
            [WITHOUT_MOVED, WITH_MOVED]
        );
        assert!(two.capture().contains("inside"));
    }
    drop(place.lock().unwrap().take());
    assert_eq!(
        [one.snapshot(), two.snapshot()],
        [WITHOUT_MOVED, WITHOUT_MOVED]
    );
    one.suspend();
    two.suspend();
}

#[test]
fn a_future_can_be_dropped_in_another_task_and_on_another_thread() {
    let (place, [mut one, two]) = two_tasks();
    *place.lock().unwrap() = Some(Box::pin(moved()));
    one.suspend();
    let future = place.lock().unwrap().take();
    let mut dropper = DrivenTask::new(async move { drop(future) });
    assert!(dropper.poll().is_ready());
    assert_eq!(one.snapshot(), WITHOUT_MOVED);

    *place.lock().unwrap() = Some(Box::pin(moved()));
    one.suspend();
    let future = place.lock().unwrap().take();
    std::thread::spawn(move || drop(future)).join().unwrap();
    assert_eq!(one.snapshot(), WITHOUT_MOVED);
    one.suspend();
    assert_eq!(one.snapshot(), WITHOUT_MOVED);
    drop(two);
}

#[test]
fn a_future_can_outlive_its_task() {
    let (place, [mut one, mut two]) = two_tasks();
    *place.lock().unwrap() = Some(Box::pin(moved()));
    one.suspend();
    drop(one);
    // This task reuses the task header.
    let mut other = DrivenTask::new(polls_place(Arc::default()));
    other.suspend();
    assert_eq!(other.snapshot(), WITHOUT_MOVED);
    two.suspend();
    assert_eq!(two.snapshot(), WITH_MOVED);
    drop(place.lock().unwrap().take());
    assert_eq!(
        [other.snapshot(), two.snapshot()],
        [WITHOUT_MOVED, WITHOUT_MOVED]
    );
}

#[test]
fn a_future_polled_in_a_task_can_become_a_task() {
    let mut future: Boxed = Box::pin(moved());
    let mut first = DrivenTask::new(async {
        let result = std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
        assert!(result.is_pending());
    });
    assert!(first.poll().is_ready());
    drop(first);
    // Outside of any task the future becomes a task.
    assert!(poll(future.as_mut()).is_pending());
    let ours = |task: &tasktrace::TraceHandle| {
        task.name().ends_with("topology::moved") && task.snapshot().contains("inside")
    };
    assert!(tasktrace::tasks().any(|task| ours(&task)));
    // It stays a task, wherever it is polled.
    let mut second = DrivenTask::new(future);
    second.suspend();
    assert!(tasktrace::tasks().any(|task| ours(&task)));
}

#[test]
fn a_future_can_move_below_another_parent() {
    #[traced]
    async fn parent(place: Place) {
        polls_place(place).await;
    }
    let place: Place = Arc::default();
    let mut task = DrivenTask::new({
        let place = place.clone();
        async move { futures::join!(parent(place.clone()), polls_place(place)) }
    });
    *place.lock().unwrap() = Some(Box::pin(moved()));
    for _ in 0..3 {
        task.suspend();
        // Both poll the future. The frame of `parent` is polled first, so the future is below the task in the end.
        let snapshot = task.snapshot();
        assert!(snapshot.ends_with("(moved(inside) parent)"), "{snapshot}");
    }
}

#[test]
fn a_frame_can_outlive_its_parent() {
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
fn a_future_can_be_polled_by_a_task_that_is_finished() {
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
    // This task reuses the task header.
    let mut next = DrivenTask::new(wait_for_ever());
    next.suspend();
    assert_eq!(next.snapshot(), "wait_for_ever");
}

#[test]
fn a_future_can_be_polled_in_a_destructor() {
    struct PollsInDrop(Option<Boxed>);
    impl Drop for PollsInDrop {
        fn drop(&mut self) {
            let mut future = self.0.take().unwrap();
            assert!(poll(future.as_mut()).is_pending());
        }
    }
    // Dropped in a poll: the future is a frame, and is gone when it is dropped.
    let mut task = DrivenTask::new(async {
        drop(PollsInDrop(Some(Box::pin(moved()))));
        wait_for_ever().await;
    });
    task.suspend();
    assert!(!task.snapshot().contains("moved"), "{}", task.snapshot());
    // Dropped with the future of the task: there is no task, so the future is a task of its own.
    let mut task = DrivenTask::new(async {
        let _dropped = PollsInDrop(Some(Box::pin(moved())));
        wait_for_ever().await;
    });
    task.suspend();
    drop(task);
}

#[test]
fn a_future_in_a_nested_executor_is_not_a_frame_of_the_task() {
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
fn a_future_can_be_dropped_during_a_poll_of_its_task_on_another_thread() {
    let place: Place = Arc::new(Mutex::new(Some(Box::pin(moved()) as Boxed)));
    let (is_polled, wait_until_polled) = mpsc::channel();
    let (release, wait_for_release) = mpsc::channel::<()>();
    let mut task = DrivenTask::new({
        let place = place.clone();
        async move {
            let mut polls_place = std::pin::pin!(polls_place(place));
            assert!(futures::poll!(polls_place.as_mut()).is_pending());
            is_polled.send(()).unwrap();
            wait_for_release.recv().unwrap();
            // Adds and removes other frames of the task.
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
    wait_until_polled.recv().unwrap();
    drop(place.lock().unwrap().take());
    assert!(!handle.snapshot().contains("moved"));
    release.send(()).unwrap();
    let task = poller.join().unwrap();
    assert!(!task.snapshot().contains('('), "{}", task.snapshot());
}

/// A task is polled in other tasks, and then alone. Only the task that polled it last awaits it.
#[test]
fn only_the_last_task_that_polled_a_task_awaits_it() {
    let (place, [mut one, mut two]) = two_tasks();
    let (task, handle) = tasktrace::traced(moved());
    let mut task: Boxed = Box::pin(task);
    let with = "polls_place(moved)";
    let awaits = |task: &DrivenTask<_>| {
        let dump = tasktrace::snapshot();
        let task = dump.get(task.handle.id()).expect("the dump lists the task");
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
        assert_eq!(one.snapshot(), WITHOUT_MOVED);
        // Polls the task outside of the others.
        assert!(poll(task.as_mut()).is_pending());
        for other in [&mut one, &mut two] {
            assert_eq!(other.snapshot(), WITHOUT_MOVED);
            assert!(!awaits(other));
            other.suspend();
            assert_eq!(other.snapshot(), WITHOUT_MOVED, "the task is held");
        }
        assert_eq!(outline(&handle.snapshot()), "moved(inside)");
        assert!(poll(task.as_mut()).is_pending());
    }
}

/// The tasks are in a set that is polled in a task first, and then outside of any task.
#[test]
fn tasks_in_a_set_leave_the_task_with_the_set() {
    use futures::StreamExt;
    use futures::stream::FuturesUnordered;

    let set: FuturesUnordered<_> = (0..4).map(|_| traced_task(wakes_itself())).collect();
    let place: Place = Arc::new(Mutex::new(Some(Box::pin(async move {
        set.for_each(|()| async {}).await;
    }))));
    let mut outer = DrivenTask::new(polls_place(place.clone()));
    outer.suspend();
    assert!(
        outer.snapshot().contains("wakes_itself"),
        "{}",
        outer.snapshot()
    );
    let mut set = place.lock().unwrap().take().unwrap();
    // A set polls only a few of the tasks that wake themselves in each of its polls.
    for _ in 0..4 {
        assert!(poll(set.as_mut()).is_pending());
    }
    assert_eq!(outer.snapshot(), WITHOUT_MOVED);
    outer.suspend();
    assert_eq!(outer.snapshot(), WITHOUT_MOVED);
}

fn traced_task<F: Future>(future: F) -> tasktrace::TracedTask<F> {
    tasktrace::traced(future).0
}

/// Wakes itself in each poll.
async fn wakes_itself() {
    std::future::poll_fn(|cx| {
        cx.waker().wake_by_ref();
        Poll::<()>::Pending
    })
    .await;
}
