//! Tests tasks that are polled by other tasks, with requests for each of them.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use futures::stream::{FuturesUnordered, StreamExt as _};
use tasktrace::{Trace, TraceHandle, current};

use crate::support::{Leaf, LeafState, start_request, task};

async fn inside(leaf: Leaf) {
    leaf.await;
}

async fn outside(inner: impl Future<Output = ()>) {
    inner.await;
}

/// Returns the answer of a request, which must be there.
#[track_caller]
fn answer<F: Future<Output = Option<Trace>>>(request: &mut crate::support::Driver<F>) -> Trace {
    match request.poll() {
        Poll::Ready(Some(trace)) => trace,
        Poll::Ready(None) => panic!("the task has finished"),
        Poll::Pending => panic!("not answered"),
    }
}

#[track_caller]
fn check_inner(trace: &Trace) {
    assert!(trace.contains("nested::inside"), "{trace:#}");
    assert!(!trace.contains("nested::outside"), "{trace:#}");
}

#[track_caller]
fn check_outer(trace: &Trace) {
    let [outer] = trace.frames() else {
        panic!("{trace}");
    };
    assert!(outer.name().ends_with("nested::outside"), "{trace:#}");
    let [inner] = outer.children() else {
        panic!("{trace}");
    };
    assert!(inner.name().ends_with("nested::inside"), "{trace:#}");
}

#[test]
fn one_poll_answers_the_requests_of_nested_tasks() {
    for (ask_inner, ask_outer) in [(false, false), (true, false), (false, true), (true, true)] {
        let (leaf, seen) = Leaf::new();
        let (inner, inner_handle) = tasktrace::traced(inside(leaf));
        let (mut outer, outer_handle) = task(outside(inner));
        assert!(outer.poll().is_pending());
        for round in 1..=3 {
            let inner_asker = ask_inner.then(|| start_request(&inner_handle));
            let outer_asker = ask_outer.then(|| start_request(&outer_handle));
            assert!(outer.poll().is_pending());
            assert_eq!(seen.polls(), 1 + round, "one poll serves both");
            let captures = if ask_inner || ask_outer { round } else { 0 };
            assert_eq!(seen.captures(), captures);
            if let Some(mut request) = inner_asker {
                check_inner(&answer(&mut request));
            }
            if let Some(mut request) = outer_asker {
                check_outer(&answer(&mut request));
            }
        }
        let before = outer.wakes.count();
        seen.finish();
        assert_eq!(
            outer.wakes.count(),
            before + 1,
            "the leaf holds the real waker"
        );
        assert!(outer.poll().is_ready());
        assert!(inner_handle.is_finished() && outer_handle.is_finished());
    }
}

/// The tasks are nested three deep, the middle one has two leaves, and all are traced at the same time.
#[test]
fn three_nested_tasks_are_captured_at_once() {
    let leaves: Vec<(Leaf, Arc<LeafState>)> = (0..3).map(|_| Leaf::new()).collect();
    let seen: Vec<_> = leaves.iter().map(|(_, seen)| Arc::clone(seen)).collect();
    let mut leaves = leaves.into_iter().map(|(leaf, _)| leaf);
    let mut next = || inside(leaves.next().unwrap());

    let (innermost, handle_3) = tasktrace::traced(next());
    let (sibling, other_leaf) = (next(), next());
    let (middle, handle_2) = tasktrace::traced(async move {
        tokio::join!(biased; innermost, sibling);
    });
    let (mut outer, handle_1) = task(async move {
        tokio::join!(biased; other_leaf, middle);
    });
    assert!(outer.poll().is_pending());

    let handles: [&TraceHandle; 3] = [&handle_1, &handle_2, &handle_3];
    let mut requests = handles.map(start_request);
    assert!(outer.poll().is_pending());
    let traces = requests.each_mut().map(answer);
    assert_eq!(
        traces.each_ref().map(|trace| count(trace, "inside")),
        [3, 2, 1]
    );
    for seen in &seen {
        assert_eq!((seen.polls(), seen.captures()), (2, 1));
    }
}

