//! Ten thousand tasks, ten functions deep.

use std::time::Duration;

use tasktrace_inspect_programs::{arrive, ready};

const TASKS: usize = 10_000;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    for number in 0..TASKS {
        tokio::spawn(one(number));
    }
    ready(TASKS).await;
    std::future::pending::<()>().await;
}

macro_rules! chain {
    ($($name:ident calls $next:ident;)*) => {
        $(async fn $name(number: usize) {
            $next(number).await;
            std::hint::black_box(number);
        })*
    };
}

chain! {
    one calls two;
    two calls three;
    three calls four;
    four calls five;
    five calls six;
    six calls seven;
    seven calls eight;
    eight calls nine;
    nine calls ten;
}

async fn ten(number: usize) {
    arrive();
    tokio::time::sleep(Duration::from_secs(3600 + number as u64)).await;
}
