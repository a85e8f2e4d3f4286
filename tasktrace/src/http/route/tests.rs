//! Where addresses lead.

use proptest::prelude::*;

use super::*;
use crate::render::GoProfile;

const LONGEST: Duration = Duration::from_secs(60);

fn route(address: &str) -> Result<Route, Refusal> {
    let (path, query) = match address.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (address, None),
    };
    let asked = Asked {
        path,
        query: Query::new(query),
        accept: "",
        longest: LONGEST,
    };
    asked.route()
}

#[track_caller]
fn leads(address: &str, subject: Subject, form: Form) {
    assert_eq!(
        route(address).unwrap(),
        Route::Job(Job { subject, form }),
        "{address}"
    );
}

#[test]
fn dumps() {
    let asked = Subject::Tasks(Asking::Polled);
    leads("/dump.txt", asked, Form::Text);
    leads("/dump.txt?by=awaiter", asked, Form::Forest);
    leads("/dump.txt?by=group", asked, Form::Text);
    leads("/dump.json?capture=1", asked, Form::Json);
    leads("/dump.folded", asked, Form::Folded(Weight::Tasks));
    let by_time = Form::Flamegraph(Weight::Waited);
    leads("/dump.svg?weight=waited", asked, by_time);
    leads("/dump.pb.gz", asked, Form::Pprof);
    let looked_at = Subject::Tasks(Asking::LookedAt);
    leads("/view.json?capture=0", looked_at, Form::View);
    leads("", asked, Form::Text);
    leads(
        "/tasks/7.json",
        Subject::Task(7, Asking::Polled),
        Form::Json,
    );
}

#[test]
fn profiles() {
    let time = |seconds| Subject::Time(Duration::from_secs(seconds), Asking::LookedAt, None);
    leads("/profile", time(10), Form::Pprof);
    leads("/profile?format=txt", time(10), Form::Text);
    let by_time = Form::Flamegraph(Weight::Waited);
    leads("/profile.svg?seconds=3", time(3), by_time);
    let by_tasks = Form::Folded(Weight::Tasks);
    leads("/profile.folded?weight=tasks", time(10), by_tasks);
    let asked = Subject::Time(LONGEST, Asking::Polled, None);
    leads("/profile.json?seconds=60&capture=1", asked, Form::Json);
    leads("/debug/pprof/profile", time(30), Form::Pprof);
    let every = Some(Duration::from_millis(50));
    let often = Subject::Time(Duration::from_secs(2), Asking::LookedAt, every);
    leads("/profile.txt?seconds=2&every=0.05", often, Form::Text);
    assert!(route("/profile.txt?every=often").is_err());
    assert!(route("/profile?seconds=61").is_err());
    assert!(route("/profile?format=view").is_err());
}

#[test]
fn the_process() {
    // Nobody is asked, whatever is said.
    let counted = Subject::Tasks(Asking::LookedAt);
    leads("/process.json?capture=1", counted, Form::Process);
}

#[test]
fn as_in_go() {
    let all = Subject::Tasks(Asking::Polled);
    let goroutine = Form::GoPprof(GoProfile::Goroutine);
    leads("/debug/pprof/goroutine", all, goroutine);
    leads("/debug/pprof/goroutine?seconds=0", all, goroutine);
    let counted = Form::GoCounted(GoProfile::Mutex);
    leads("/debug/pprof/mutex?debug=1", all, counted);
    leads("/debug/pprof/goroutine?debug=2", all, Form::GoStacks);
    let time = Subject::Time(Duration::from_secs(5), Asking::LookedAt, None);
    leads(
        "/debug/pprof/block?seconds=5",
        time,
        Form::GoPprof(GoProfile::Block),
    );
    // Only where tasks are asked it is known what they wait for.
    leads(
        "/debug/pprof/mutex?seconds=5",
        Subject::Time(Duration::from_secs(5), Asking::Polled, None),
        Form::GoPprof(GoProfile::Mutex),
    );
    assert!(route("/debug/pprof/block?seconds=5&debug=1").is_err());
    assert!(matches!(route("/debug/pprof/heap"), Ok(Route::Fixed(_))));
}

proptest! {
    #[test]
    fn nothing_breaks_it(path in ".*", query in ".*", accept in ".*") {
        let asked = Asked {
            path: &path,
            query: Query::new(Some(&query)),
            accept: &accept,
            longest: LONGEST,
        };
        let _ = asked.route();
    }

    /// Nor what is nearly right. Nothing takes longer than it may.
    #[test]
    fn nothing_near_breaks_it(
        path in "/?(dump|view|tasks|profile|debug/pprof)?[./]?(txt|json|pb|heap|profile|mutex|[0-9]{0,30})?",
        query in "(seconds=[0-9.e-]{0,5}|debug=[0-3]|capture=[0-2]|format=[a-z]{0,4}|&){0,5}",
    ) {
        if let Ok(Route::Job(Job { subject: Subject::Time(length, ..), .. })) =
            route(&format!("{path}?{query}"))
        {
            prop_assert!(length > Duration::ZERO && length <= LONGEST);
        }
    }

    #[test]
    fn any_number_is_that_of_a_task(number: u64) {
        leads(
            &format!("/tasks/{number}.txt"),
            Subject::Task(number, Asking::Polled),
            Form::Text,
        );
    }
}
