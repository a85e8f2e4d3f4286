//! Tests the verdicts about tests that hang before, in and after their bodies.

use super::*;

#[test]
fn a_test_whose_runtime_does_not_shut_down_says_so() {
    let text = verdict_at([], TestStage::End);
    assert!(
        text.contains("its body has ended, but its runtime does not shut down"),
        "{text}"
    );
    let blocked = task(2, "app::work").running_for(20.0).at([running(
        "app::work",
        20,
        Some("std::thread::sleep"),
    )]);
    let text = verdict_at([blocked], TestStage::End);
    assert!(
        text.contains("worker blocked in std::thread::sleep, called by app::work"),
        "{text}"
    );
}

#[test]
fn each_stage_has_a_verdict_without_traces() {
    for stage in [
        TestStage::Beginning,
        TestStage::Body(id(1)),
        TestStage::Body(id(9)),
        TestStage::End,
    ] {
        let text = verdict_at([], stage);
        assert!(
            text.starts_with("test hung for 30s: ") && text.contains("app::test"),
            "{text}"
        );
        let text = verdict_at([body().never_polled()], stage);
        assert!(text.contains("app::test"), "{text}");
    }
}
