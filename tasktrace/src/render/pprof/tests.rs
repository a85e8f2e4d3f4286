//! Decodes written profiles, and checks that all references in them are valid.

use std::collections::{BTreeMap, HashSet};
use std::io::Read;

use flate2::read::GzDecoder;
use prost::Message;

use super::BATCH;
use super::message::{PprofProfile, PprofSample};
use crate::dump::fixture::{dump, task};
use crate::dump::{Dump, TaskDump};
use crate::trace::{Frame, Trace, Wait};

fn decode(written: &[u8]) -> PprofProfile {
    let mut bytes = Vec::new();
    let mut decoder = GzDecoder::new(written);
    decoder
        .read_to_end(&mut bytes)
        .expect("the profile is compressed");
    let profile = PprofProfile::decode(&*bytes).expect("the message is a profile");
    check(&profile);
    profile
}

/// Asserts the properties that readers demand.
fn check(profile: &PprofProfile) {
    assert_eq!(profile.string_table.first().map(String::as_str), Some(""));
    let texts: HashSet<&String> = profile.string_table.iter().collect();
    assert_eq!(
        texts.len(),
        profile.string_table.len(),
        "each text is written once"
    );
    let text = |at: i64| &profile.string_table[usize::try_from(at).expect("a position")];

    let mappings: HashSet<u64> = profile.mapping.iter().map(|it| it.id).collect();
    let functions: HashSet<u64> = profile.function.iter().map(|it| it.id).collect();
    let locations: HashSet<u64> = profile.location.iter().map(|it| it.id).collect();
    assert_eq!(functions.len(), profile.function.len());
    assert_eq!(locations.len(), profile.location.len());
    for ids in [&mappings, &functions, &locations] {
        assert!(!ids.contains(&0));
    }
    for function in &profile.function {
        assert!(!text(function.name).is_empty());
        text(function.system_name);
        text(function.filename);
    }
    for location in &profile.location {
        assert!(mappings.contains(&location.mapping_id));
        assert_eq!(location.line.len(), 1);
        assert!(functions.contains(&location.line[0].function_id));
    }
    for kind in profile.sample_type.iter().chain(&profile.period_type) {
        assert!(!text(kind.r#type).is_empty() && !text(kind.unit).is_empty());
    }
    for sample in &profile.sample {
        assert!(!sample.location_id.is_empty());
        assert!(sample.location_id.iter().all(|id| locations.contains(id)));
        assert_eq!(sample.value.len(), profile.sample_type.len());
        assert!(sample.value.iter().all(|value| *value >= 0));
        for label in &sample.label {
            assert!(!text(label.key).is_empty());
            assert!((label.str == 0) != (label.num == 0), "{label:?}");
            text(label.str);
        }
    }
    for comment in &profile.comment {
        assert!(!text(*comment).is_empty());
    }
    text(profile.default_sample_type);
}

fn profile(dump: &Dump) -> PprofProfile {
    let mut written = Vec::new();
    dump.write_pprof(&mut written)
        .expect("writing to a `Vec` cannot fail");
    decode(&written)
}

fn text(profile: &PprofProfile, at: i64) -> &str {
    &profile.string_table[usize::try_from(at).expect("a position")]
}

/// Returns the names of a stack with their lines, the leaf first.
fn stack(profile: &PprofProfile, sample: &PprofSample) -> Vec<String> {
    let locations = sample.location_id.iter();
    let lines = locations.map(|id| {
        let location = profile.location.iter().find(|it| it.id == *id);
        let line = location.expect("`check` found the reference").line[0];
        let function = profile.function.iter().find(|it| it.id == line.function_id);
        let function = function.expect("`check` found the reference");
        let name = text(profile, function.name);
        let file = text(profile, function.filename);
        format!("{name} {file}:{}:{}", line.line, line.column)
    });
    lines.collect()
}

fn labels<'a>(profile: &'a PprofProfile, sample: &PprofSample) -> BTreeMap<&'a str, String> {
    let labels = sample.label.iter();
    let labels = labels.map(|label| {
        let value = match label.num {
            0 => text(profile, label.str).to_owned(),
            num => num.to_string(),
        };
        (text(profile, label.key), value)
    });
    labels.collect()
}

fn waiting_in(number: u64, leaves: impl IntoIterator<Item = Frame>) -> TaskDump {
    let mut root = Frame::sample("app::serve", 7).with_children([]);
    root.add_children(leaves.into_iter());
    TaskDump {
        trace: Trace::sample(vec![root]),
        ..task(number, "app::serve").suspended_for(1.5)
    }
}

#[test]
fn a_task_with_one_path_is_one_sample() {
    let profile = profile(&dump([waiting_in(
        3,
        [Frame::sample("lock", 9).with_label("a")],
    )
    .with_label("conn 3")]));
    let [sample] = &profile.sample[..] else {
        panic!("{profile:?}");
    };
    assert_eq!(
        stack(&profile, sample),
        ["lock src/main.rs:9:5", "app::serve src/main.rs:7:5"]
    );
    assert_eq!(sample.value, [1, 1_500_000_000]);
    let labels = labels(&profile, sample);
    let expected = [
        ("label", "conn 3"),
        ("name", "app::serve"),
        ("state", "suspended"),
        ("task", "3"),
    ];
    assert_eq!(
        labels,
        expected.map(|(key, value)| (key, value.to_owned())).into()
    );
}

