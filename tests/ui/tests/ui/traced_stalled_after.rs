//! Tests that errors about a duration are at its place.

use tasktrace::traced;

#[traced(stalled_after)]
async fn no_value() {}

#[traced(stalled_after =)]
async fn no_value_after_equals() {}

#[traced(stalled_after("5s"))]
async fn parentheses() {}

#[traced(stalled_after = 5)]
async fn number() {}

#[traced(stalled_after = Duration::from_secs(5))]
async fn expression() {}

#[traced("{_id}", stalled_after = 5)]
async fn number_after_a_label(_id: u32) {}

#[traced(stalled_after = "")]
async fn empty() {}

#[traced(stalled_after = "0s")]
async fn zero() {}

#[traced(stalled_after = "30")]
async fn no_unit() {}

#[traced(stalled_after = "five seconds")]
async fn no_number() {}

#[traced(stalled_after = "5 seconds")]
async fn unknown_unit() {}

#[traced(stalled_after = "1..5s")]
async fn two_points() {}

#[traced("{_id}", crate = tasktrace, stalled_after = "600y")]
async fn no_years(_id: u32) {}

#[traced(stalled_after = "300000d")]
async fn too_long() {}

#[traced(stalled_after = "5s", stalled_after = "6s")]
async fn twice() {}

#[traced(stalled_after = "5s", skip)]
async fn skipped() {}

/// All of the functions still exist, so no call is an error.
async fn use_all() {
    no_value().await;
    no_value_after_equals().await;
    parentheses().await;
    number().await;
    expression().await;
    number_after_a_label(1).await;
    empty().await;
    zero().await;
    no_unit().await;
    no_number().await;
    unknown_unit().await;
    two_points().await;
    no_years(1).await;
    too_long().await;
    twice().await;
    skipped().await;
}

fn main() {
    let _ = use_all();
}
