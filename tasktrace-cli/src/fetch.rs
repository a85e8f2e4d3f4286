//! Sends one request and reads its answer.

use std::io;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONNECTION, HOST, HeaderValue, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::{Builder, Runtime};
use tokio::time::{sleep, timeout};

use crate::failure::Failure;
use crate::output::visible;
use crate::server::{Endpoint, Server};
use crate::time::human;

/// The largest answer in bytes. No process of good will sends more.
const MAX_ANSWER: usize = 2 << 30;

/// The number of bytes by which an answer must grow within the time limit. If each read had this limit instead, the
/// program would wait without end for a server that sends one byte at a time.
const PART: usize = 64 << 10;

/// The interval between calls of `tick`, and between attempts to connect.
const TICK: Duration = Duration::from_millis(100);

/// Returns a runtime for the calling thread.
pub(crate) fn runtime() -> Result<Runtime, Failure> {
    let built = Builder::new_current_thread().enable_all().build();
    built.map_err(|error| Failure::Other(format!("the system refused the request: {error}")))
}

/// Waits for requests on a runtime of their own.
pub(crate) fn block_on<T>(requests: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = runtime()?;
    let answer = runtime.block_on(requests);
    // A drop would wait for the thread that looks up the name of a host, which may take longer than the time limit.
    runtime.shutdown_background();
    Ok(answer)
}

/// Fetches a document.
pub(crate) fn get(server: &Server, path: &str) -> Result<Vec<u8>, Failure> {
    block_on(request(server, path, server.time_limit))?
}

/// Fetches a document that takes `time` to be made. Calls `tick` while it waits.
pub(crate) fn get_after(
    server: &Server,
    path: &str,
    time: Duration,
    mut tick: impl FnMut(),
) -> Result<Vec<u8>, Failure> {
    let time_limit = server.time_limit.saturating_add(time);
    block_on(async {
        let mut answer = std::pin::pin!(request(server, path, time_limit));
        loop {
            tokio::select! {
                answer = &mut answer => return answer,
                () = sleep(TICK) => tick(),
            }
        }
    })?
}

/// Fetches a document, and waits for at most `time_limit` until the answer begins.
pub(crate) async fn request(
    server: &Server,
    path: &str,
    time_limit: Duration,
) -> Result<Vec<u8>, Failure> {
    match &server.at {
        Endpoint::Tcp(host, port) => {
            let connected = tokio::net::TcpStream::connect((host.as_str(), *port));
            let stream = connected_in_time(server, connected).await?;
            request_over(server, stream, path, time_limit).await
        }
        #[cfg(unix)]
        Endpoint::Unix(at) => {
            let stream = connected_in_time(server, connect(at)).await?;
            request_over(server, stream, path, time_limit).await
        }
        #[cfg(not(unix))]
        Endpoint::Unix(_) => Err(Failure::Usage("this system has no unix sockets".to_owned())),
    }
}

/// Connects to a socket, and waits while its queue is full.
#[cfg(unix)]
async fn connect(path: &std::path::Path) -> io::Result<tokio::net::UnixStream> {
    loop {
        match tokio::net::UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(TICK).await,
            connected => return connected,
        }
    }
}

async fn connected_in_time<S>(
    server: &Server,
    connected: impl Future<Output = io::Result<S>>,
) -> Result<S, Failure> {
    match timeout(server.time_limit, connected).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(not_connected(server, &error)),
        Err(_) => Err(timed_out(server, server.time_limit)),
    }
}

fn not_connected(server: &Server, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Failure::NoPermission(format!(
            "{server}: {error}: only the same user and root may use its socket"
        )),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Failure::NoAnswer(format!(
            "no server listens at {server}: has the process ended, or is the address wrong? ({error})"
        )),
        _ => Failure::NoAnswer(format!("{server} cannot be connected to: {error}")),
    }
}

fn timed_out(server: &Server, time_limit: Duration) -> Failure {
    Failure::NoAnswer(format!(
        "no answer from {server} within {}: it may be stopped, or have no processor time; --timeout \
         waits for longer",
        human(time_limit)
    ))
}

fn disconnected(server: &Server, error: &hyper::Error) -> Failure {
    Failure::NoAnswer(format!(
        "{server} closed the connection: {error}: has the process just ended?"
    ))
}

async fn request_over<S>(
    server: &Server,
    stream: S,
    path: &str,
    time_limit: Duration,
) -> Result<Vec<u8>, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| disconnected(server, &error))?;
    let answer = async {
        let request = sender.send_request(get_request(server, path)?);
        match timeout(time_limit, request).await {
            Ok(Ok(response)) => body(server, response).await,
            Ok(Err(error)) => Err(disconnected(server, &error)),
            Err(_) => Err(timed_out(server, time_limit)),
        }
    };
    let mut answer = std::pin::pin!(answer);
    let mut connection = std::pin::pin!(connection);
    let mut is_open = true;
    loop {
        tokio::select! {
            answer = &mut answer => return answer,
            // The answer fails with the error of the connection.
            _ = &mut connection, if is_open => is_open = false,
        }
    }
}