#[test]
fn a_dump_counts_tasks_and_nanoseconds_and_notes_untraced_tasks() {
    let profile = profile(&Dump::new(vec![task(1, "app::serve")], Some(12)));
    let types = profile.sample_type.iter();
    let types: Vec<_> = types
        .map(|it| (text(&profile, it.r#type), text(&profile, it.unit)))
        .collect();
    assert_eq!(types, [("tasks", "count"), ("waited", "nanoseconds")]);
    assert_eq!(text(&profile, profile.default_sample_type), "tasks");
    let comments: Vec<&str> = profile
        .comment
        .iter()
        .map(|at| text(&profile, *at))
        .collect();
    assert_eq!(
        comments,
        ["12 more tokio tasks on this runtime are not traced"]
    );
    assert!(profile.time_nanos > 0);
    // A task without frames has its name as its only location.
    assert_eq!(stack(&profile, &profile.sample[0]), ["app::serve :0:0"]);
}

#[test]
fn the_values_of_the_paths_add_up_to_the_tasks() {
    let all = (1..=5).map(|number| {
        let leaves = [Frame::sample("lock", 9), Frame::sample("sleep", 10)];
        waiting_in(number, leaves)
    });
    let profile = profile(&dump(all));
    assert_eq!(profile.sample.len(), 10);
    assert_eq!(profile.sample.iter().map(|it| it.value[0]).sum::<i64>(), 5);
    let waited: i64 = profile.sample.iter().map(|it| it.value[1]).sum();
    assert_eq!(waited, 5 * 1_500_000_000);
}

#[test]
fn unusual_waits_are_labels() {
    let waits = [
        (Wait::NoWaker, Some("no_waker")),
        (Wait::NotPolled, Some("not_polled")),
        (Wait::Yielded, Some("yielded")),
        (Wait::OutOfBudget, Some("out_of_budget")),
        (Wait::Registered, None),
        (Wait::Suspended, None),
        (Wait::Running, None),
    ];
    for (wait, word) in waits {
        let profile = profile(&dump([waiting_in(
            1,
            [Frame::sample("lock", 9).waiting(wait)],
        )]));
        let labels = labels(&profile, &profile.sample[0]);
        assert_eq!(labels.get("wait").map(String::as_str), word);
    }
}

#[test]
fn states_are_labels() {
    let profile = profile(&dump([
        task(1, "a").running_for(1.0),
        task(2, "b").never_polled(),
        task(3, "c").woken(),
        task(4, "d").finished(),
    ]));
    let states: Vec<String> = profile
        .sample
        .iter()
        .map(|sample| labels(&profile, sample)["state"].clone())
        .collect();
    assert_eq!(states, ["running", "never_polled", "woken", "finished"]);
}

/// The tasks are encoded in several batches.
#[test]
fn many_tasks_share_their_locations_and_functions() {
    let count = 3 * BATCH as u64 + 1;
    let all = (1..=count).map(|number| waiting_in(number, [Frame::sample("lock", 9)]));
    let profile = profile(&dump(all));
    assert_eq!(profile.sample.len() as u64, count);
    assert_eq!(profile.location.len(), 2);
    assert_eq!(profile.function.len(), 2);
}

#[test]
fn an_empty_dump_is_a_profile_without_samples() {
    let profile = profile(&dump([]));
    assert!(profile.sample.is_empty());
}

#[cfg(feature = "http")]
#[test]
fn the_empty_profile_of_go_has_the_types_of_memory() {
    let mut written = Vec::new();
    super::write_empty_go_pprof(&mut written).expect("writing to a `Vec` cannot fail");
    let profile = decode(&written);
    assert!(profile.sample.is_empty());
    let types = profile.sample_type.iter();
    let types: Vec<&str> = types.map(|it| text(&profile, it.r#type)).collect();
    assert_eq!(
        types,
        [
            "alloc_objects",
            "alloc_space",
            "inuse_objects",
            "inuse_space"
        ]
    );
}

#[test]
fn a_profile_counts_sightings_and_nanoseconds() {
    let sample = || dump([waiting_in(1, [Frame::sample("lock", 9)]).with_label("conn 3")]);
    let made = crate::profile::fixture::profile([sample(), sample()]);
    let mut written = Vec::new();
    made.write_pprof(&mut written)
        .expect("writing to a `Vec` cannot fail");
    let profile = decode(&written);
    let types = profile.sample_type.iter();
    let types: Vec<&str> = types.map(|it| text(&profile, it.r#type)).collect();
    assert_eq!(types, ["seen", "waited"]);
    assert_eq!(text(&profile, profile.default_sample_type), "waited");
    assert_eq!(profile.time_nanos, 1_700_000_000_000_000_000);
    assert_eq!(profile.duration_nanos, 2_000_000_000);
    assert_eq!(profile.period, 1_000_000_000);
    assert_eq!(profile.sample.len(), 1);
    assert_eq!(profile.sample[0].value, [2, 2_000_000_000]);
    let labels = labels(&profile, &profile.sample[0]);
    let expected = [("name", "app::serve"), ("state", "suspended")];
    assert_eq!(
        labels,
        expected.map(|(key, value)| (key, value.to_owned())).into()
    );
    let comments: Vec<&str> = profile
        .comment
        .iter()
        .map(|at| text(&profile, *at))
        .collect();
    assert_eq!(comments, ["2 samples, 10 skipped"]);
}

/// Without optimisation, some compressors build their tables on the stack.
#[test]
fn a_thread_with_a_small_stack_can_write_a_profile() {
    let write = || {
        let worker = task(1, "app::worker").at([Frame::sample("app::worker", 10)]);
        let mut written = Vec::new();
        dump([worker]).write_pprof(&mut written).map(|()| written)
    };
    let thread = std::thread::Builder::new().stack_size(192 * 1024);
    let written = thread.spawn(write).unwrap().join().unwrap();
    assert_eq!(decode(&written.unwrap()).sample.len(), 1);
}