/// Returns the number of leaves inside of `function`.
fn count(trace: &Trace, function: &str) -> usize {
    let mut pending: Vec<_> = trace.frames().iter().map(|frame| (frame, false)).collect();
    let mut count = 0;
    while let Some((frame, within)) = pending.pop() {
        let within = within || frame.name().rsplit("::").next() == Some(function);
        count += if within { frame.count() } else { 0 };
        pending.extend(frame.children().iter().map(|child| (child, within)));
    }
    count
}

/// The combinator polls its children only when their own wakers are woken, so the inner task is captured by itself.
#[test]
fn a_task_in_a_combinator_is_woken_through_the_combinator() {
    let (leaf, seen) = Leaf::new();
    let (inner, inner_handle) = tasktrace::traced(inside(leaf));
    let (mut outer, outer_handle) = task(async move {
        let mut children: FuturesUnordered<_> = std::iter::once(inner).collect();
        children.next().await.unwrap();
    });
    assert!(outer.poll().is_pending());
    for _ in 0..3 {
        let wakes = outer.wakes.count();
        let (mut inner_asker, mut outer_asker) =
            (start_request(&inner_handle), start_request(&outer_handle));
        assert!(outer.wakes.count() > wakes, "through the combinator");
        assert!(outer.poll().is_pending());
        check_inner(&answer(&mut inner_asker));
        answer(&mut outer_asker);
    }
    assert_eq!((seen.polls(), seen.captures()), (4, 3));
    seen.finish();
    assert!(outer.poll().is_ready());
}

#[test]
fn current_returns_the_innermost_task() {
    fn id() -> Option<tasktrace::TaskId> {
        current().map(|handle| handle.id())
    }

    let (leaf, seen) = Leaf::new();
    let (inner, inner_handle) = tasktrace::traced(async move {
        let mine = id();
        leaf.await;
        assert_eq!(mine, id());
        mine
    });
    let (mut outer, outer_handle) = task(async move {
        let mine = id();
        let of_inner = tokio::select! {
            of_inner = inner => of_inner,
            () = std::future::poll_fn(|_| { assert_eq!(id(), mine); Poll::Pending }) => None,
        };
        assert_eq!(mine, id());
        (mine, of_inner)
    });
    assert!(outer.poll().is_pending());
    assert!(current().is_none());
    let _asker = start_request(&inner_handle);
    assert!(outer.poll().is_pending());
    seen.finish();
    let ids = (Some(outer_handle.id()), Some(inner_handle.id()));
    assert_eq!(outer.poll(), Poll::Ready(ids));
    assert!(current().is_none());
}

/// A task is polled by one task, and then by another.
#[test]
fn a_task_can_move_from_one_task_to_another() {
    type Shared = Arc<std::sync::Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>>;

    async fn host(guest: Shared) {
        std::future::poll_fn(|cx| match &mut *guest.lock().unwrap() {
            Some(guest) => guest.as_mut().poll(cx),
            None => Poll::Pending,
        })
        .await;
    }

    let (leaf, seen) = Leaf::new();
    let (guest, guest_handle) = tasktrace::traced(inside(leaf));
    let rooms: [Shared; 2] = Default::default();
    *rooms[0].lock().unwrap() = Some(Box::pin(guest));
    let (mut first, _) = task(host(Arc::clone(&rooms[0])));
    let (mut second, second_handle) = task(host(Arc::clone(&rooms[1])));
    assert!(first.poll().is_pending());
    assert!(second.poll().is_pending());

    let mut request = start_request(&guest_handle);
    let guest = rooms[0].lock().unwrap().take();
    *rooms[1].lock().unwrap() = guest;
    let mut second_asker = start_request(&second_handle);
    assert!(second.poll().is_pending());
    check_inner(&answer(&mut request));
    assert!(answer(&mut second_asker).contains("nested::inside"));

    let wakes = second.wakes.count();
    let _asker = start_request(&guest_handle);
    assert_eq!(second.wakes.count(), wakes + 1, "the new host is woken");
    seen.finish();
    assert!(second.poll().is_ready());
}
