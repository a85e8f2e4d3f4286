//! Tests that a busy server that is dumped ten thousand times loses no request and no wake.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tasktrace::{JoinSet, Source, spawn, traced};
use tasktrace_tests::multi_thread;
use tasktrace_tests::sampled::{LONG, alone};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc, oneshot};

const DUMPS: usize = 10_000;

/// The smallest number of rounds of each client.
const ROUNDS: u64 = 20;

/// The state that all tasks share.
#[derive(Default)]
struct World {
    is_over: AtomicBool,
    requested: AtomicU64,
    answered: AtomicU64,
    /// Counted under a lock that is held across an `.await`.
    turns: Mutex<u64>,
    turns_taken: AtomicU64,
    /// Locked in the middle of polls.
    sum: std::sync::Mutex<u64>,
    added: AtomicU64,
}

impl World {
    fn continues(&self, rounds: u64) -> bool {
        rounds < ROUNDS || !self.is_over.load(Ordering::Relaxed)
    }

    /// Counts a request and its answer.
    async fn ask(&self, number: u64, answer: impl Future<Output = u64>) {
        self.requested.fetch_add(1, Ordering::Relaxed);
        assert_eq!(answer.await, number + 1);
        self.answered.fetch_add(1, Ordering::Relaxed);
    }
}

type Request = (u64, oneshot::Sender<u64>);

#[traced]
async fn serve_channel(mut requests: mpsc::Receiver<Request>) {
    while let Some((number, reply)) = requests.recv().await {
        reply
            .send(number + 1)
            .expect("the client waits for the answer");
    }
}

#[traced("channel {client}")]
async fn client_of_channel(client: u64, world: Arc<World>, server: mpsc::Sender<Request>) {
    let mut rounds = 0;
    while world.continues(rounds) {
        rounds += 1;
        let (reply, replied) = oneshot::channel();
        let answer = async {
            server
                .send((rounds, reply))
                .await
                .expect("the server is running");
            replied.await.expect("the server replies")
        };
        world.ask(rounds, answer).await;
    }
}

#[traced]
async fn serve_network(listener: TcpListener, clients: usize) {
    let mut connections = JoinSet::new();
    for _ in 0..clients {
        let (stream, _) = listener.accept().await.expect("a client connects");
        connections.spawn(serve_connection(stream));
    }
    while connections.join_next().await.is_some() {}
}

#[traced]
async fn serve_connection(mut stream: TcpStream) {
    while let Ok(number) = stream.read_u64().await {
        stream
            .write_u64(number + 1)
            .await
            .expect("the client waits for the answer");
    }
}

#[traced("network {client}")]
async fn client_of_network(client: u64, world: Arc<World>, mut stream: TcpStream) {
    let mut rounds = 0;
    while world.continues(rounds) {
        rounds += 1;
        let answer = async {
            stream
                .write_u64(rounds)
                .await
                .expect("the server is running");
            stream.read_u64().await.expect("the server replies")
        };
        world.ask(rounds, answer).await;
    }
}

#[traced]
async fn takes_turns(world: Arc<World>) {
    let mut rounds = 0;
    while world.continues(rounds) {
        rounds += 1;
        let mut turns = world.turns.lock().await;
        let before = *turns;
        tokio::time::sleep(Duration::from_micros(200)).await;
        *turns = before + 1;
        drop(turns);
        world.turns_taken.fetch_add(1, Ordering::Relaxed);
    }
}

/// Polls that take milliseconds, and blocking locks.
#[traced]
async fn computes(world: Arc<World>) {
    let mut rounds = 0;
    while world.continues(rounds) {
        rounds += 1;
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(rounds % 4) {
            *world.sum.lock().unwrap() += 1;
            world.added.fetch_add(1, Ordering::Relaxed);
        }
        tokio::task::yield_now().await;
    }
}

