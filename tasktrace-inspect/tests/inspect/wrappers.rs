//! Tasks that wait for futures inside of other futures.

use tasktrace_inspect::Report;

use crate::program::{ALL_TASKS, PROFILES, Program};
use crate::tree::{check, task};

const TREES: &[&str] = &[
    "\
wrappers::unordered @ unordered
  wrappers::child @ child
    wrappers::nap @ nap
      tokio::time::sleep
  wrappers::child @ child
    wrappers::nap @ nap
      tokio::time::sleep
  wrappers::child @ child
    wrappers::nap @ nap
      tokio::time::sleep",
    "\
wrappers::selecting @ selecting [select!]
  wrappers::nap @ nap
    tokio::time::sleep
  wrappers::child @ child
    wrappers::nap @ nap
      tokio::time::sleep",
    "\
wrappers::joining @ joining [join!]
  wrappers::nap @ nap
    tokio::time::sleep
  wrappers::child @ child
    wrappers::nap @ nap
      tokio::time::sleep",
    "\
wrappers::boxed @ boxed
  wrappers::nap @ nap
    tokio::time::sleep",
    "\
wrappers::by_trait @ by_trait
  wrappers::Shop::restock @ restock
    wrappers::nap @ nap
      tokio::time::sleep",
    "\
wrappers::timed @ timed
  tokio::time::timeout
    wrappers::nap @ nap
      tokio::time::sleep",
    "\
wrappers::all @ all
  wrappers::child @ child
    wrappers::nap @ nap
      tokio::time::sleep
  wrappers::child @ child
    wrappers::nap @ nap
      tokio::time::sleep",
    "\
wrappers::set @ set
  tokio::task::JoinSet::join_next
    tokio::task::JoinHandle",
    "\
wrappers::recursive @ recursion
  wrappers::recursive @ recursion
    wrappers::recursive @ recursion
      wrappers::recursive @ recursion
        wrappers::recursive @ recursion
          wrappers::recursive @ recursion ends
            wrappers::nap @ nap
              tokio::time::sleep",
    "\
wrappers::spawn @ block
  wrappers::nap @ nap
    tokio::time::sleep",
    "\
wrappers::generic @ generic
  wrappers::nap @ nap
    tokio::time::sleep",
    "\
wrappers::shared @ shared
  wrappers::nap @ nap
    tokio::time::sleep",
    "\
wrappers::buffered @ buffered
  wrappers::child @ child
    wrappers::nap @ nap
      tokio::time::sleep
  wrappers::child @ child
    wrappers::nap @ nap
      tokio::time::sleep",
    "\
wrappers::ordered @ ordered
  wrappers::child @ child
    wrappers::nap @ nap
      tokio::time::sleep
  wrappers::child @ child
    wrappers::nap @ nap
      tokio::time::sleep",
    "\
wrappers::any @ any
  wrappers::child @ child
    wrappers::nap @ nap
      tokio::time::sleep
  wrappers::child @ child
    wrappers::nap @ nap
      tokio::time::sleep",
    "\
wrappers::by_reference @ by_reference
  wrappers::nap @ nap
    tokio::time::sleep",
    "\
wrappers::by_hand @ by_hand
  wrappers::Counted
    wrappers::nap @ nap
      tokio::time::sleep",
];

pub(crate) fn check_wrappers(report: &Report) {
    check(report, TREES);
    // The member of a set is named.
    let member = task(report, "wrappers::set").frames[0].children[0].children[0].clone();
    let wait = member.wait.unwrap();
    assert!(wait.task.is_some(), "{report}");
    assert!(wait.text.ends_with("wrappers::set"), "{}", wait.text);
}

#[test]
fn futures_inside_of_futures_are_found() {
    for profile in PROFILES {
        for name in ALL_TASKS {
            let program = Program::start(name, profile);
            check_wrappers(&program.inspect_at_rest());
        }
    }
}