fn get_request(server: &Server, path: &str) -> Result<Request<Empty<Bytes>>, Failure> {
    let mut request = Request::get(format!("{}{path}", server.prefix))
        .header(HOST, server.authority())
        .header(USER_AGENT, concat!("tasktrace/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close");
    if let Some(token) = &server.token {
        let value = HeaderValue::from_str(&format!("Bearer {token}"));
        let mut value = value.map_err(|_| {
            Failure::Usage(
                "the token contains characters that are not allowed in a token".to_owned(),
            )
        })?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    let request = request.body(Empty::new());
    request.map_err(|error| Failure::Usage(format!("{server} cannot be asked: {error}")))
}

/// Reads the body of a response. Returns a failure unless the status is 200.
async fn body(server: &Server, response: Response<Incoming>) -> Result<Vec<u8>, Failure> {
    let status = response.status();
    let mut body = response.into_body();
    let mut all = Vec::new();
    loop {
        match timeout(server.time_limit, read_part(server, &mut body, &mut all)).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => break,
            Ok(Err(failure)) => return Err(failure),
            Err(_) => return Err(timed_out(server, server.time_limit)),
        }
        if all.len() > MAX_ANSWER {
            return Err(Failure::Other(format!(
                "the answer of {server} is too large"
            )));
        }
    }
    match status {
        StatusCode::OK => Ok(all),
        status => Err(refused(server, status, &all)),
    }
}

/// Reads at least [`PART`] bytes, or the rest of the body. Returns `false` at the end of the body.
async fn read_part(
    server: &Server,
    body: &mut Incoming,
    all: &mut Vec<u8>,
) -> Result<bool, Failure> {
    let enough = all.len() + PART;
    while all.len() < enough {
        match body.frame().await {
            Some(Ok(frame)) => all.extend_from_slice(frame.data_ref().map_or(&[], |data| data)),
            Some(Err(error)) => return Err(disconnected(server, &error)),
            None => return Ok(false),
        }
    }
    Ok(true)
}

fn refused(server: &Server, status: StatusCode, body: &[u8]) -> Failure {
    let text = String::from_utf8_lossy(body);
    let first = text.lines().next().unwrap_or_default();
    let said: String = visible(first).chars().take(300).collect();
    let said = match said.as_str() {
        "" => status.to_string(),
        said => format!("{status}: {said}"),
    };
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Failure::NoPermission(format!(
            "{server} refuses the request ({said}): give its token with --token or TASKTRACE_TOKEN"
        )),
        StatusCode::NOT_FOUND => Failure::Other(format!(
            "{server} does not know the path ({said}): is tasktrace mounted at this path, and is it the same version?"
        )),
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
            Failure::NoAnswer(format!("{server} is busy ({said}): try again"))
        }
        _ => Failure::Other(format!("{server} answers {said}")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[test]
    fn a_server_that_sends_one_byte_at_a_time_is_not_waited_for_without_end() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        thread::spawn(move || {
            let (mut client, _) = listener.accept().expect("the client connects");
            let asked = client.read(&mut [0; 1024]).expect("the client asks");
            assert_ne!(asked, 0);
            let mut sent = client.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            while sent.is_ok() {
                sent = client.write_all(b" ");
                thread::sleep(Duration::from_millis(1));
            }
        });
        let server = Server {
            at: Endpoint::Tcp("127.0.0.1".to_owned(), port),
            time_limit: Duration::from_secs(1),
            ..crate::document::tests::server()
        };
        let (done, is_done) = mpsc::channel();
        thread::spawn(move || done.send(get(&server, "/process.json")));
        let failure = is_done.recv_timeout(Duration::from_secs(20));
        let failure = failure
            .expect("there is a limit")
            .expect_err("the answer has no end");
        let failure = failure.to_string();
        assert!(failure.contains("no answer from"), "{failure}");
    }

    /// tokio looks up names of hosts on a thread, in a call that may take much longer than the limit.
    #[test]
    fn a_request_that_has_timed_out_does_not_wait_for_the_lookup_of_its_host() {
        let (go_on, goes_on) = mpsc::channel::<()>();
        let (ended, ends) = mpsc::channel();
        thread::spawn(move || {
            let answer = block_on(async {
                let lookup = tokio::task::spawn_blocking(move || goes_on.recv());
                timeout(Duration::from_millis(1), lookup).await.is_ok()
            });
            let _ = ended.send(answer.expect("the system has a runtime"));
        });
        let answer = ends.recv_timeout(Duration::from_secs(20));
        drop(go_on);
        assert_eq!(answer, Ok(false));
    }
}
