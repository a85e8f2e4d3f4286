//! Tests the addresses that a server listens at, and the lifetime of a server.

use std::net::{TcpListener, TcpStream};

use tasktrace::http::{self, BindError};
use tasktrace_tests::http::get;

use crate::support::serve;

const TOKEN: &str = "a token that is long enough";

#[test]
fn binding_a_remote_address_requires_allow_remote_and_a_long_token() {
    for address in ["0.0.0.0:0", "[::]:0"] {
        let error = http::serve(address).unwrap_err();
        assert!(matches!(error, BindError::NotLoopback { .. }), "{error}");
        assert!(error.to_string().contains("allow_remote"), "{error}");
        let error = http::builder().token(TOKEN).bind(address).unwrap_err();
        assert!(matches!(error, BindError::NotLoopback { .. }), "{error}");
        let error = http::builder().allow_remote().bind(address).unwrap_err();
        assert!(matches!(error, BindError::NoToken { .. }), "{error}");
        let builder = http::builder().allow_remote().token("short");
        let error = builder.bind(address).unwrap_err();
        assert!(matches!(error, BindError::ShortToken), "{error}");
    }
}

#[test]
fn a_remote_server_refuses_requests_without_the_token() {
    let builder = http::builder().allow_remote().token(TOKEN);
    let server = builder.bind("0.0.0.0:0").unwrap();
    let address = ([127, 0, 0, 1], server.local_addr().port()).into();
    assert_eq!(get(address, "/dump.txt?capture=0").status, 401);
}

#[test]
fn a_taken_address_is_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let error = http::serve(taken.local_addr().unwrap()).unwrap_err();
    assert!(matches!(error, BindError::Refused(_)), "{error}");
    let error = std::io::Error::from(error);
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    assert!(matches!(
        http::serve("nonsense"),
        Err(BindError::Refused(_))
    ));
}

#[test]
fn dropping_the_server_closes_it_and_frees_its_address() {
    let (server, address) = serve(http::builder());
    assert_eq!(get(address, "/").status, 200);
    drop(server);
    assert!(TcpStream::connect(address).is_err());
    // The address is free again.
    drop(http::serve(address).unwrap());
}

#[test]
fn a_detached_server_goes_on() {
    let (server, address) = serve(http::builder());
    server.detach();
    assert_eq!(get(address, "/").status, 200);
}

#[test]
fn tasks_of_the_servers_own_runtime_are_not_counted() {
    let (_server, address) = serve(http::builder());
    let dump: serde_json::Value = serde_json::from_str(get(address, "/dump.json").text()).unwrap();
    assert!(dump["untraced"].is_null(), "{}", dump["untraced"]);
}
