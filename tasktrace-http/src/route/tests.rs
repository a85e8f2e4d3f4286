//! Tests the routes of addresses.

use proptest::prelude::*;

use super::*;
use crate::job::GoProfile;

const LONGEST: Duration = Duration::from_secs(60);

fn route(address: &str) -> Result<Route, Refusal> {
    let (path, query) = match address.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (address, None),
    };
    let asked = RequestParts {
        path,
        query: Query::new(query),
        accept: "",
        longest: LONGEST,
    };
    asked.route()
}

#[track_caller]
fn assert_route(address: &str, subject: Subject, format: Format) {
    assert_eq!(
        route(address).unwrap(),
        Route::Job(Job { subject, format }),
        "{address}"
    );
}

/// Returns a profile of this many seconds, whose interval the backend decides.
fn profile(seconds: u64, mode: CaptureMode) -> Subject {
    Subject::Profile {
        length: Duration::from_secs(seconds),
        mode,
        every: None,
    }
}

#[test]
fn addresses_of_dumps_select_subject_and_format() {
    let asked = Subject::Tasks(CaptureMode::Capture);
    assert_route("/dump.txt", asked, Format::Text);
    assert_route("/dump.txt?by=awaiter", asked, Format::Forest);
    assert_route("/dump.txt?by=group", asked, Format::Text);
    assert_route("/dump.json?capture=1", asked, Format::Json);
    assert_route("/dump.folded", asked, Format::Folded(SampleWeight::Tasks));
    let by_time = Format::Flamegraph(SampleWeight::Waited);
    assert_route("/dump.svg?weight=waited", asked, by_time);
    assert_route("/dump.pb.gz", asked, Format::Pprof);
    let looked_at = Subject::Tasks(CaptureMode::Snapshot);
    assert_route("/view.json?capture=0", looked_at, Format::View);
    assert_route("", asked, Format::Text);
    let mode = CaptureMode::Capture;
    let task = Subject::Task { number: 7, mode };
    assert_route("/tasks/7.json", task, Format::Json);
}

#[test]
fn addresses_of_profiles_select_length_interval_and_format() {
    let time = |seconds| profile(seconds, CaptureMode::Snapshot);
    assert_route("/profile", time(10), Format::Pprof);
    assert_route("/profile?format=txt", time(10), Format::Text);
    let by_time = Format::Flamegraph(SampleWeight::Waited);
    assert_route("/profile.svg?seconds=3", time(3), by_time);
    let by_tasks = Format::Folded(SampleWeight::Tasks);
    assert_route("/profile.folded?weight=tasks", time(10), by_tasks);
    let asked = profile(60, CaptureMode::Capture);
    assert_route("/profile.json?seconds=60&capture=1", asked, Format::Json);
    assert_route("/debug/pprof/profile", time(30), Format::Pprof);
    let every = Some(Duration::from_millis(50));
    let often = Subject::Profile {
        length: Duration::from_secs(2),
        mode: CaptureMode::Snapshot,
        every,
    };
    assert_route("/profile.txt?seconds=2&every=0.05", often, Format::Text);
    assert!(route("/profile.txt?every=often").is_err());
    assert!(route("/profile?seconds=61").is_err());
    assert!(route("/profile?format=view").is_err());
}

#[test]
fn the_process_is_described_without_captures() {
    // No task is polled, even if the parameter requests it.
    let path = "/process.json?capture=1";
    assert_route(path, Subject::Process, Format::Process);
}

#[test]
fn paths_of_go_lead_to_profiles_of_tasks() {
    let all = Subject::Tasks(CaptureMode::Capture);
    let goroutine = Format::GoPprof(GoProfile::Goroutine);
    assert_route("/debug/pprof/goroutine", all, goroutine);
    assert_route("/debug/pprof/goroutine?seconds=0", all, goroutine);
    let counted = Format::GoCounted(GoProfile::Mutex);
    assert_route("/debug/pprof/mutex?debug=1", all, counted);
    assert_route("/debug/pprof/goroutine?debug=2", all, Format::GoStacks);
    let time = profile(5, CaptureMode::Snapshot);
    assert_route(
        "/debug/pprof/block?seconds=5",
        time,
        Format::GoPprof(GoProfile::Block),
    );
    // Only a capture shows the lock that a task waits for.
    assert_route(
        "/debug/pprof/mutex?seconds=5",
        profile(5, CaptureMode::Capture),
        Format::GoPprof(GoProfile::Mutex),
    );
    assert!(route("/debug/pprof/block?seconds=5&debug=1").is_err());
    assert_route("/debug/pprof/heap", Subject::Nothing, Format::GoEmpty);
}

proptest! {
    #[test]
    fn arbitrary_addresses_cause_no_panic(path in ".*", query in ".*", accept in ".*") {
        let asked = RequestParts {
            path: &path,
            query: Query::new(Some(&query)),
            accept: &accept,
            longest: LONGEST,
        };
        let _ = asked.route();
    }

    /// Addresses that are almost valid cause no panic either, and no profile exceeds the limit.
    #[test]
    fn almost_valid_addresses_cause_no_panic_and_no_long_profile(
        path in "/?(dump|view|tasks|profile|debug/pprof)?[./]?(txt|json|pb|heap|profile|mutex|[0-9]{0,30})?",
        query in "(seconds=[0-9.e-]{0,5}|debug=[0-3]|capture=[0-2]|format=[a-z]{0,4}|&){0,5}",
    ) {
        if let Ok(Route::Job(Job { subject: Subject::Profile { length, .. }, .. })) =
            route(&format!("{path}?{query}"))
        {
            prop_assert!(length > Duration::ZERO && length <= LONGEST);
        }
    }

    #[test]
    fn any_number_may_be_the_id_of_a_task(number: u64) {
        let mode = CaptureMode::Capture;
        let path = format!("/tasks/{number}.txt");
        assert_route(&path, Subject::Task { number, mode }, Format::Text);
    }
}
