//! Catches the signals that end the program, because the terminal must be restored first.

#[cfg(unix)]
pub(crate) fn start(events: std::sync::mpsc::Sender<super::Event>) -> Result<(), crate::Failure> {
    use tokio::signal::unix::{SignalKind, signal};

    let refused = |error| crate::Failure::Other(format!("the system refused the request: {error}"));
    let runtime = crate::fetch::runtime()?;
    // The handlers are installed before the screen is taken over.
    let caught = runtime.block_on(async {
        std::io::Result::Ok((
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
            signal(SignalKind::interrupt())?,
            signal(SignalKind::quit())?,
        ))
    });
    let (mut terminate, mut hangup, mut interrupt, mut quit) = caught.map_err(refused)?;
    let wait = move || {
        let signal = runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => SignalKind::terminate(),
                _ = hangup.recv() => SignalKind::hangup(),
                _ = interrupt.recv() => SignalKind::interrupt(),
                _ = quit.recv() => SignalKind::quit(),
            }
        });
        let _ = events.send(super::Event::Signal(signal.as_raw_value()));
    };
    let thread = std::thread::Builder::new().name("signals".to_owned());
    thread.spawn(wait).map(drop).map_err(refused)
}

/// Does nothing: on this system, Ctrl-C is only a key.
#[cfg(not(unix))]
pub(crate) fn start(_events: std::sync::mpsc::Sender<super::Event>) -> Result<(), crate::Failure> {
    Ok(())
}
