//! Tests `#[traced]` beside `#[tasktrace::main]`: the frame is inside the task or around it.

use super::*;

#[traced(crate = probe)]
#[tasktrace::main(tasktrace = probe)]
async fn above() {}

#[tasktrace::main(tasktrace = probe)]
#[traced(crate = probe)]
async fn below() {}

#[traced(crate = probe)]
#[tasktrace::main(tasktrace = probe, block_on = futures::executor::block_on)]
async fn above_block_on() {}

#[tasktrace::main(tasktrace = probe, block_on = futures::executor::block_on)]
#[traced(crate = probe)]
async fn below_block_on() {}

#[test]
fn traced_and_main_compose_in_either_order() {
    above();
    assert_eq!(probe::names(), [task("above"), frame("above")]);
    below();
    assert_eq!(probe::names(), [frame("below"), task("below")]);
    above_block_on();
    assert_eq!(
        probe::names(),
        [task("above_block_on"), frame("above_block_on")]
    );
    below_block_on();
    assert_eq!(
        probe::names(),
        [frame("below_block_on"), task("below_block_on")]
    );
}
