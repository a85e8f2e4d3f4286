//! Dumps that are made up, and what they look like.

use std::fmt::Write as _;
use std::panic::Location;
use std::time::{Duration, Instant};

use crate::dump::sample::{dump, id, secs, stall, task};
use crate::dump::{Dump, Source, Stall, TaskDump};
use crate::task::{NoAnswer, TraceError};
use crate::trace::{Frame, LineIs, Missing, Notes, Trace, Wait};

#[track_caller]
fn check(text: impl ToString, expected: &[&str]) {
    let text = text.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines, expected, "\n{text}");
}

/// The line that a task says it was spawned at, and how that is shown.
fn spawn_site() -> (&'static Location<'static>, String) {
    let here = Location::caller();
    let shown = format!("{}:{}:{}", here.file(), here.line(), here.column());
    (here, shown)
}

/// Runs where a frame for each task or each frame of a trace would not fit.
fn on_a_small_stack(test: fn()) {
    let builder = std::thread::Builder::new().stack_size(128 * 1024);
    let thread = builder.spawn(test).expect("a thread can be spawned");
    thread.join().expect("it fits");
}

mod counts {
    use super::*;

    #[track_caller]
    fn check(dump: &Dump, expected: &str) {
        let text = dump.to_string();
        assert_eq!(text.lines().next(), Some(expected));
    }

    fn tasks(count: u64, like: fn(TaskDump) -> TaskDump, from: u64) -> Vec<TaskDump> {
        (from..from + count)
            .map(|id| like(task(id, "app::work")))
            .collect()
    }

    #[test]
    fn of_all_states_that_there_are() {
        let mut all = tasks(38, |task| task, 1);
        all.extend(tasks(1, |task| task.running_for(0.001), 39));
        all.extend(tasks(2, TaskDump::never_polled, 40));
        check(
            &Dump::new(all.clone(), Some(12)),
            "41 tasks: 38 suspended, 1 running, 2 never polled; 12 more tokio tasks on this runtime are not traced",
        );
        all.extend(tasks(3, TaskDump::woken, 42));
        all.extend(tasks(4, TaskDump::finished, 45));
        check(
            &Dump::new(all, None),
            "48 tasks: 38 suspended, 1 running, 2 never polled, 3 woken but not yet polled, 4 finished",
        );
    }

    #[test]
    fn untraced_tasks_of_several_runtimes_are_printed() {
        use crate::dump::UntracedTasks;

        let untraced = |first: u64, count| UntracedTasks::new(Some(id(first)), count);
        let main = || dump([task(1, "app::main")]);
        let two = main().with_untraced_tasks(vec![untraced(1, 5), untraced(9, 1)]);
        check(
            &two,
            "1 task: 1 suspended; 5 more tokio tasks on the runtime of task 1 are not traced; 1 more tokio task on the runtime of task 9 is not traced",
        );
        let text = two.to_string();
        assert_eq!(
            text.lines().nth(1),
            Some(
                "to see them: `tasktrace::spawn` instead of `tokio::spawn`, or `#[traced]` on their function"
            )
        );
        let many = (1..=9).map(|first| untraced(first, 2)).collect();
        let many = main().with_untraced_tasks(many).to_string();
        let first = many.lines().next().unwrap_or_default();
        assert!(
            first.ends_with("on the runtime of task 5 are not traced; 8 more on 4 other runtimes")
        );
    }

    #[test]
    fn one_and_none() {
        check(
            &Dump::new(vec![task(1, "app::main")], Some(0)),
            "1 task: 1 suspended",
        );
        check(
            &Dump::new(vec![task(1, "app::main")], Some(1)),
            "1 task: 1 suspended; 1 more tokio task on this runtime is not traced",
        );
        check(&dump([]), "no traced tasks");
        check(
            &Dump::new(Vec::new(), Some(1)),
            "no traced tasks; 1 tokio task on this runtime is not traced",
        );
    }
}

mod headers {
    use super::*;

