//! Profiles a service that is slow while its processor idles: where does the time go?
//!
//!     cargo run --release -p tasktrace-example-profile
//!
//! prints where its requests wait, and writes the same as `profile.svg`, for a browser, and as
//! `profile.pb.gz`, for `go tool pprof -http=: profile.pb.gz`, to the directory that is given:
//!
//!     cargo run --release -p tasktrace-example-profile -- /tmp

use std::error::Error;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tasktrace::{Weight, traced};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{interval, sleep};

/// The resources that all requests share.
struct Shop {
    /// Lends two connections to twenty requests.
    connections: Semaphore,
    cache: Mutex<u64>,
}

#[traced("request {number}")]
async fn serve(shop: Arc<Shop>, number: u64) {
    loop {
        if number.is_multiple_of(4) {
            refresh(&shop).await;
        } else {
            order(&shop).await;
        }
    }
}

#[traced]
async fn order(shop: &Shop) {
    let connection = shop.connections.acquire().await.expect("it is open");
    query().await;
    drop(connection);
    render().await;
}

/// Takes the time of a database query.
#[traced]
async fn query() {
    sleep(Duration::from_millis(40)).await;
}

#[traced]
async fn render() {
    sleep(Duration::from_millis(5)).await;
}

/// Waits for another service while it holds the lock, so requests refresh one at a time.
#[traced]
async fn refresh(shop: &Shop) {
    let mut cache = shop.cache.lock().await;
    *cache += upstream().await;
}

#[traced]
async fn upstream() -> u64 {
    sleep(Duration::from_millis(30)).await;
    1
}

/// Waits for the next tick, or for the signal to stop.
#[traced]
async fn housekeeping(stop: Arc<Semaphore>) {
    let mut times = interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            _ = times.tick() => {}
            _ = stop.acquire() => return,
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let shop = Arc::new(Shop {
        connections: Semaphore::new(2),
        cache: Mutex::new(0),
    });
    for number in 0..20 {
        tasktrace::spawn(serve(Arc::clone(&shop), number));
    }
    tasktrace::spawn(housekeeping(Arc::new(Semaphore::new(0))));

    // Captures the tasks, so that the profile names the lock and the pool.
    let profile = tasktrace::profile()
        .captures()
        .every(Duration::from_millis(20))
        .lasting(Duration::from_secs(3))
        .on_sample(|progress| {
            let (elapsed, lasting) = (progress.elapsed(), progress.lasting());
            eprint!(
                "\r{:.1} of {:.1} s",
                elapsed.as_secs_f64(),
                lasting.as_secs_f64()
            );
        })
        .run()
        .await;
    eprintln!();
    println!("{profile}");

    if let Some(directory) = std::env::args_os().nth(1) {
        let directory = Path::new(&directory);
        profile.write_flamegraph(Weight::Waited, File::create(directory.join("profile.svg"))?)?;
        profile.write_pprof(File::create(directory.join("profile.pb.gz"))?)?;
    }
    Ok(())
}