#[traced]
async fn spawns(world: Arc<World>) {
    let mut rounds = 0;
    while world.continues(rounds) {
        rounds += 1;
        let mut tasks = JoinSet::new();
        for number in 0..10 {
            let world = Arc::clone(&world);
            tasks.spawn(async move {
                let answer = async {
                    tokio::task::yield_now().await;
                    number + 1
                };
                world.ask(number, answer).await;
                number
            });
        }
        let mut sum = 0;
        while let Some(number) = tasks.join_next().await {
            sum += number.expect("the task does not panic");
        }
        assert_eq!(sum, 45);
        tokio::time::sleep(Duration::from_micros(500)).await;
    }
}

/// Runs all tasks until the test is over.
#[traced]
async fn run(world: Arc<World>) {
    const CLIENTS: usize = 4;

    let mut all = JoinSet::new();
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port is free");
    let address = listener.local_addr().expect("the listener has an address");
    let network = spawn(serve_network(listener, CLIENTS));
    let (requests, server) = mpsc::channel(2);
    let channel = spawn(serve_channel(server));
    for client in 0..CLIENTS as u64 {
        let stream = TcpStream::connect(address)
            .await
            .expect("the server listens");
        stream
            .set_nodelay(true)
            .expect("the socket is a TCP socket");
        all.spawn(client_of_network(client, Arc::clone(&world), stream));
        all.spawn(client_of_channel(
            client,
            Arc::clone(&world),
            requests.clone(),
        ));
        all.spawn(takes_turns(Arc::clone(&world)));
    }
    drop(requests);
    all.spawn(computes(Arc::clone(&world)));
    all.spawn(spawns(Arc::clone(&world)));
    while let Some(done) = all.join_next().await {
        done.expect("the client does not panic");
    }
    network.await.expect("the server does not panic");
    channel.await.expect("the server does not panic");
}

/// The numbers of tasks seen in each state in the dumps.
#[derive(Debug, Default)]
struct Counts {
    captures: AtomicUsize,
    samples: AtomicUsize,
    others: AtomicUsize,
}

/// Takes the dumps, and checks some of them.
fn dump(left: &AtomicUsize, counts: &Counts) {
    let take_one = |left: usize| left.checked_sub(1);
    while let Ok(left) = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take_one) {
        let dump = tasktrace::dump_blocking(Duration::from_millis(8));
        for task in &dump {
            let count = match task.source() {
                Source::Capture => &counts.captures,
                Source::Sample => &counts.samples,
                _ => &counts.others,
            };
            count.fetch_add(1, Ordering::Relaxed);
        }
        if left % 500 == 0 {
            assert!(!format!("{dump}{dump:#}{}", dump.by_awaiter()).is_empty());
        }
    }
}

/// Runs all tasks while `meanwhile` runs. Returns the time that it took, and the number of requests.
fn work(meanwhile: impl FnOnce()) -> (Duration, u64) {
    let runtime = multi_thread();
    let world = Arc::new(World::default());
    let start = Instant::now();
    let all = runtime.spawn(run(Arc::clone(&world)));
    meanwhile();
    world.is_over.store(true, Ordering::Relaxed);
    runtime.block_on(async {
        let all = tokio::time::timeout(LONG, all).await;
        all.expect("the tasks end").expect("no task panics");
    });
    let elapsed = start.elapsed();
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    assert_eq!(count(&world.requested), count(&world.answered));
    assert_eq!(
        count(&world.turns_taken),
        *runtime.block_on(world.turns.lock())
    );
    assert_eq!(count(&world.added), *world.sum.lock().unwrap());
    (elapsed, count(&world.answered))
}

#[test]
fn a_server_loses_no_request_during_ten_thousand_dumps() {
    let _alone = alone();
    let (time, requests) = work(|| std::thread::sleep(Duration::from_secs(2)));
    println!("without dumps {requests} requests in {time:.1?}");
    let (left, counts) = (AtomicUsize::new(DUMPS), Counts::default());
    let (time, requests) = work(|| {
        std::thread::scope(|threads| {
            for _ in 0..4 {
                threads.spawn(|| dump(&left, &counts));
            }
        });
    });
    println!("with {DUMPS} dumps {requests} requests in {time:.1?}: {counts:?}");
    assert!(counts.samples.load(Ordering::Relaxed) > 0);
    assert!(counts.captures.load(Ordering::Relaxed) > DUMPS);
}
