//! Tests the headers of single tasks.

use super::*;

#[test]
fn a_header_has_label_state_polls_age_spawn_site_and_parent() {
    let (place, shown) = spawn_site();
    let mut worker = task(7, "app::worker")
        .with_label("conn 10.0.0.1")
        .suspended_for(9.3);
    worker.spawned_at = Some(place);
    worker.parent = Some(id(1));
    let header = format!(
        "task 7 app::worker \"conn 10.0.0.1\", suspended 9.3s, 41 polls, age 15.0s, spawned at {shown} by task 1"
    );
    check(dump([worker]), &["1 task: 1 suspended", "", &header]);
}

#[test]
fn a_place_that_is_the_name_is_said_once() {
    let (place, _) = spawn_site();
    let name = format!("(spawned at {}:{})", place.file(), place.line());
    let mut made = Frame::sample(&name, place.line()).with_line(LineIs::Creation);
    made.rename_file(place.file());
    let mut boxed = task(2, &name).at([made]);
    boxed.spawned_at = Some(place);
    boxed.parent = Some(id(1));
    let header = format!("task 2 {name}, suspended 500ms, 41 polls, age 15.0s, spawned by task 1");
    let tree = format!("  ╼ {name}");
    check(dump([boxed]), &["1 task: 1 suspended", "", &header, &tree]);
}

/// Asserts the header of a task.
#[track_caller]
fn header(task: TaskDump, expected: &str) {
    let text = dump([task]).to_string();
    assert_eq!(text.lines().last(), Some(expected), "\n{text}");
}

#[test]
fn each_state_is_worded() {
    let work = || task(1, "app::work");
    header(
        work().never_polled().old(0.5),
        "task 1 app::work, never polled, age 500ms",
    );
    header(
        work().running_for(0.002),
        "task 1 app::work, running 2ms on tokio-rt-worker (thread 4711), 41 polls, age 15.0s",
    );
    header(
        work().woken(),
        "task 1 app::work, woken, but not polled yet, 41 polls, age 15.0s",
    );
    // The time is that since the wake-up, and not that since the last poll, 0.5s ago.
    let mut woken = work().woken().unpolled_for(0.2, false);
    woken.source = Source::Capture;
    header(
        woken,
        "task 1 app::work, woken, but not polled for 200ms, 41 polls, age 15.0s",
    );
    header(
        work().finished(),
        "task 1 app::work, finished, 41 polls, age 15.0s",
    );
}

#[test]
fn one_poll_is_singular() {
    let mut work = task(1, "app::work");
    work.polls = 1;
    header(work, "task 1 app::work, suspended 500ms, 1 poll, age 15.0s");
}

#[test]
fn a_thread_without_a_name_is_shown_by_its_number() {
    let mut work = task(1, "app::work");
    work.state = crate::task::TaskState::Running(crate::task::Running {
        thread_name: None,
        thread_id: 7,
        for_: secs(0.01),
        computes: None,
    });
    header(
        work,
        "task 1 app::work, running 10ms on thread 7, 41 polls, age 15.0s",
    );
}

#[test]
fn a_task_without_a_capture_has_the_reason() {
    let no_answer = |reason| TraceError::NoAnswer {
        waited: secs(2.0),
        reason,
    };
    let asked = |mut task: TaskDump, error| {
        task.source = Source::Snapshot { error: Some(error) };
        task
    };
    header(
        asked(
            task(1, "app::work").running_for(0.5),
            no_answer(NoAnswer::Running),
        ),
        "task 1 app::work, running 500ms on tokio-rt-worker (thread 4711), 41 polls, age 15.0s, no answer within 2.0s",
    );
    header(
        asked(task(1, "app::work"), no_answer(NoAnswer::Running)),
        "task 1 app::work, suspended 500ms, 41 polls, age 15.0s, no answer within 2.0s: it was in the middle of a poll",
    );
    header(
        task(1, "app::work").woken().unpolled_for(0.1, false),
        "task 1 app::work, woken, but not polled for 100ms, 41 polls, age 15.0s, no answer within 100ms: it was woken, and has not been polled since",
    );
    header(
        task(1, "app::work").woken().unpolled_for(2.0, true),
        "! task 1 app::work, woken, but not polled for 2.0s, 41 polls, age 15.0s, no answer within 2.0s: its executor does not poll it",
    );
    header(
        asked(
            task(1, "app::work").never_polled().old(0.5),
            TraceError::NeverPolled,
        ),
        "task 1 app::work, never polled, age 500ms",
    );
}
