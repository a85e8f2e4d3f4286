//! Creates very many tasks, most of which wait at the same places.

use std::sync::Arc;

use tasktrace::{TaskDump, TaskState, traced};
use tasktrace_tests::HOUR;
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, Notify};
use tokio::time::sleep;

pub(crate) fn start(runtime: &Runtime, tasks: usize) {
    let _entered = runtime.enter();
    let news = Arc::new(Notify::new());
    let lock = Arc::new(Mutex::new(()));
    for number in 0..tasks {
        match number % 20 {
            0 => drop(tasktrace::spawn(upload(number))),
            1 => drop(tasktrace::spawn(update(number, Arc::clone(&lock)))),
            _ => drop(tasktrace::spawn(connection(number, Arc::clone(&news)))),
        }
    }
    super::wait_until(|dump| {
        let suspended = |task: &&TaskDump| *task.state() == TaskState::Suspended;
        dump.tasks().filter(suspended).count() >= tasks
    });
}

#[traced("10.0.{}.{}:{number}", number / 250 % 250, number % 250)]
async fn connection(number: usize, news: Arc<Notify>) {
    next_message(news).await;
}

#[traced]
async fn next_message(news: Arc<Notify>) {
    news.notified().await;
}

#[traced("upload {number}")]
async fn upload(number: usize) {
    sleep(HOUR).await;
}

#[traced("update {number}")]
async fn update(number: usize, lock: Arc<Mutex<()>>) {
    let _guard = lock.lock().await;
    sleep(HOUR).await;
}
