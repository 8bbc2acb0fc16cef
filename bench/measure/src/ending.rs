//! Being told to end: what a measurement has started is ended by unwinding, so every wait looks here.

use futures_lite::StreamExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

static TOLD: AtomicBool = AtomicBool::new(false);

/// How often a wait looks.
const LOOK: Duration = Duration::from_millis(50);

/// Takes interrupts from now on.
pub fn listen() {
    std::thread::spawn(|| {
        let signals = [async_signal::Signal::Int, async_signal::Signal::Term];
        if let Ok(mut signals) = async_signal::Signals::new(signals) {
            smol::block_on(signals.next());
            TOLD.store(true, Ordering::Relaxed);
        }
    });
}

/// Waits until then. Unwinds if the program was told to end.
pub fn wait_until(then: Instant) {
    loop {
        assert!(!TOLD.load(Ordering::Relaxed), "interrupted");
        let left = then.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        std::thread::sleep(left.min(LOOK));
    }
}

/// Waits for that long. Unwinds if the program was told to end.
pub fn wait(time: Duration) {
    wait_until(Instant::now() + time);
}
