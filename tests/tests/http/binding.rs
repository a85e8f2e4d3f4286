//! Where a server listens, and for how long.

use std::net::{TcpListener, TcpStream};

use tasktrace::http::{self, BindError};
use tasktrace_tests::http::get;

use crate::support::serve;

const TOKEN: &str = "a token that is long enough";

#[test]
fn other_machines_have_to_be_asked_for() {
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
fn they_need_the_token() {
    let builder = http::builder().allow_remote().token(TOKEN);
    let server = builder.bind("0.0.0.0:0").unwrap();
    let address = ([127, 0, 0, 1], server.local_addr().port()).into();
    assert_eq!(get(address, "/dump.txt?capture=0").status, 401);
}

#[test]
fn an_address_that_is_taken() {
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
fn it_ends_when_it_is_dropped() {
    let (server, address) = serve(http::builder());
    assert_eq!(get(address, "/").status, 200);
    drop(server);
    assert!(TcpStream::connect(address).is_err());
    // The address is free.
    drop(http::serve(address).unwrap());
}

#[test]
fn it_goes_on_when_it_is_detached() {
    let (server, address) = serve(http::builder());
    server.detach();
    assert_eq!(get(address, "/").status, 200);
}

#[test]
fn the_tasks_of_its_own_runtime_are_nobodys() {
    let (_server, address) = serve(http::builder());
    let dump: serde_json::Value = serde_json::from_str(get(address, "/dump.json").text()).unwrap();
    assert!(dump["untraced"].is_null(), "{}", dump["untraced"]);
}
