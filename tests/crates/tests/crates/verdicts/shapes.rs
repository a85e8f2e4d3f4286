//! Tests that a verdict names the function of the program through all wrappers of its future.

use std::future::Future;
use std::pin::Pin;

use futures::StreamExt;
use tasktrace_crates::{HOUR, Manager, silent_server};
use tokio_stream::wrappers::ReceiverStream;
use tracing::Instrument;

type Pool = deadpool::managed::Pool<Manager>;

/// Returns a pool whose only connection is never given back.
async fn pool() -> Pool {
    let pool = Pool::builder(Manager).max_size(1).build().unwrap();
    std::mem::forget(pool.get().await.unwrap());
    pool
}

#[async_trait::async_trait]
trait Load {
    async fn load(&self);
}

/// Its function is boxed by an attribute of another crate.
struct Loader(Pool);

#[async_trait::async_trait]
impl Load for Loader {
    async fn load(&self) {
        let _ = self.0.get().await;
    }
}

struct Worker<T>(T);

impl<T: Load> Worker<T> {
    async fn run(&self) {
        self.0.load().await;
    }
}

super::hangs! {
    timeout("in deadpool::managed::Pool::get (tokio::sync::Semaphore::acquire)") {
        let pool = pool().await;
    } fetch(pool: Pool) {
        let _ = tokio::time::timeout(HOUR, pool.get()).await;
    }

    select("in deadpool::managed::Pool::get (tokio::sync::Semaphore::acquire)") {
        let pool = pool().await;
    } fetch(pool: Pool) {
        tokio::select! { _ = pool.get() => {} () = tokio::time::sleep(HOUR) => {} } // await
    }

    join("in deadpool::managed::Pool::get (tokio::sync::Semaphore::acquire)") {
        let pool = pool().await;
    } fetch(pool: Pool) {
        let _ = tokio::join!(pool.get(), tokio::time::sleep(HOUR)); // await
    }

    boxed("in deadpool::managed::Pool::get (tokio::sync::Semaphore::acquire)") {
        let pool = pool().await;
    } fetch(pool: Pool) {
        let get: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move { let _ = pool.get().await; });
        get.await;
    }

    instrumented("in reqwest::get (tokio::sync::oneshot::Receiver)") {
        let url = format!("http://{}/", silent_server());
    } fetch(url: String) {
        let _ = ::reqwest::get(url).instrument(tracing::info_span!("get")).await;
    }

    with_a_stop_signal("in deadpool::managed::Pool::get (tokio::sync::Semaphore::acquire)") {
        let pool = pool().await;
        let stop = tokio_util::sync::CancellationToken::new();
    } fetch(pool: Pool, stop: tokio_util::sync::CancellationToken) {
        let _ = stop.run_until_cancelled(pool.get()).await;
    }

    stream("on tokio::sync::mpsc::Receiver::recv") {
        let (_sender, receiver) = tokio::sync::mpsc::channel(1);
        let stream = ReceiverStream::new(receiver);
    } fetch(stream: ReceiverStream<u32>) {
        let mut stream = stream.map(|number| number + 1);
        let _ = stream.next().await;
    }
}

/// Hangs in a function of the program inside a trait, a generic type, a task and a dozen wrappers.
mod elsewhere {
    use super::*;

    #[test]
    fn the_verdict_names_the_function_in_the_trait() {
        let text = crate::verdicts::hang(module_path!());
        let verdict = crate::verdicts::verdict(&text);
        let subject = "crates::verdicts::shapes::Loader::load at ";
        assert!(verdict.starts_with(subject), "{text}");
        let operation =
            " is waiting in deadpool::managed::Pool::get (tokio::sync::Semaphore::acquire)";
        assert!(verdict.contains(operation), "{text}");
    }

    #[tasktrace::test(timeout = "2s")]
    async fn hangs() {
        if crate::verdicts::is_wanted() {
            let worker = Worker(Loader(pool().await));
            let run = async move { worker.run().await };
            let run = tokio::time::timeout(HOUR, run.instrument(tracing::info_span!("run")));
            let task = tasktrace::spawn(run);
            tokio::select! {
                _ = task => {}
                () = tokio::time::sleep(HOUR) => {}
            }
        }
    }
}
