use crate::Weight;
use crate::dump::TaskDump;
use crate::dump::fixture::{dump, task};
use crate::profile::Profile;
use crate::profile::fixture::profile;
use crate::trace::{Frame, Trace};

/// Gives a task a stack with a leaf. The fingerprints of made-up traces are all equal, so tasks of one name have one
/// stack.
fn at(task: TaskDump, leaf: &str) -> TaskDump {
    let leaf = Frame::sample(leaf, 2).with_label("one").aged(7.0);
    let root = Frame::sample(&task.name, 1).with_children([leaf]);
    TaskDump {
        trace: Trace::sample(vec![root]),
        ..task
    }
}

fn example() -> Profile {
    let worker = |number, time| at(task(number, "app::worker").suspended_for(time), "lock");
    let sample = |time| {
        dump([
            worker(1, time),
            worker(2, 0.25),
            at(task(3, "app::parse").running_for(time), "sleep"),
        ])
    };
    let last = dump([worker(1, 0.5), at(task(4, "app::new").never_polled(), "x")]);
    profile([sample(5.0), sample(6.0), sample(7.0), last])
}

#[test]
fn the_text_shows_the_longest_waits_first() {
    let expected = "\
8.0s waited by up to 3 tasks in 4.0s: 4 samples, 0.4% of a core
10 more samples were due, but skipped to save processor time: with so few samples the times are rough, so let the \
profile run longer

7.0s (87.5%) app::worker, suspended: 1.8 tasks on average
  ╼ app::worker at src/main.rs:1:5
   └╼ lock at src/main.rs:2:5

1.0s (12.5%) app::new, not polled yet: seen 1 time
  ╼ app::new at src/main.rs:1:5
   └╼ x at src/main.rs:2:5

app::parse, running: seen 3 times
  ╼ app::parse at src/main.rs:1:5
   └╼ sleep at src/main.rs:2:5";
    assert_eq!(example().to_string(), expected);
    let ansi = example().ansi().to_string();
    assert!(
        ansi.contains("\x1b[1m7.0s (87.5%) app::worker\x1b[0m"),
        "{ansi}"
    );
}

#[test]
fn folded_stacks_have_times_or_numbers_of_sightings() {
    let waited = "\
app::new;x;[not polled yet] 1000000
app::parse;sleep;[running] 0
app::worker;lock 7000000
";
    assert_eq!(example().folded(Weight::Waited).to_string(), waited);
    let seen = "\
app::new;x;[not polled yet] 1
app::parse;sleep;[running] 3
app::worker;lock 7
";
    assert_eq!(example().folded(Weight::Tasks).to_string(), seen);
}

#[test]
fn a_profile_without_samples_says_that_nothing_is_known() {
    assert_eq!(
        profile([]).to_string(),
        "no samples were taken in 0ns, 0.0% of a core\n\
         10 more samples were due, but skipped to save processor time: with so few samples the times are rough, so \
         let the profile run longer"
    );
    assert_eq!(profile([]).folded(Weight::Waited).to_string(), "");
}
