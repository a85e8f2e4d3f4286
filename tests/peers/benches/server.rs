//! Measures the throughput that a server loses when all of its functions are annotated, without dumps and with a dump
//! each second.
//!
//! The server keeps values for names, as Redis does, and each of its clients sends a request when it has the answer to
//! the one before. Server and clients run on this machine and keep it busy.

use std::collections::HashMap;
use std::hint::black_box;
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tasktrace_benches::goals::{self, Figure};
use tasktrace_benches::stopwatch;
use tasktrace_benches::{Alternative, Case, Measured, OURS, compare_in_rounds, header, is_bench};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Mutex;

const CONNECTIONS: usize = 256;
/// Two rounds differ by more than the loss, and they differ less if one follows the other sooner, so there are many
/// short rounds.
const ROUNDS: usize = 501;
const ROUND: Duration = Duration::from_millis(100);
/// The number of rounds with a dump in each.
const LONG_ROUNDS: usize = 61;
const LONG_ROUND: Duration = Duration::from_secs(1);

type Store = Arc<Mutex<HashMap<String, String>>>;

enum Request {
    Get(String),
    Set(String, String),
}

/// Defines a server in a module `$name`, with an attribute on its functions or without.
macro_rules! server {
    ($name:ident $(, #[$attribute:meta])?) => {
        mod $name {
            use super::*;

            $(#[$attribute])?
            pub(super) async fn serve(listener: TcpListener) {
                let store = Store::default();
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(session(stream, Arc::clone(&store)));
                }
            }

            $(#[$attribute])?
            async fn session(stream: TcpStream, store: Store) -> io::Result<()> {
                stream.set_nodelay(true)?;
                let mut stream = BufStream::new(stream);
                while let Some(request) = read_request(&mut stream).await? {
                    let reply = execute(&store, request).await;
                    write_reply(&mut stream, &reply).await?;
                }
                Ok(())
            }

            $(#[$attribute])?
            async fn read_request(stream: &mut BufStream<TcpStream>) -> io::Result<Option<Request>> {
                let mut line = String::new();
                stream.read_line(&mut line).await?;
                Ok(parse(&line))
            }

            $(#[$attribute])?
            async fn execute(store: &Store, request: Request) -> String {
                match request {
                    Request::Get(key) => get(store, &key).await,
                    Request::Set(key, value) => set(store, key, value).await,
                }
            }

            $(#[$attribute])?
            async fn get(store: &Store, key: &str) -> String {
                let value = store.lock().await.get(key).cloned();
                value.unwrap_or_default()
            }

            $(#[$attribute])?
            async fn set(store: &Store, key: String, value: String) -> String {
                let old = store.lock().await.insert(key, value);
                old.unwrap_or_default()
            }

            $(#[$attribute])?
            async fn write_reply(stream: &mut BufStream<TcpStream>, reply: &str) -> io::Result<()> {
                stream.write_all(reply.as_bytes()).await?;
                stream.write_all(b"\n").await?;
                stream.flush().await
            }
        }
    };
}

server!(plain);
server!(tasktrace_, #[tasktrace::traced]);
server!(async_backtrace_, #[async_backtrace::framed]);

fn parse(line: &str) -> Option<Request> {
    let mut words = line.split_ascii_whitespace().map(str::to_owned);
    match (words.next()?.as_str(), words.next()?, words.next()) {
        ("get", key, None) => Some(Request::Get(key)),
        ("set", key, Some(value)) => Some(Request::Set(key, value)),
        _ => None,
    }
}

fn main() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_io()
        .build();
    let runtime = runtime.expect("there can be two threads");
    let plain = Clients::of(&runtime, plain::serve);
    let annotated = Clients::of(&runtime, tasktrace_::serve);
    let framed = Clients::of(&runtime, async_backtrace_::serve);

    header("A server, per request");
    let alternatives: Vec<(&str, Alternative<'_>)> = vec![
        ("not annotated", served(&plain, ROUND, || ())),
        (OURS, served(&annotated, ROUND, || ())),
        ("async-backtrace", served(&framed, ROUND, || ())),
    ];
    let name = "a request";
    let measured = compare_in_rounds(ROUNDS, Case { name, alternatives }, 1000);
    let alternatives: Vec<(&str, Alternative<'_>)> = vec![
        ("not annotated", served(&plain, LONG_ROUND, || ())),
        (OURS, served(&annotated, LONG_ROUND, dump)),
    ];
    let name = "a request, a dump each second";
    let with_dumps = compare_in_rounds(LONG_ROUNDS, Case { name, alternatives }, 1000);

    println!("\nthroughput lost");
    let peer = lost(&measured, "async-backtrace", "");
    let figure = Figure {
        ours: lost(&measured, OURS, ""),
        best_peer: Some(("async-backtrace".to_owned(), peer)),
        ratio: None,
    };
    goals::note("server", &figure);
    let figure = Figure {
        ours: lost(&with_dumps, OURS, ", a dump each second"),
        best_peer: None,
        ratio: None,
    };
    goals::note("server-dump", &figure);
}

fn lost(measured: &Measured<'_>, alternative: &str, how: &str) -> f64 {
    let ratios = measured.ratios("not annotated", alternative, [2, 3, 1]);
    let [lost, from, to] = ratios.map(|ratio| 1.0 - ratio);
    println!(
        "{alternative}{how}: {:.2} %, and from {:.2} % to {:.2} % in half of the rounds",
        lost * 100.0,
        from * 100.0,
        to * 100.0,
    );
    lost
}

fn dump() {
    black_box(tasktrace::dump_blocking(Duration::from_secs(2)).to_string());
}

/// The clients of a server: one thread that does as little work as possible.
struct Clients(std::cell::RefCell<Vec<std::net::TcpStream>>);

impl Clients {
    fn of<F>(runtime: &Runtime, serve: fn(TcpListener) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = runtime.block_on(TcpListener::bind(any_port));
        let listener = listener.expect("there are free ports");
        let address = listener.local_addr().expect("it is bound");
        runtime.spawn(serve(listener));
        let connect = |_| -> io::Result<std::net::TcpStream> {
            let stream = std::net::TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            Ok(stream)
        };
        let streams: io::Result<_> = (0..CONNECTIONS).map(connect).collect();
        Self(std::cell::RefCell::new(
            streams.expect("the server listens"),
        ))
    }

    /// Sends a request on each connection, and then receives the replies.
    fn turn(&self, turn: usize) -> io::Result<()> {
        let mut streams = self.0.borrow_mut();
        for (at, stream) in streams.iter_mut().enumerate() {
            let key = (at * 7 + turn) % 1000;
            match (at + turn) % 4 {
                0 => stream.write_all(format!("set key:{key} value:{turn}\n").as_bytes())?,
                _ => stream.write_all(format!("get key:{key}\n").as_bytes())?,
            }
        }
        for stream in streams.iter_mut() {
            let mut reply = [0; 64];
            let mut length = 0;
            while !reply[..length].ends_with(b"\n") {
                match stream.read(&mut reply[length..])? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    read => length += read,
                }
            }
        }
        Ok(())
    }
}

/// Sends requests for the duration of a round, in the middle of which another thread calls `event`.
///
/// Measures the processor time of the process per request. Server and clients keep the machine busy all the time, so
/// this time decides the throughput. Unlike the throughput itself, it does not depend on other programs.
fn served<'a>(clients: &'a Clients, round: Duration, event: fn()) -> Alternative<'a> {
    let length = if is_bench() { round } else { round / 20 };
    Box::new(move |times| {
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(length / 2);
                event();
            });
            let (start, before) = (Instant::now(), stopwatch::busy());
            let mut turns = 0;
            while start.elapsed() < length {
                clients.turn(turns).expect("the server answers");
                turns += 1;
            }
            let requests = (turns * CONNECTIONS) as f64;
            (stopwatch::busy() - before).mul_f64(f64::from(times) / requests)
        })
    })
}