    #[test]
    fn all_that_is_known() {
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

    #[track_caller]
    fn header(task: TaskDump, expected: &str) {
        let text = dump([task]).to_string();
        assert_eq!(text.lines().last(), Some(expected), "\n{text}");
    }

    #[test]
    fn each_state() {
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
        // Its last poll was 0.5s ago, and does not say when it was woken.
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
    fn a_thread_without_a_name() {
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
    fn why_there_is_no_capture() {
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
}

mod ended {
    use super::*;
    use crate::dump::EndedTask;

    #[test]
    fn panicked_tasks_come_before_dropped_ones() {
        let ended = vec![
            EndedTask::sample(31, None),
            EndedTask::sample(30, Some("lost\x1b[31m\nforged")),
        ];
        let dump = dump([]).with_ended(ended);
        let taken = std::time::SystemTime::UNIX_EPOCH + secs(1_700_000_002.0);
        check(
            dump.taken_at(taken),
            &[
                "no traced tasks",
                "",
                "ended before their time:",
                "  task 30 app::work \"conn 1\" panicked 2.0s ago at src/worker.rs:20:9: \"lost\\u{1b}[31m\\nforged\", spawned by task 1",
                "  task 31 app::work \"conn 1\" was dropped 2.0s ago, spawned by task 1",
            ],
        );
    }
}

mod trees {
    use super::*;

    /// A future that is held while another is awaited, which wants what the first one has.
    fn futurelock() -> [Frame; 1] {
        [Frame::sample("app::serve", 10).aged(9.0).with_children([
            Frame::sample("app::store", 20)
                .aged(8.0)
                .with_line(LineIs::Definition)
                .with_children([Frame::sample("shard", 12).with_line(LineIs::Creation)])
                .held(5.0),
            Frame::sample("app::load", 30)
                .with_label("key")
                .aged(7.0)
                .with_children([Frame::sample("tokio::sync::Mutex::lock", 455)]),
        ])]
    }

    #[test]
    fn what_is_held_is_said_to_be() {
        check(
            dump([task(1, "app::serve").at(futurelock())]),
            &[
                "1 task: 1 suspended",
                "! holding a future without polling it for 1s or longer: task 1",
                "",
                "! task 1 app::serve, suspended 500ms, 41 polls, age 15.0s",
                "  ╼ app::serve at src/main.rs:10:5 (9.0s)",
                "   ├╼ app::store (fn at src/main.rs:20) (8.0s): held, but not polled for 5.0s: its task polls something else",
                "   │  └╼ shard (made at src/main.rs:12)",
                "   └╼ app::load \"key\" at src/main.rs:30:5 (7.0s)",
                "      └╼ tokio::sync::Mutex::lock at src/main.rs:455:5",
            ],
        );
    }

    #[test]
    fn a_trace_alone_tells_no_ages_but_of_what_is_held() {
        check(
            Trace::sample(futurelock().into()),
            &[
                "╼ app::serve at src/main.rs:10:5",
                " ├╼ app::store (fn at src/main.rs:20): held, but not polled for 5.0s: its task polls something else",
                " │  └╼ shard (made at src/main.rs:12)",
                " └╼ app::load \"key\" at src/main.rs:30:5",
                "    └╼ tokio::sync::Mutex::lock at src/main.rs:455:5",
            ],
        );
    }

    #[test]
    fn what_a_select_holds_for_a_moment_is_nothing_to_worry_about() {
        let held = Frame::sample("app::store", 20).held(0.2);
        check(
            dump([task(1, "app::serve").at([held])]),
            &[
                "1 task: 1 suspended",
                "",
                "task 1 app::serve, suspended 500ms, 41 polls, age 15.0s",
                "  ╼ app::store at src/main.rs:20:5: held, but not polled for 200ms: its task polls something else",
            ],
        );
    }

    #[test]
    fn a_run_of_one_function_counts_for_the_frames_below() {
        let mut frame = Frame::sample("app::end", 20).aged(1.0);
        for age in 2..12 {
            frame = Frame::sample("app::again", 10)
                .aged(f64::from(age))
                .with_children([frame]);
        }
        check(
            dump([task(1, "app::again").at([frame])]),
            &[
                "1 task: 1 suspended",
                "",
                "task 1 app::again, suspended 500ms, 41 polls, age 15.0s",
                "  ╼ app::again at src/main.rs:10:5 (11.0s)",
                "   └╼ … 9 more calls of the same function, one in the other",
                "      └╼ app::end at src/main.rs:20:5 (1.0s)",
            ],
        );
    }

    #[test]
    fn what_a_program_lacks_is_said_once() {
        let lacking = |number| {
            let mut task = task(number, "app::work");
            let notes = Notes {
                missing: Some(Missing::DebugInfo),
                dropped: 2,
                elsewhere: 0,
            };
            task.trace =
                Trace::sample_with_notes(vec![Frame::sample("app::work", number as u32)], notes);
            task
        };
        let text = dump([lacking(1), lacking(2)]).to_string();
        assert_eq!(
            text.matches("without debug information").count(),
            1,
            "\n{text}"
        );
        assert_eq!(
            text.matches("2 more leaves were not recorded").count(),
            2,
            "\n{text}"
        );
        let last = text.lines().last();
        assert!(
            last.is_some_and(|line| line.starts_with("note: ")),
            "\n{text}"
        );
    }

    #[test]
    fn awaited_tasks() {
        check(
            dump([
                task(1, "app::main")
                    .awaiting([2, 9])
                    .at([Frame::sample("app::main", 10)]),
                task(2, "app::work").running_for(0.5),
            ]),
            &[
                "2 tasks: 1 suspended, 1 running",
                "",
                "task 2 app::work, running 500ms on tokio-rt-worker (thread 4711), 41 polls, age 15.0s",
                "",
                "task 1 app::main, suspended 500ms, 41 polls, age 15.0s",
                "  ╼ app::main at src/main.rs:10:5",
                "  awaits task 2 app::work, running 500ms on tokio-rt-worker (thread 4711)",
                "  awaits task 9, which is not in this dump",
            ],
        );
    }
}

mod folds {
    use super::*;

    /// What handles one of many requests.
    fn request(number: u32) -> Frame {
        Frame::sample("app::handle", 20)
            .with_label(&format!("req {number}"))
            .aged(f64::from(number))
            .with_children([Frame::sample("app::query", 30)
                .aged(0.5)
                .with_children([Frame::sample("tokio::sync::Semaphore::acquire", 40)])])
    }

    fn serve(requests: impl Iterator<Item = Frame>) -> Frame {
        let mut serve = Frame::sample("app::serve", 10).with_children([]);
        serve.add_children(requests);
        serve
    }

    #[track_caller]
    fn tree(dump: impl ToString, expected: &[&str]) {
        let text = dump.to_string();
        let lines = text.lines().skip_while(|line| !line.contains('╼'));
        check(lines.collect::<Vec<_>>().join("\n"), expected);
    }

    #[test]
    fn many_that_are_alike() {
        let dump = dump([task(1, "app::serve").at([serve((1..=9).map(request))])]);
        tree(
            &dump,
            &[
                "  ╼ app::serve at src/main.rs:10:5",
                "   └╼ app::handle \"req 1\", \"req 2\", \"req 3\" and 6 more at src/main.rs:20:5 (1.0s to 9.0s) (×9)",
                "      └╼ app::query at src/main.rs:30:5 (500ms)",
                "         └╼ tokio::sync::Semaphore::acquire at src/main.rs:40:5",
            ],
        );
        let count = |text: String| text.matches("app::handle").count();
        assert_eq!(count(format!("{dump:#}")), 9);
        let trace = dump.get(id(1)).map(|task| task.trace());
        assert_eq!(trace.map(|trace| count(trace.to_string())), Some(9));
    }

    #[test]
    fn few_are_told_one_by_one() {
        let dump = dump([task(1, "app::serve").at([serve((1..=5).map(request))])]);
        assert_eq!(
            dump.to_string().matches("app::handle").count(),
            5,
            "\n{dump}"
        );
    }

    #[test]
    fn others_between_them_stay_where_they_are() {
        let other = |number: u32| {
            let handle = Frame::sample("app::handle", 20).with_label(&format!("req {number}"));
            handle
                .aged(1.0)
                .with_children([Frame::sample("tokio::time::sleep", 50)])
        };
        let requests = (1..=12).map(|number| match number {
            3 => other(number),
            _ => request(number),
        });
        let logger = Frame::sample("app::log", 99);
        tree(
            dump([task(1, "app::serve").at([serve(requests.chain([logger]))])]),
            &[
                "  ╼ app::serve at src/main.rs:10:5",
                "   ├╼ app::handle \"req 1\", \"req 2\", \"req 4\" and 8 more at src/main.rs:20:5 (1.0s to 12.0s) (×11)",
                "   │  └╼ app::query at src/main.rs:30:5 (500ms)",
                "   │     └╼ tokio::sync::Semaphore::acquire at src/main.rs:40:5",
                "   ├╼ app::handle \"req 3\" at src/main.rs:20:5 (1.0s)",
                "   │  └╼ tokio::time::sleep at src/main.rs:50:5",
                "   └╼ app::log at src/main.rs:99:5",
            ],
        );
    }

    #[test]
    fn in_folds_and_in_groups() {
        let outer = |number: u32| {
            let requests = (1..=6).map(|request_number| request(number * 100 + request_number));
            serve(requests)
                .with_label(&format!("shard {number}"))
                .aged(7.0)
        };
        let root = |from: u32| {
            let mut root = Frame::sample("app::main", 1).with_children([]);
            root.add_children((from..from + 6).map(outer));
            root
        };
        tree(
            dump([
                task(1, "app::main").at([root(1)]),
                task(2, "app::main").at([root(7)]),
            ]),
            &[
                "  ╼ app::main at src/main.rs:1:5",
                "   └╼ app::serve \"shard 1\", \"shard 2\", \"shard 3\" and 3 more at src/main.rs:10:5 (7.0s) (×6)",
                "      └╼ app::handle \"req 101\", \"req 102\", \"req 103\" and 3 more at src/main.rs:20:5 (1m41s to 20m06s) (×6)",
                "         └╼ app::query at src/main.rs:30:5 (500ms)",
                "            └╼ tokio::sync::Semaphore::acquire at src/main.rs:40:5",
            ],
        );
    }

    #[test]
    fn leaves_count_as_often_as_there_are() {
        let leaves = (1..=6).map(|number| {
            let leaf = Frame::sample("app::leaf", 20).with_label(&format!("{number}"));
            leaf.times(2)
        });
        tree(
            dump([task(1, "app::serve").at([serve(leaves)])]),
            &[
                "  ╼ app::serve at src/main.rs:10:5",
                "   └╼ app::leaf \"1\", \"2\", \"3\" and 3 more at src/main.rs:20:5 (×12)",
            ],
        );
    }

    #[test]
    fn very_many_in_time() {
        on_a_small_stack(|| {
            let start = Instant::now();
            let dump = dump([task(1, "app::serve").at([serve((1..=100_000).map(request))])]);
            assert_eq!(dump.to_string().lines().count(), 7, "\n{dump}");
            assert!(start.elapsed() < Duration::from_secs(60));
        });
    }
}

mod groups {
    use super::*;

    /// A connection that is read from.
    fn conn(number: u64, idle: f64) -> TaskDump {
        let label = format!("conn 10.0.0.{number}");
        let read = Frame::sample("app::read", 20)
            .aged(idle)
            .with_children([Frame::sample("tokio::net::TcpStream::read", 30)]);
        let serve = Frame::sample("app::serve", 10)
            .with_label(&label)
            .aged(idle + 1.0);
        let mut conn = task(number, "app::serve")
            .with_label(&label)
            .suspended_for(idle)
            .old(idle + 2.0)
            .at([serve.with_children([read])]);
        conn.polls = number;
        conn
    }

    #[test]
    fn tell_ranges_and_the_longest() {
        let (place, shown) = spawn_site();
        let conns = (1..=7).map(|number| {
            let mut conn = conn(number, 2.0 * number as f64);
            conn.spawned_at = Some(place);
            conn.parent = Some(id(number / 4 + 100));
            conn
        });
        let header = format!(
            "7 tasks app::serve, suspended 2.0s to 14.0s, 1 to 7 polls, age 4.0s to 16.0s, spawned at {shown} by 2 tasks"
        );
        check(
            dump(conns),
            &[
                "7 tasks: 7 suspended",
                "",
                &header,
                "  the longest: task 7 \"conn 10.0.0.7\" 14.0s, task 6 \"conn 10.0.0.6\" 12.0s, task 5 \"conn 10.0.0.5\" 10.0s, task 4 \"conn 10.0.0.4\" 8.0s, task 3 \"conn 10.0.0.3\" 6.0s and 2 more",
                "  ╼ app::serve \"conn 10.0.0.7\" and others at src/main.rs:10:5 (3.0s to 15.0s)",
                "   └╼ app::read at src/main.rs:20:5 (2.0s to 14.0s)",
                "      └╼ tokio::net::TcpStream::read at src/main.rs:30:5",
            ],
        );
    }

    #[test]
    fn of_each_state() {
        let two = |like: fn(TaskDump) -> TaskDump| {
            let text = dump([like(task(1, "w")), like(task(2, "w"))]).to_string();
            let group: Vec<String> = text.lines().map(str::to_owned).skip(1).collect();
            group
        };
        assert_eq!(
            two(TaskDump::finished),
            [
                "",
                "2 tasks w, finished, 41 polls, age 15.0s",
                "  task 1, task 2"
            ]
        );
        assert_eq!(
            two(|task| task.never_polled().old(0.5)),
            [
                "",
                "2 tasks w, never polled, age 500ms",
                "  the longest: task 1 500ms, task 2 500ms"
            ]
        );
        assert_eq!(
            two(|task| TaskDump {
                polls: 1,
                last_polled: None,
                ..task.woken()
            }),
            [
                "",
                "2 tasks w, woken, but not polled yet, 1 poll, age 15.0s",
                "  task 1, task 2"
            ]
        );
        assert_eq!(
            two(|task| task.running_for(0.1)),
            [
                "",
                "2 tasks w, running 100ms, 41 polls, age 15.0s",
                "  the longest: task 1 100ms on tokio-rt-worker (thread 4711), task 2 100ms on tokio-rt-worker (thread 4711)",
            ]
        );
    }

    #[test]
    fn tell_what_their_members_await() {
        let text = |awaited: [u64; 7]| {
            let tasks = (1..).zip(awaited);
            let dump = dump(tasks.map(|(number, awaited)| task(number, "w").awaiting([awaited])));
            dump.to_string().lines().last().map(str::to_owned)
        };
        let different = text([11, 12, 13, 14, 15, 16, 17]);
        let line = "  they await tasks 11, 12, 13, 14, 15 and 2 more";
        assert_eq!(different.as_deref(), Some(line));
        assert_eq!(text([9; 7]).as_deref(), Some("  all await task 9"));
    }

    #[test]
    fn are_of_those_that_gave_no_answer_for_the_same_reason() {
        let asked = |number, waited, reason| {
            let waited = secs(waited);
            let error = Some(TraceError::NoAnswer { waited, reason });
            TaskDump {
                source: Source::Snapshot { error },
                ..task(number, "w")
            }
        };
        let dump = dump([
            asked(1, 2.0, NoAnswer::Running),
            asked(2, 1.9, NoAnswer::Running),
            asked(3, 2.0, NoAnswer::NotPolled),
            task(4, "w"),
        ]);
        assert_eq!(headers(&dump), ["2 tasks w", "task 3 w", "task 4 w"]);
    }

    #[test]
    fn in_detail_there_are_none() {
        let text = format!("{:#}", dump([conn(1, 1.0), conn(2, 2.0)]));
        check(
            text,
            &[
                "2 tasks: 2 suspended",
                "",
                "task 1 app::serve \"conn 10.0.0.1\", suspended 1.0s, 1 poll, age 3.0s",
                "  ╼ app::serve \"conn 10.0.0.1\" at src/main.rs:10:5 (2.0s)",
                "   └╼ app::read at src/main.rs:20:5 (1.0s)",
                "      └╼ tokio::net::TcpStream::read at src/main.rs:30:5",
                "",
                "task 2 app::serve \"conn 10.0.0.2\", suspended 2.0s, 2 polls, age 4.0s",
                "  ╼ app::serve \"conn 10.0.0.2\" at src/main.rs:10:5 (3.0s)",
                "   └╼ app::read at src/main.rs:20:5 (2.0s)",
                "      └╼ tokio::net::TcpStream::read at src/main.rs:30:5",
            ],
        );
    }

    fn headers(dump: &Dump) -> Vec<String> {
        let text = dump.to_string();
        let headers = text.split("\n\n").skip(1);
        let words = headers.map(|group| group.split(',').next().unwrap_or_default().to_owned());
        words.collect()
    }

    #[test]
    fn are_of_what_is_the_same_but_for_labels_and_times() {
        let at = |number, name: &str, frame| task(number, name).at([frame]);
        let dump = dump([
            at(1, "a", Frame::sample("f", 1)),
            at(2, "a", Frame::sample("f", 1).aged(2.0).with_label("two")),
            at(3, "a", Frame::sample("f", 2)),
            at(4, "a", Frame::sample("f", 1).times(2)),
            at(5, "a", Frame::sample("f", 1).waiting(Wait::Yielded)),
            at(6, "a", Frame::sample("f", 1)).running_for(0.1),
            at(7, "b", Frame::sample("f", 1)),
            at(
                8,
                "a",
                Frame::sample("f", 1).with_children([Frame::sample("g", 1)]),
            ),
            at(
                9,
                "a",
                Frame::sample("f", 1).with_children([Frame::sample("g", 1)]),
            ),
        ]);
        assert_eq!(
            headers(&dump),
            [
                "task 6 a",
                "2 tasks a",
                "2 tasks a",
                "task 3 a",
                "task 4 a",
                "task 5 a",
                "task 7 b"
            ],
            "\n{dump}"
        );
    }

    #[test]
    fn of_another_shape_are_others() {
        let leaf = |name| Frame::sample(name, 1);
        let nested = leaf("f").with_children([leaf("g").with_children([leaf("h")])]);
        let flat = leaf("f").with_children([leaf("g"), leaf("h")]);
        assert_eq!(
            headers(&dump([task(1, "a").at([nested]), task(2, "a").at([flat])])).len(),
            2
        );
    }

    #[test]
    fn come_by_urgency_and_by_size() {
        let stuck = Frame::sample("f", 1).waiting(Wait::NoWaker);
        let dump = dump([
            task(1, "main").suspended_for(3600.0),
            task(2, "small"),
            task(3, "large"),
            task(4, "large"),
            task(5, "done").finished(),
            task(6, "new").never_polled().old(0.1),
            task(7, "late").never_polled().old(3.0),
            task(8, "running").running_for(0.1),
            task(9, "holding").at([Frame::sample("f", 1).held(3.0)]),
            task(10, "stuck").at([stuck]),
            task(11, "blocking").running_for(3.0),
            task(12, "itself").awaiting([12]),
        ]);
        assert_eq!(
            headers(&dump),
            [
                "! task 12 itself",
                "! task 11 blocking",
                "! task 9 holding",
                "! task 7 late",
                "! task 10 stuck",
                "task 8 running",
                "task 6 new",
                "2 tasks large",
                "task 1 main",
                "task 2 small",
                "task 5 done",
            ],
            "\n{dump}"
        );
    }

    /// To be woken for a dump says nothing of an executor, unless that had the time to poll the task.
    #[test]
    fn a_task_is_starved_only_if_that_is_proven() {
        let lock = |number, name| waiting(number, name, "tokio::sync::Mutex::lock", 60.0);
        let proven = || waiting(1, "proven", "tokio::time::sleep", 60.0).unpolled_for(2.0, true);
        let late = || waiting(2, "late", "tokio::time::sleep", 60.0).unpolled_for(2.0, false);
        let just_now = || waiting(3, "now", "tokio::time::sleep", 60.0).unpolled_for(0.1, true);
        let text = dump([late(), proven(), just_now(), lock(4, "a"), lock(5, "b")]).to_string();
        let findings: Vec<&str> = text.lines().skip(1).take(3).collect();
        assert_eq!(
            findings,
            [
                "! ready, but not polled by the executor for 1s or longer: task 1",
                "! waiting for locks while none of them goes on, a deadlock if each holds what another waits for, \
                 for 1s or longer: tasks 4, 5",
                "! ready, and not polled since, for 1s or longer: task 2",
            ],
            "{text}"
        );
        assert!(text.contains("\ntask 3 now, suspended"), "{text}");
        // A thread in a long poll explains it.
        let text = dump([proven(), late(), task(6, "blocks").running_for(5.0)]).to_string();
        assert!(text.contains("blocking a thread"), "{text}");
        assert!(!text.contains("ready"), "{text}");
    }

    fn waiting(number: u64, name: &str, resource: &str, time: f64) -> TaskDump {
        let resource = Frame::sample(resource, 99).into_resource();
        let tree = Frame::sample(name, 10).with_children([resource]);
        task(number, name).suspended_for(time).at([tree])
    }

    #[test]
    fn an_idle_task_is_not_marked_and_comes_after_a_lock() {
        let hour = 3600.0;
        let dump = dump([
            waiting(1, "main", "tokio::signal::ctrl_c", hour),
            waiting(2, "serve", "tokio::net::TcpListener::accept", hour),
            waiting(3, "ticks", "tokio::time::Interval::tick", hour),
            waiting(4, "reads", "tokio::net::TcpStream::read", hour),
            waiting(5, "actor", "tokio::sync::mpsc::Receiver::recv", hour),
            waiting(6, "locks", "tokio::sync::Mutex::lock", 0.5),
        ]);
        assert_eq!(
            headers(&dump),
            [
                "task 6 locks",
                "task 5 actor",
                "task 4 reads",
                "task 3 ticks",
                "task 1 main",
                "task 2 serve"
            ],
            "\n{dump}"
        );
        assert_eq!(dump.to_string().lines().nth(1), Some(""), "\n{dump}");
    }

    #[test]
    fn several_that_wait_for_locks_are_likely_to_be_stuck() {
        let lock = "tokio::sync::Mutex::lock";
        let both = dump([
            waiting(1, "one", lock, 3.0),
            waiting(2, "two", lock, 2.0),
            waiting(3, "serve", "tokio::net::TcpListener::accept", 60.0),
        ]);
        assert_eq!(
            headers(&both),
            ["! task 1 one", "! task 2 two", "task 3 serve"]
        );
        assert_eq!(
            both.to_string().lines().nth(1),
            Some(
                "! waiting for locks while none of them goes on, a deadlock if each holds what \
                 another waits for, for 1s or longer: tasks 1, 2"
            )
        );
        // One of them has come lately, so the lock may be handed on.
        let handed_on = dump([waiting(1, "one", lock, 3.0), waiting(2, "two", lock, 0.1)]);
        assert_eq!(headers(&handed_on), ["task 1 one", "task 2 two"]);
        let for_long = dump([
            waiting(1, "one", lock, 12.0),
            waiting(2, "two", lock, 11.0),
            waiting(3, "three", lock, 0.1),
        ]);
        assert_eq!(
            headers(&for_long),
            ["! task 1 one", "! task 2 two", "task 3 three"]
        );
        // Alone it may just have to wait.
        let alone = |time| dump([waiting(1, "one", lock, time)]);
        assert_eq!(headers(&alone(3.0)), ["task 1 one"]);
        assert_eq!(headers(&alone(10.0)), ["! task 1 one"]);
    }

    #[test]
    fn a_header_says_that_a_task_computes_or_spins() {
        let busy = Frame::sample("busy", 10).waiting(Wait::Running);
        let spins = Frame::sample("spins", 10).waiting(Wait::Yielded);
        let dump = dump([
            task(1, "busy").running_for(3.0).computing(true).at([busy]),
            task(2, "spins").polled_per_second(1_200_000).at([spins]),
        ]);
        let text = dump.to_string();
        for line in [
            "! computing without yielding, in a single poll, for 1s or longer: task 1",
            "! spinning: woken again by themselves all the time: task 2",
        ] {
            assert!(text.lines().any(|it| it == line), "{text}");
        }
        assert!(
            text.contains(", computes without yielding, 41 polls"),
            "{text}"
        );
        assert!(
            text.contains(", spins: 1200000 polls a second, 41 polls"),
            "{text}"
        );
    }

    #[test]
    fn are_found_among_many_in_time() {
        on_a_small_stack(|| {
            const MANY: u64 = 100_000;
            let like = dump((1..=MANY).map(|number| conn(number, 1.0)));
            let other = dump((1..=MANY).map(|number| {
                task(number, "app::serve").at([Frame::sample("app::serve", number as u32)])
            }));
            // Minutes, if every task were compared with every other.
            let start = Instant::now();
            assert_eq!(headers(&like), ["100000 tasks app::serve"]);
            assert_eq!(headers(&other).len() as u64, MANY);
            assert!(start.elapsed() < Duration::from_secs(60));
        });
    }
}

mod forests {
    use super::*;

    #[test]
    fn each_task_is_at_its_place_once() {
        let at = |task: TaskDump, line| task.at([Frame::sample("app::work", line)]);
        let dump = dump([
            at(task(1, "app::main"), 1).awaiting([2, 3]),
            at(task(2, "app::two"), 2).awaiting([4, 99]),
            at(task(3, "app::three"), 3).awaiting([4]),
            at(task(4, "app::four"), 4).suspended_for(12.0),
            at(task(5, "app::alone"), 5),
            at(task(6, "app::alone"), 5),
        ]);
        check(
            dump.by_awaiter(),
            &[
                "6 tasks: 6 suspended",
                "",
                "task 1 app::main, suspended 500ms, 41 polls, age 15.0s",
                "│  ╼ app::work at src/main.rs:1:5",
                "├─ awaits task 2 app::two, suspended 500ms, 41 polls, age 15.0s",
                "│  │  ╼ app::work at src/main.rs:2:5",
                "│  ├─ awaits task 4 app::four, suspended 12.0s, 41 polls, age 15.0s",
                "│  │     ╼ app::work at src/main.rs:4:5",
                "│  └─ awaits task 99, which is not in this dump",
                "└─ awaits task 3 app::three, suspended 500ms, 41 polls, age 15.0s",
                "   │  ╼ app::work at src/main.rs:3:5",
                "   └─ awaits task 4 app::four, shown above",
                "",
                "2 tasks app::alone, suspended 500ms, 41 polls, age 15.0s",
                "  the longest: task 5 500ms, task 6 500ms",
                "  ╼ app::work at src/main.rs:5:5",
            ],
        );
    }

    #[test]
    fn cycles_are_said_in_words() {
        let join = || Frame::sample("app::join", 1);
        let ring = |other: TaskDump| {
            dump([
                task(3, "app::three").awaiting([5]).at([join()]),
                other.awaiting([3]),
            ])
        };
        let text = [
            "2 tasks: 2 suspended",
            "! task 3 → task 5 → task 3: a cycle: none of them can go on",
            "",
            "! task 3 app::three, suspended 500ms, 41 polls, age 15.0s",
            "│  ╼ app::join at src/main.rs:1:5",
            "└─ ! awaits task 5 app::five, suspended 500ms, 41 polls, age 15.0s",
            "   │  ╼ app::join at src/main.rs:1:5",
            "   └─ awaits task 3 app::three, shown above: a cycle",
        ];
        check(ring(task(5, "app::five").at([join()])).by_awaiter(), &text);

        let select = join().with_children([Frame::sample("one", 1), Frame::sample("other", 2)]);
        let may_go_on = ring(task(5, "app::five").at([select])).to_string();
        let line = "! task 3 → task 5 → task 3: a cycle: none of them can go on, unless one of them also waits for something else";
        assert_eq!(may_go_on.lines().nth(1), Some(line));
    }

    #[test]
    fn long_rings_and_many_of_them_are_told_in_part() {
        let ring = dump((1..=10).map(|number| task(number, "ring").awaiting([number % 10 + 1])));
        assert!(
            ring.to_string()
                .contains("→ task 8 → 2 more → task 1: a cycle"),
            "\n{ring}"
        );

        let rings = dump((1..=5).map(|number| task(number, "ring").awaiting([number])));
        assert!(
            rings.to_string().contains("\n! 2 more cycles\n"),
            "\n{rings}"
        );
    }

    #[test]
    fn tasks_that_await_one_another_in_a_row() {
        on_a_small_stack(|| {
            const MANY: u64 = 10_000;
            let row = dump((1..=MANY).map(|number| task(number, "row").awaiting([number + 1])));
            let text = row.by_awaiter().to_string();
            assert_eq!(text.matches("awaits task").count() as u64, MANY);
            assert!(text.contains("(depth 9999) awaits task 10000 row, "));
            // Linear: lines are only indented so far.
            assert!(text.len() < 300 * MANY as usize, "{}", text.len());
        });
    }
}

#[test]
fn colour_is_all_that_ansi_adds() {
    let dump = dump([
        task(1, "app::main")
            .suspended_for(100.0)
            .at([Frame::sample("f", 1).with_children([Frame::sample("g", 2).held(3.0)])]),
        task(2, "app::other"),
    ]);
    let coloured = dump.ansi().to_string();
    assert!(
        coloured.contains("\x1b[1mtask 2 app::other\x1b[0m, "),
        "{coloured}"
    );
    let mut plain = String::new();
    for (at, part) in coloured.split("\x1b[").enumerate() {
        let text = part.split_once('m').map_or(part, |(_, text)| text);
        let text = if at == 0 { part } else { text };
        plain.write_str(text).expect("strings take everything");
    }
    assert_eq!(plain, dump.to_string());
    assert!(!plain.contains('\x1b'));
}

#[test]
fn deep_and_wide_trees() {
    on_a_small_stack(|| {
        let mut deep = Frame::sample("leaf", 1);
        for line in 0..10_000 {
            deep = Frame::sample("deep", line).aged(1.0).with_children([deep]);
        }
        let mut wide = Frame::sample("wide", 1).with_children([]);
        wide.add_children((0..10_000).map(|line| Frame::sample("leaf", line)));
        let dump = dump([task(1, "deep").at([deep]), task(2, "wide").at([wide])]);
        let text = dump.to_string();
        assert_eq!(text.lines().count(), 10_001 + 10_001 + 5);
        assert_eq!(format!("{dump:#}"), text);
        assert_eq!(dump.by_awaiter().to_string(), text);
    });
}

mod stalls {
    use super::*;

    fn frames() -> [Frame; 1] {
        [Frame::sample("app::worker", 20)
            .aged(3.0)
            .with_children([Frame::sample("app::parse", 10)])]
    }

    fn worker() -> TaskDump {
        task(7, "app::worker").with_label("conn 1").at(frames())
    }

    const TREE: [&str; 2] = [
        "  ╼ app::worker at src/main.rs:20:5 (3.0s)",
        "   └╼ app::parse at src/main.rs:10:5",
    ];

    #[track_caller]
    fn check(report: impl ToString, verdict: &str) {
        super::check(report, &[verdict, TREE[0], TREE[1]]);
    }

    #[test]
    fn a_poll_that_does_not_end() {
        let blocked = stall(Stall::Blocked, 1.25, 1.0, worker().running_for(1.25));
        check(
            &blocked,
            "task 7 app::worker \"conn 1\" has blocked tokio-rt-worker (thread 4711) for 1.2s, in a single poll: app::parse at src/main.rs:10:5",
        );
        check(
            blocked.ended(3.4),
            "task 7 app::worker \"conn 1\" no longer blocks tokio-rt-worker (thread 4711): it did for 3.4s",
        );
    }

    #[test]
    fn where_a_poll_is_that_has_only_been_seen_from_outside() {
        let mut worker = worker().running_for(1.25);
        worker.source = Source::Snapshot { error: None };
        check(
            stall(Stall::Blocked, 1.25, 1.0, worker),
            "task 7 app::worker \"conn 1\" has blocked tokio-rt-worker (thread 4711) for 1.2s, in a single poll: app::worker at src/main.rs:20:5",
        );
    }

    #[test]
    fn a_poll_that_has_ended_when_it_was_looked_at() {
        check(
            stall(Stall::Blocked, 1.25, 1.0, worker()),
            "task 7 app::worker \"conn 1\" has blocked its thread for 1.2s, in a single poll: app::parse at src/main.rs:10:5",
        );
    }

    #[test]
    fn an_executor_that_does_not_poll() {
        let mut starved = stall(Stall::Starved, 5.0, 5.0, worker().woken());
        check(
            &starved,
            "task 7 app::worker \"conn 1\" is ready, but its executor has not polled it for 5.0s",
        );
        check(
            starved.clone().ended(7.1),
            "task 7 app::worker \"conn 1\" no longer waits to be polled: it did for 7.1s",
        );
        starved.blocked_by = Some(id(3));
        check(
            starved,
            "task 7 app::worker \"conn 1\" is ready, but its executor has not polled it for 5.0s: task 3 blocks the thread that polled it last",
        );
        let mut starved = stall(Stall::Starved, 5.0, 5.0, worker().woken());
        for (untraced, line) in [
            (
                1,
                "  1 tokio task on its runtime is not traced, and it may block its thread; ",
            ),
            (
                7,
                "  7 tokio tasks on its runtime are not traced, and one of them may block its thread; ",
            ),
        ] {
            starved.untraced = untraced;
            let text = starved.to_string();
            let last = text.lines().last().unwrap();
            assert!(
                last.starts_with(line) && last.ends_with(crate::render::untraced::ADVICE),
                "{text}"
            );
        }
        check(
            stall(Stall::Starved, 5.0, 5.0, worker().never_polled()),
            "task 7 app::worker \"conn 1\" was made 5.0s ago, but has never been polled",
        );
    }

    #[test]
    fn a_function_that_is_overdue() {
        let overdue = stall(Stall::Overdue, 6.0, 5.0, worker());
        let fetch = overdue.clone().of("app::fetch", Some("key"));
        check(
            &fetch,
            "a function of task 7 app::worker \"conn 1\" has been suspended for 6.0s, longer than its limit of 5s: app::fetch \"key\" (fn at src/fetch.rs:3)",
        );
        check(
            fetch.ended(8.0),
            "a function of task 7 app::worker \"conn 1\" is no longer suspended: it was for 8.0s: app::fetch \"key\" (fn at src/fetch.rs:3)",
        );
        check(
            overdue.of("app::worker", Some("conn 1")).of_task(),
            "task 7 app::worker \"conn 1\" has been suspended for 6.0s, longer than its limit of 5s: app::worker (fn at src/fetch.rs:3)",
        );
    }

    #[test]
    fn limits_are_written_as_they_are_given() {
        let text = stall(Stall::Overdue, 0.2, 0.15, worker()).to_string();
        assert!(text.contains("longer than the limit of 150ms: "), "{text}");
    }
}

#[test]
fn a_wait_for_a_handle_of_tokio_says_what_it_may_be() {
    let joins = |number| {
        let handle = Frame::sample("tokio::task::JoinHandle", 99).into_resource();
        task(number, "app::main").at([Frame::sample("app::main", 1).with_children([handle])])
    };
    let says = "a handle of tokio's: that of `spawn_blocking`, or of a task that `tasktrace::spawn` instead of \
                `tokio::spawn` would name";
    let line = |dump: &Dump| dump.to_string().lines().nth(1).map(str::to_owned);
    assert_eq!(
        line(&dump([joins(1)])),
        Some(format!("task 1 waits for {says}"))
    );
    let dump = dump([joins(1), joins(2), task(3, "app::other")]);
    assert_eq!(line(&dump), Some(format!("tasks 1, 2 wait for {says}")));
}
