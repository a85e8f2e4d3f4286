//! Tasks that are polled all the time, on two worker threads.

use tasktrace_inspect_programs::{arrive, ready};
use tokio::sync::mpsc;

const TASKS: usize = 200;

#[tokio::main(worker_threads = 2)]
async fn main() {
    for _ in 0..TASKS {
        let (ping, pong) = (mpsc::channel(1), mpsc::channel(1));
        tokio::spawn(player(ping.0, pong.1, true));
        tokio::spawn(player(pong.0, ping.1, false));
    }
    ready(2 * TASKS).await;
    std::future::pending::<()>().await;
}

async fn player(to: mpsc::Sender<u64>, mut from: mpsc::Receiver<u64>, begins: bool) {
    arrive();
    let mut ball = 0;
    if begins {
        give(&to, ball).await; // await: begin
    }
    loop {
        ball = take(&mut from).await; // await: take
        give(&to, ball + 1).await; // await: give
    }
}

async fn give(to: &mpsc::Sender<u64>, ball: u64) {
    let _ = to.send(ball).await; // await: send
}

async fn take(from: &mut mpsc::Receiver<u64>) -> u64 {
    from.recv().await.unwrap_or_default() // await: recv
}
